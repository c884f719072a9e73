"""How a stream begins: where, and what its client is told of that."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.model.filters import EventFilter, mask_of_types
from loki_twisted.stream.hub import Hub
from loki_twisted.stream.position import FROM_NOW, Behind, LastEvents
from loki_twisted.stream.sse import GREETING
from tests.fakes_log import START_MS, FakeLog
from tests.fakes_stream import (
    OTHER,
    SESSION,
    batch,
    begun,
    comments_of,
    frames_of,
    last_id_of,
    listen,
    mixed,
    named,
    numbers_of,
    places_of,
)

EARLIEST = Behind("earliest")
METRICS = EventFilter(mask=mask_of_types(["metrics:update"]))


class BeginningTests(SynchronousTestCase):
    """A subscriber of a log in memory that comes, or comes back."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = FakeLog()
        # Without a tail, so that whatever was missed is read from the log.
        self.hub = Hub(self.clock, self.log, tail_bytes=0)

    def test_from_now(self) -> None:
        """Without a position, a stream begins with what happens after it was asked for."""
        self.log.commit(batch(3))
        sink = listen(self.hub)
        assert sink.received == begun(f"evt_3_{START_MS}")
        (block,) = self.log.commit(batch(2))
        assert sink.received == begun(f"evt_3_{START_MS}") + block.body
        assert self.log.reads["read"] == 0

    def test_earliest(self) -> None:
        """From the earliest on, everything that the filter wants is given, then what happens."""
        self.log.commit(mixed(["log:info", "task:created"]), batch(1, "task:created", OTHER))
        wanted = EventFilter(mask=mask_of_types(["task:created"]))
        sink = listen(self.hub, wanted, EARLIEST)
        self.log.commit(mixed(["task:created", "log:warn"]))
        assert numbers_of(sink.received) == [2, 3, 4]

    def test_resume(self) -> None:
        """A client goes on behind its event, also when its filter does not want that event."""
        self.log.commit(mixed(["log:info", "task:created", "log:info"]))
        wanted = EventFilter(mask=mask_of_types(["task:*"]))
        sink = listen(self.hub, wanted, Behind(f"evt_1_{START_MS}"))
        assert numbers_of(sink.received) == [2]
        assert named(sink.received, "stream:reset") == []

    def test_resume_with_nothing_missed(self) -> None:
        """A client that has the newest event is live at once."""
        self.log.commit(batch(3))
        sink = listen(self.hub, start=Behind(f"evt_3_{START_MS}"))
        self.log.commit(batch(1))
        assert numbers_of(sink.received) == [4]

    def test_reset(self) -> None:
        """An id that cannot be resumed from is answered by one reset, then all there is."""
        self.log.commit(batch(2))
        self.log.commit(batch(2, at_ms=START_MS + 5))
        self.log.expire(3)
        for asked, reason in [
            ("rubbish", "unknown"),
            (f"evt_3_{START_MS}", "unknown"),
            (f"evt_2_{START_MS + 5}", "unknown"),
            (f"evt_9_{START_MS}", "future"),
            (f"evt_1_{START_MS}", "expired"),
        ]:
            sink = listen(self.hub, start=Behind(asked))
            assert named(sink.received, "stream:reset") == [
                {
                    "asked": asked,
                    "oldest": f"evt_3_{START_MS + 5}",
                    "newest": f"evt_4_{START_MS + 5}",
                    "reason": reason,
                }
            ]
            assert frames_of(sink.received)[2].event == "stream:reset"
            assert numbers_of(sink.received) == [3, 4]

    def test_reset_of_an_empty_log(self) -> None:
        """A log that has nothing says so, and the client gets what comes."""
        sink = listen(self.hub, start=Behind("evt_5_5"))
        assert named(sink.received, "stream:reset") == [
            {"asked": "evt_5_5", "oldest": None, "newest": None, "reason": "future"}
        ]
        self.log.commit(batch(1))
        assert numbers_of(sink.received) == [1]

    def test_history(self) -> None:
        """The last events that match come first, then a comment, then what happens."""
        self.log.commit(mixed(["task:created", "log:info", "task:created"]))
        self.log.commit(mixed(["task:created", "log:info"]))
        wanted = EventFilter(mask=mask_of_types(["task:*"]))
        sink = listen(self.hub, wanted, LastEvents(2))
        assert numbers_of(sink.received) == [3, 4]
        assert comments_of(sink.received)[-1] == "end of history"
        assert frames_of(sink.received)[-1].comment == "end of history"
        self.log.commit(batch(1, "task:created"))
        assert numbers_of(sink.received) == [3, 4, 6]

    def test_history_of_nothing(self) -> None:
        """Where no event matches, the comment stands alone."""
        self.log.commit(batch(3))
        wanted = EventFilter(mask=mask_of_types(["task:*"]))
        sink = listen(self.hub, wanted, LastEvents(2))
        assert numbers_of(sink.received) == []
        assert comments_of(sink.received)[-1] == "end of history"

    def test_history_ends_before_what_happens(self) -> None:
        """What is committed while history is read comes behind the comment."""
        self.log.commit(batch(2))
        self.log.holding = True
        sink = listen(self.hub, start=LastEvents(5))
        self.log.commit(batch(2))
        while self.log.waiting:
            self.log.answer()
        assert sink.received.startswith(begun())
        marks = [frame.id or frame.comment for frame in frames_of(sink.received)[3:]]
        ids = [f"evt_{seq}_{START_MS}" for seq in range(1, 5)]
        assert marks == [*ids[:2], "end of history", *ids[2:]]

    def test_the_place(self) -> None:
        """Who brings no place is told one, from which its events come as they would have."""
        self.log.commit(mixed(["task:created", "log:info", "task:created"]))
        self.log.commit(mixed(["task:created", "log:info"], at_ms=START_MS + 7))
        tasks = EventFilter(mask=mask_of_types(["task:*"]))
        newest = f"evt_5_{START_MS + 7}"
        for wanted, start, place, numbers in [
            (tasks, FROM_NOW, newest, []),
            (tasks, LastEvents(2), f"evt_2_{START_MS}", [3, 4]),
            (tasks, LastEvents(1), f"evt_3_{START_MS}", [4]),
            (tasks, LastEvents(3), "evt_0_0", [1, 3, 4]),
            (METRICS, LastEvents(3), newest, []),
        ]:
            sink = listen(self.hub, wanted, start)
            assert sink.received.startswith(begun(place))
            back = listen(self.hub, wanted, Behind(place))
            assert back.received.startswith(begun(place))
            assert numbers_of(back.received) == numbers_of(sink.received) == numbers

    def test_commits_while_the_place_is_looked_up(self) -> None:
        """It is told the place where it came, then what happened since."""
        self.log.commit(batch(2))
        self.hub = Hub(self.clock, self.log, tail_bytes=0)
        self.log.holding = True
        sink = listen(self.hub)
        self.log.commit(batch(2, at_ms=START_MS + 5))
        assert sink.received == GREETING
        self.log.answer()
        assert sink.received == begun(f"evt_2_{START_MS}")
        self.log.answer()
        assert numbers_of(sink.received) == [3, 4]
        assert places_of(sink.received) == [f"evt_2_{START_MS}"]

    def test_full_while_the_place_is_looked_up(self) -> None:
        """A transport without room at that moment costs neither the place nor an event."""
        self.log.commit(batch(2))
        for is_full_for_long in (True, False):
            with self.subTest(is_full_for_long):
                self.hub = Hub(self.clock, self.log, tail_bytes=0)
                self.log.holding = True
                sink = listen(self.hub)
                assert sink.subscriber is not None
                sink.subscriber.pauseProducing()
                if not is_full_for_long:
                    sink.subscriber.resumeProducing()
                self.log.answer()
                self.log.holding = False
                newest = self.log.bounds.newest
                self.log.commit(batch(1))
                if is_full_for_long:
                    assert numbers_of(sink.received) == []
                    sink.subscriber.resumeProducing()
                assert places_of(sink.received) == [f"evt_{newest}_{START_MS}"]
                assert numbers_of(sink.received) == [newest + 1]

    def test_the_end_while_the_place_is_looked_up(self) -> None:
        """Whoever came just before the end is told where it is, then the end."""
        self.log.commit(batch(2))
        self.hub = Hub(self.clock, self.log, tail_bytes=0)
        self.log.holding = True
        sink = listen(self.hub)
        closed = self.hub.close()
        assert sink.received == GREETING
        self.log.answer()
        assert self.log.waiting == 0
        assert places_of(sink.received) == [f"evt_2_{START_MS}"]
        assert named(sink.received, "stream:bye") == [{"lastEventId": f"evt_2_{START_MS}"}]
        assert sink.finished
        self.clock.advance(1)
        self.successResultOf(closed)

    def test_the_place_cannot_be_looked_up(self) -> None:
        """All who wait for it are cut, so that they come back, and each is logged."""
        self.log.commit(batch(2))
        self.hub = Hub(self.clock, self.log, tail_bytes=0)
        self.log.holding = True
        sinks = [listen(self.hub), listen(self.hub)]
        self.log.fail(ZeroDivisionError("disk"))
        assert [sink.aborted for sink in sinks] == [True, True]
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 2
        self.log.holding = False
        assert listen(self.hub).received == begun(f"evt_2_{START_MS}")

    def test_overtaken_while_the_place_is_looked_up(self) -> None:
        """A place that is dropped before it is known is told as a reset, and as no place."""
        self.log.commit(batch(2))
        self.hub = Hub(self.clock, self.log, tail_bytes=0)
        self.log.holding = True
        sink = listen(self.hub)
        self.log.commit(batch(2))
        self.log.commit(batch(2))
        self.log.expire(5)
        deferred, _ = self.log._waiting.popleft()
        deferred.callback(None)
        while self.log.waiting:
            self.log.answer()
        assert [reset["reason"] for reset in named(sink.received, "stream:reset")] == ["expired"]
        assert places_of(sink.received) == ["earliest"]
        # Else one that is cut between them would come back without being told.
        assert sink.received.index(b"stream:reset") < sink.received.index(b"id: earliest")
        assert numbers_of(sink.received) == [5, 6]
        assert last_id_of(sink.received) == f"evt_6_{START_MS}"

    def test_history_behind_a_hole(self) -> None:
        """Where the event before is not there, the place is before all there is."""
        for number in range(1, 9):
            self.log.commit(batch(1, session_id=OTHER if number % 3 == 0 else SESSION))
        self.log.expire(8, OTHER)
        sink = listen(self.hub, start=LastEvents(2))
        assert places_of(sink.received) == ["earliest"]
        assert numbers_of(sink.received) == [6, 8]
        assert named(sink.received, "stream:reset") == []

    def test_the_place_of_who_comes_back(self) -> None:
        """Who brings a place is told where it is: that, or where what there is begins."""
        self.log.commit(mixed(["log:info", "task:created", "log:info"]))
        for asked, place, reset in [
            ("earliest", "evt_0_0", False),
            ("evt_0_0", "evt_0_0", False),
            (f"evt_1_{START_MS}", f"evt_1_{START_MS}", False),
            (f"evt_3_{START_MS}", f"evt_3_{START_MS}", False),
            (f"evt_3_{START_MS + 1}", "evt_0_0", True),
            (f"evt_4_{START_MS}", "evt_0_0", True),
            ("rubbish", "evt_0_0", True),
        ]:
            with self.subTest(asked):
                sink = listen(self.hub, METRICS, Behind(asked))
                assert places_of(sink.received) == [place]
                assert bool(named(sink.received, "stream:reset")) == reset
                # Whoever was told a reset is not told it again.
                back = listen(self.hub, METRICS, Behind(place))
                assert back.received == begun(place)

    def test_who_was_before_the_first_event_is_told_that_it_is_gone(self) -> None:
        """A stream that begins on an empty log has a place, from which nothing is lost silently."""
        place = last_id_of(listen(self.hub, METRICS).received)
        assert place is not None
        self.log.commit(batch(2))
        assert numbers_of(listen(self.hub, start=Behind(place)).received) == [1, 2]
        self.log.commit(batch(2))
        self.log.expire(3)
        sink = listen(self.hub, METRICS, Behind(place))
        [reset] = named(sink.received, "stream:reset")
        assert reset["reason"] == "expired"
        assert places_of(sink.received) == ["earliest"]
        # Who asks for what there is, is given that.
        assert named(listen(self.hub, METRICS, EARLIEST).received, "stream:reset") == []

    def test_the_place_behind_a_reset(self) -> None:
        """It comes after the reset: who is cut between them is told the reset once more."""
        self.log.commit(batch(2))
        sink = listen(self.hub, METRICS, Behind("rubbish"))
        assert [frame.event or frame.id for frame in frames_of(sink.received)[2:]] == [
            "stream:reset",
            "evt_0_0",
        ]

    def test_the_place_before_what_expired(self) -> None:
        """A place that retention has dropped becomes the beginning; one that is kept stays."""
        for number in range(1, 9):
            self.log.commit(batch(1, session_id=OTHER if number % 3 == 0 else SESSION))
        self.log.expire(8, OTHER)
        for asked, place, reasons in [
            (0, "earliest", ["expired"]),
            (2, "earliest", ["expired"]),
            (3, f"evt_3_{START_MS}", ["expired"]),
            (5, "earliest", ["expired"]),
            (7, f"evt_7_{START_MS}", []),
            (8, f"evt_8_{START_MS}", []),
        ]:
            with self.subTest(asked):
                milliseconds = START_MS if asked else 0
                sink = listen(self.hub, start=Behind(f"evt_{asked}_{milliseconds}"))
                assert places_of(sink.received) == [place]
                told = [reset["reason"] for reset in named(sink.received, "stream:reset")]
                assert told == reasons
