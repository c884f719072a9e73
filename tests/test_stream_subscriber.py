"""One subscriber: a cursor in the log."""

from __future__ import annotations

import pytest
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from loki_twisted.log.interface import IEventLog, Page
from loki_twisted.model.filters import EventFilter, mask_of_types
from loki_twisted.stream.hub import Hub
from loki_twisted.stream.interface import ISink
from loki_twisted.stream.position import FROM_NOW, Behind, LastEvents
from loki_twisted.stream.sse import GREETING
from loki_twisted.stream.states import TRANSITIONS, Cue, State
from tests.fakes_log import START_MS, FakeLog
from tests.fakes_stream import (
    OTHER,
    SESSION,
    MemorySink,
    batch,
    begun,
    listen,
    named,
    numbers_of,
)

EARLIEST = Behind("earliest")


class StatesTests(SynchronousTestCase):
    """The table of states."""

    def test_it_is_whole(self) -> None:
        """Each state has its row, each can be left by losing the connection, and one is the end."""
        assert set(TRANSITIONS) == set(State)
        for state, row in TRANSITIONS.items():
            if state is not State.CLOSED:
                assert row[Cue.LOST] is State.CLOSED
        assert TRANSITIONS[State.CLOSED] == {}

    def test_all_states_can_be_reached(self) -> None:
        """From the first state every other can be reached."""
        reached, fresh = {State.REPLAYING}, {State.REPLAYING}
        while fresh:
            fresh = {after for state in fresh for after in TRANSITIONS[state].values()} - reached
            reached |= fresh
        assert reached == set(State)


class SubscriberTests(SynchronousTestCase):
    """A subscriber of a log in memory, with what carries its bytes in memory too."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = FakeLog()
        # Without a tail, so that whatever was missed is read from the log.
        self.hub = Hub(self.clock, self.log, tail_bytes=0)

    def test_interface(self) -> None:
        """A subscriber is a push producer; the stand-ins of these tests are what they stand for."""
        sink = MemorySink()
        verifyObject(ISink, sink)
        verifyObject(IEventLog, self.log)
        verifyObject(IPushProducer, self.hub.subscribe(sink))

    @pytest.mark.promise("R5")
    def test_commit_while_reading(self) -> None:
        """What is committed while a read is under way is neither missed nor given twice."""
        self.log.commit(batch(2))
        self.log.holding = True
        sink = listen(self.hub, start=EARLIEST)
        assert self.log.waiting == 1
        self.log.commit(batch(1))
        self.log.answer()
        assert numbers_of(sink.received) == [1, 2]
        self.log.commit(batch(1))
        self.log.answer()
        self.log.answer()
        assert self.log.waiting == 0
        self.log.commit(batch(1))
        assert numbers_of(sink.received) == [1, 2, 3, 4, 5]

    def test_pages(self) -> None:
        """A long replay is read page by page, one at a time."""
        for _ in range(20):
            self.log.commit(batch(10, padding="x" * 5000))
        self.log.holding = True
        sink = listen(self.hub, start=EARLIEST)
        pages = 0
        while self.log.waiting:
            assert self.log.waiting == 1
            self.log.answer()
            pages += 1
        assert pages >= 3
        assert numbers_of(sink.received) == list(range(1, 201))

    def test_many_pages_that_answer_at_once(self) -> None:
        """A log that answers at once, however often, exhausts no stack."""
        self.log.passes = 0
        self.log.commit(*[batch(1) for _ in range(1500)])
        wanted = EventFilter(mask=mask_of_types(["task:*"]))
        sink = listen(self.hub, wanted, EARLIEST)
        assert self.log.reads["read"] > 1000
        self.log.commit(batch(1, "task:created"))
        assert numbers_of(sink.received) == [1501]

    def test_full_transport(self) -> None:
        """A full transport is given nothing more, and reads on when it has room."""
        sink = listen(self.hub, room=500)
        self.log.commit(batch(5))
        assert sink.paused
        written = len(sink.writes)
        for _ in range(50):
            self.log.commit(batch(5))
        assert len(sink.writes) == written
        assert self.hub.lag() == 250
        sink.take_all()
        assert self.hub.lag() == 0
        self.log.commit(batch(1))
        sink.take_all()
        assert numbers_of(sink.received) == list(range(1, 257))

    def test_nothing_is_read_while_the_transport_is_full(self) -> None:
        """A page that comes when the transport has become full is dropped and read again."""
        self.log.commit(batch(5))
        self.log.holding = True
        sink = listen(self.hub, start=EARLIEST, room=10**9)
        assert sink.subscriber is not None
        sink.subscriber.pauseProducing()
        self.log.answer()
        assert numbers_of(sink.held) == []
        assert self.log.waiting == 0
        sink.subscriber.resumeProducing()
        self.log.answer()
        assert numbers_of(sink.held) == [1, 2, 3, 4, 5]

    def test_room_again_before_the_answer(self) -> None:
        """A transport that had no room for a moment while a read was under way costs no second."""
        self.log.commit(batch(5))
        self.log.holding = True
        sink = listen(self.hub, start=EARLIEST)
        assert sink.subscriber is not None
        sink.subscriber.pauseProducing()
        sink.subscriber.resumeProducing()
        assert self.log.waiting == 1
        self.log.answer()
        assert numbers_of(sink.received) == [1, 2, 3, 4, 5]

    def test_overtaken_while_full(self) -> None:
        """Who is so slow that events expire before it reads them is told so."""
        sink = listen(self.hub, room=500)
        self.log.commit(batch(5))
        self.log.commit(batch(5))
        self.log.commit(batch(5))
        self.log.expire(11)
        sink.take_all()
        assert named(sink.received, "stream:reset") == [
            {
                "asked": None,
                "oldest": f"evt_11_{START_MS}",
                "newest": f"evt_15_{START_MS}",
                "reason": "expired",
            }
        ]
        assert numbers_of(sink.received) == [1, 2, 3, 4, 5, 11, 12, 13, 14, 15]

    def test_overtaken_while_reading(self) -> None:
        """What expires while a page is read is in it, or the client is told."""
        for is_read_before in (True, False):
            with self.subTest(is_read_before):
                self.setUp()
                for _ in range(4):
                    self.log.commit(batch(1))
                self.log.holding = True
                sink = listen(self.hub, start=Behind(f"evt_1_{START_MS}"))
                if is_read_before:
                    self.log.answer()
                self.log.expire(4)
                while self.log.waiting:
                    self.log.answer()
                assert len(named(sink.received, "stream:reset")) == (not is_read_before)
                assert numbers_of(sink.received) == ([2, 3, 4] if is_read_before else [4])

    def test_overtaken_since_it_was_live(self) -> None:
        """Who had all that there was, wherever it began, is told what it misses since."""
        for start in (EARLIEST, LastEvents(5), Behind("rubbish")):
            with self.subTest(start):
                self.setUp()
                sink = listen(self.hub, start=start, room=500)
                sink.take_all()
                for _ in range(8):
                    self.log.commit(batch(2))
                self.log.expire(15)
                resets = sink.held.count(b"stream:reset")
                sink.take_all()
                assert sink.received.count(b"stream:reset") == resets + 1 + (
                    start == Behind("rubbish")
                )

    def test_resume_behind_the_last_that_expired(self) -> None:
        """A client that has all up to the hole goes on without a reset."""
        self.log.commit(batch(2))
        self.log.commit(batch(2))
        self.log.expire(3)
        sink = listen(self.hub, start=Behind(f"evt_2_{START_MS}"))
        assert named(sink.received, "stream:reset") == []
        assert numbers_of(sink.received) == [3, 4]

    def test_what_running_sessions_keep(self) -> None:
        """Behind a reset comes what there is, over the holes, each event once."""
        for number in range(1, 9):
            self.log.commit(batch(1, session_id=OTHER if number % 3 == 0 else SESSION))
        self.log.expire(8, OTHER)
        assert len(self.log.bounds) == 3
        for asked, resets, numbers in [
            ("earliest", [], [3, 6, 8]),
            (f"evt_7_{START_MS}", [], [8]),
            (f"evt_6_{START_MS}", ["expired"], [8]),
            (f"evt_4_{START_MS}", ["expired"], [3, 6, 8]),
        ]:
            sink = listen(self.hub, start=Behind(asked))
            told = [reset["reason"] for reset in named(sink.received, "stream:reset")]
            assert told == resets
            assert numbers_of(sink.received) == numbers
        sink = listen(self.hub, EventFilter(OTHER), LastEvents(2))
        assert named(sink.received, "stream:reset") == []
        assert numbers_of(sink.received) == [3, 6]

    def test_overtaken_twice(self) -> None:
        """Who is overtaken is told once, goes on behind what it has, and is told anew when anew."""
        sink = listen(self.hub, room=500)
        for number in range(1, 13):
            self.log.commit(batch(2, session_id=OTHER if number in (1, 5) else SESSION))
        self.log.expire(19, OTHER)
        sink.take(500)
        before = numbers_of(sink.received + sink.held)
        sink.take_all()
        assert before
        got = numbers_of(sink.received)
        assert got == sorted(set(got))
        assert got[-8:] == [9, 10, 19, 20, 21, 22, 23, 24]
        assert len(named(sink.received, "stream:reset")) == 1
        sink.paused = True
        assert sink.subscriber is not None
        sink.subscriber.pauseProducing()
        for _ in range(4):
            self.log.commit(batch(2))
        self.log.expire(31)
        sink.paused = False
        sink.subscriber.resumeProducing()
        sink.take_all()
        assert len(named(sink.received, "stream:reset")) == 2
        assert numbers_of(sink.received) == [*got, 31, 32]

    def test_a_piece_that_does_not_follow(self) -> None:
        """If a commit was not told to it, a live subscriber reads it before it goes on."""
        sink = listen(self.hub)
        self.log.commit(batch(2))
        observers, self.log._observers = self.log._observers, []
        self.log.commit(batch(2))
        self.log._observers = observers
        self.log.commit(batch(2))
        self.log.commit(batch(1))
        assert numbers_of(sink.received) == [1, 2, 3, 4, 5, 6, 7]

    def test_a_piece_that_it_has(self) -> None:
        """What a live subscriber has been given is not given to it again."""
        sink = listen(self.hub)
        (block,) = self.log.commit(batch(2))
        assert sink.subscriber is not None
        sink.subscriber.give(1, 2, block.body)
        assert numbers_of(sink.received) == [1, 2]
        assert sink.subscriber.state is State.LIVE

    def test_gone_while_reading(self) -> None:
        """An answer for a client that has left goes nowhere."""
        self.log.commit(batch(2))
        self.log.holding = True
        for start in (FROM_NOW, EARLIEST, LastEvents(1), Behind("rubbish")):
            self.hub = Hub(self.clock, self.log, tail_bytes=0)
            sink = listen(self.hub, start=start)
            assert self.log.waiting == 1
            assert sink.subscriber is not None
            sink.subscriber.lost()
            while self.log.waiting:
                self.log.answer()
            assert sink.received == (begun() if start == EARLIEST else GREETING)
            assert self.hub.subscriber_count == 0

    def test_gone_between_two_reads(self) -> None:
        """Whoever is gone when it is known where history begins is told nothing more."""
        self.log.commit(batch(2))
        self.hub = Hub(self.clock, self.log, tail_bytes=0)
        self.log.holding = True
        sink = listen(self.hub, start=LastEvents(1))
        self.log.answer()
        assert self.log.waiting == 1
        assert sink.subscriber is not None
        sink.subscriber.lost()
        self.log.answer()
        assert sink.received == GREETING
        assert self.log.waiting == 0

    def test_a_read_fails(self) -> None:
        """A read that fails cuts the connection, so that the client comes back, and is logged."""
        self.log.commit(batch(2))
        self.log.holding = True
        sink = listen(self.hub, start=EARLIEST)
        self.log.fail(ZeroDivisionError("disk"))
        assert sink.aborted
        assert self.hub.subscriber_count == 0
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    def test_a_read_fails_for_one_who_is_gone(self) -> None:
        """A read that fails for a client that has left is no error."""
        self.log.commit(batch(2))
        self.log.holding = True
        sink = listen(self.hub, start=EARLIEST)
        assert sink.subscriber is not None
        sink.subscriber.lost()
        self.log.fail(ZeroDivisionError("closed"))
        assert not sink.aborted

    def test_a_log_that_does_not_move(self) -> None:
        """A log that has less than it told ends the stream rather than being asked for ever."""
        self.log.commit(batch(2))
        self.log.holding = True
        sink = listen(self.hub, start=EARLIEST)
        deferred, _ = self.log._waiting.popleft()
        deferred.callback(Page([], 0))
        assert sink.aborted
        assert len(self.flushLoggedErrors(RuntimeError)) == 1

    def test_the_end_comes_once(self) -> None:
        """Losing a connection that was cut, or cutting one that was lost, is nothing new."""
        sink = listen(self.hub)
        assert sink.subscriber is not None
        sink.subscriber.lost()
        sink.subscriber.cut()
        sink.subscriber.stopProducing()
        sink.subscriber.pauseProducing()
        sink.subscriber.resumeProducing()
        assert not sink.aborted
        assert sink.subscriber.state is State.CLOSED
