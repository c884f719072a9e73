"""The hub: hands what is committed to all who listen."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.model.errors import Unavailable
from loki_twisted.model.events import KIND_OF_TYPE
from loki_twisted.model.filters import EVERYTHING, EventFilter, mask_of_types
from loki_twisted.stream.group import Group
from loki_twisted.stream.hub import Hub
from loki_twisted.stream.position import Behind
from tests.fakes_log import START_MS, FakeLog
from tests.fakes_stream import (
    OTHER,
    SESSION,
    MemorySink,
    batch,
    listen,
    mixed,
    named,
    numbers_of,
    places_of,
)

EARLIEST = Behind("earliest")
TASKS = EventFilter(mask=mask_of_types(["task:*"]))
BEAT = KIND_OF_TYPE["heartbeat"]


def groups_of(hub: Hub) -> list[Group]:
    """The groups of a hub."""
    return list(hub._groups.values())


class PublishingTests(SynchronousTestCase):
    """What reaches whom."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = FakeLog()
        self.hub = Hub(self.clock, self.log)

    def test_equal_filters_share_bytes(self) -> None:
        """Those who want the same are given the very same object, once for each commit."""
        sinks = [listen(self.hub, EventFilter(mask=TASKS.mask)) for _ in range(3)]
        everything = listen(self.hub)
        blocks = self.log.commit(mixed(["log:info", "task:created"]), batch(1, "task:failed"))
        assert [len(sink.writes) for sink in sinks] == [3, 3, 3]
        assert sinks[0].writes[2] is sinks[1].writes[2]
        assert sinks[0].writes[2] is sinks[2].writes[2]
        assert sinks[0].writes[2] == b"".join(block.select(TASKS) for block in blocks)
        assert everything.writes[2] == b"".join(block.body for block in blocks)

    def test_filters(self) -> None:
        """Each is given what it wants, and nothing is written to those who want none of it."""
        mine, tasks, both = (
            listen(self.hub, EventFilter(SESSION)),
            listen(self.hub, TASKS),
            listen(self.hub, EventFilter(OTHER, TASKS.mask)),
        )
        self.log.commit(mixed(["log:info", "task:created"]))
        self.log.commit(mixed(["log:info", "task:created"], OTHER))
        assert numbers_of(mine.received) == [1, 2]
        assert numbers_of(tasks.received) == [2, 4]
        assert numbers_of(both.received) == [4]
        assert len(both.writes) == 3
        assert self.hub.lag() == 0

    def test_only_the_live_are_in_the_round(self) -> None:
        """One whose transport is full is written nothing, however much is published."""
        live, full = listen(self.hub), listen(self.hub, room=100)
        assert len(live.subscriber.group.live) == 2
        self.log.commit(batch(1))
        assert list(live.subscriber.group.live) == [live.subscriber]
        writes = len(full.writes)
        for _ in range(10):
            self.log.commit(batch(1))
        assert len(full.writes) == writes
        assert numbers_of(live.received) == list(range(1, 12))

    def test_a_broken_subscriber(self) -> None:
        """One that breaks is cut and reported; the others of the round get everything."""
        sinks = [listen(self.hub) for _ in range(5)]
        sinks[1].broken = sinks[3].broken = ZeroDivisionError("broken")
        self.log.commit(batch(2))
        self.log.commit(batch(2))
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 2
        assert [sink.aborted for sink in sinks] == [False, True, False, True, False]
        for sink in (sinks[0], sinks[2], sinks[4]):
            assert numbers_of(sink.received) == [1, 2, 3, 4]
        assert self.hub.subscriber_count == 3

    def test_leaving_and_joining_inside_of_a_round(self) -> None:
        """Who leaves or joins while a commit is handed out disturbs nobody."""
        first, second = listen(self.hub), listen(self.hub)
        joined: list[MemorySink] = []

        class Meddler(MemorySink):
            def write(sink, data: bytes) -> None:  # noqa: N805  # self is the test
                super().write(data)
                if numbers_of(data) == [1]:
                    second.subscriber.lost()
                    joined.append(listen(self.hub))

        meddler = Meddler()
        meddler.subscriber = self.hub.subscribe(meddler)
        meddler.subscriber.start()
        third = listen(self.hub)
        self.log.commit(batch(1))
        self.log.commit(batch(1))
        for sink in (first, meddler, third):
            assert numbers_of(sink.received) == [1, 2]
        assert numbers_of(joined[0].received) == [2]

    def test_big_commits_are_cut(self) -> None:
        """A commit is written in pieces, so that a full transport is given no more than one."""
        live, full = listen(self.hub), listen(self.hub, room=1000)
        self.log.commit(*[batch(10, padding="x" * 1000) for _ in range(100)])
        assert max(map(len, live.writes)) < 300000
        assert len(full.held) < 300000
        assert numbers_of(live.received) == list(range(1, 1001))
        full.take_all()
        assert numbers_of(full.received) == list(range(1, 1001))

    def test_after_a_long_round_little_things_go_out_together(self) -> None:
        """Commits that come while the hub rests are one write, in order, when it has rested."""
        clock = self.clock

        class Slow(MemorySink):
            def write(self, data: bytes) -> None:
                super().write(data)
                clock.advance(0.005)

        slow, quick = Slow(), listen(self.hub)
        slow.subscriber = self.hub.subscribe(slow)
        slow.subscriber.start()
        self.log.commit(batch(1))
        written = len(quick.writes)
        for _ in range(3):
            self.log.commit(batch(1))
        joined = listen(self.hub)
        assert places_of(joined.received) == [f"evt_1_{START_MS}"]
        assert len(quick.writes) == written
        clock.advance(0.011)
        assert len(quick.writes) == written + 1
        assert numbers_of(quick.received) == numbers_of(slow.received) == [1, 2, 3, 4]
        self.log.commit(batch(1))
        clock.advance(0.011)
        for sink in (slow, quick):
            assert numbers_of(sink.received) == [1, 2, 3, 4, 5]
        # It came after the round that it could have missed something of.
        assert numbers_of(joined.received) == [2, 3, 4, 5]

    def test_what_waits_at_the_end_is_still_told(self) -> None:
        """A hub that closes while it rests hands over what waits before it says goodbye."""
        clock = self.clock

        class Slow(MemorySink):
            def write(self, data: bytes) -> None:
                super().write(data)
                clock.advance(0.005)

        slow = Slow()
        slow.subscriber = self.hub.subscribe(slow)
        slow.subscriber.start()
        self.log.commit(batch(1))
        self.log.commit(batch(1))
        done = self.hub.close()
        clock.advance(0.1)
        self.successResultOf(done)
        assert numbers_of(slow.received) == [1, 2]
        assert b"stream:bye" in slow.received
        assert clock.getDelayedCalls() == []

    def test_a_little_behind_needs_no_read(self) -> None:
        """One whose transport was full for a moment goes on from memory."""
        sink = listen(self.hub, room=10)
        for _ in range(5):
            self.log.commit(batch(1))
        sink.take_all()
        assert numbers_of(sink.received) == [1, 2, 3, 4, 5]
        assert self.log.reads["read"] == 0

    def test_commits_faster_than_reads(self) -> None:
        """A log that is written to more often than it answers still lets a reader catch up."""
        self.log.commit(batch(3))
        self.hub = Hub(self.clock, self.log)
        self.log.holding = True
        sink = listen(self.hub, start=EARLIEST)
        self.log.commit(batch(1))
        self.log.answer()
        assert self.log.waiting == 0
        self.log.commit(batch(1))
        assert numbers_of(sink.received) == [1, 2, 3, 4, 5]

    def test_a_log_ahead_of_the_hub(self) -> None:
        """One that joins while others are told of a commit gets everything once."""
        sinks: list[MemorySink] = []
        log = FakeLog()

        def join(blocks: object) -> None:
            sinks.extend([listen(hub), listen(hub, start=EARLIEST)])

        log.observe(join)  # is told before the hub is
        hub = Hub(self.clock, log)
        log.commit(batch(2))
        log.commit(batch(2))
        assert numbers_of(sinks[0].received) == [3, 4]
        assert numbers_of(sinks[1].received) == [1, 2, 3, 4]
        assert numbers_of(sinks[3].received) == [1, 2, 3, 4]

    def test_made_before_the_log_is_open(self) -> None:
        """A hub may be made before its log knows what it holds."""
        log = FakeLog()
        hub = Hub(self.clock, log)
        other = FakeLog()
        other.commit(batch(5))
        log.__dict__.update(other.__dict__, _observers=log._observers)
        sink = listen(hub)
        log.commit(batch(1))
        assert numbers_of(sink.received) == [6]
        assert log.reads["read"] == 0

    def test_many_come_at_once(self) -> None:
        """After a start, those who come are told where they are by one read for all of them."""
        self.log.commit(batch(3))
        for holding in (True, False):
            with self.subTest(holding):
                hub = Hub(self.clock, self.log)
                self.log.holding = holding
                self.log.reads["time_of"] = 0
                sinks = [listen(hub, wanted) for wanted in (EVERYTHING, TASKS) * 500]
                assert self.log.waiting == holding
                self.log.answer(self.log.waiting)
                sinks += [listen(hub), listen(hub, start=Behind(f"evt_3_{START_MS}"))]
                assert sum(self.log.reads.values()) == 1
                for sink in sinks[:-1]:
                    assert places_of(sink.received) == [f"evt_3_{START_MS}"]
                assert hub.lag() == 0
                assert all(len(group.live) == len(group.subscribers) for group in groups_of(hub))

    def test_the_place_after_a_commit(self) -> None:
        """Once something was committed, who comes is told where it is without a read."""
        self.log.commit(batch(3))
        self.hub = Hub(self.clock, self.log)
        self.log.commit(batch(2), batch(2, at_ms=START_MS + 9))
        sink = listen(self.hub)
        assert places_of(sink.received) == [f"evt_7_{START_MS + 9}"]
        assert sum(self.log.reads.values()) == 0

    def test_announce(self) -> None:
        """What is not in the log goes to the live ones that want it, and moves no cursor."""
        everything, tasks = listen(self.hub), listen(self.hub, TASKS)
        other, full = listen(self.hub, EventFilter(OTHER)), listen(self.hub, room=10)
        self.log.commit(batch(1))
        self.hub.announce(SESSION, BEAT, b"event: heartbeat\ndata: {}\n\n")
        assert named(everything.received, "heartbeat") == [{}]
        for sink in (tasks, other, full):
            assert named(sink.received + sink.held, "heartbeat") == []
        self.log.commit(batch(1))
        assert numbers_of(everything.received) == [1, 2]

    def test_figures(self) -> None:
        """The hub counts who listens, how far behind the slowest is, and what is published."""
        assert (self.hub.subscriber_count, self.hub.lag()) == (0, 0)
        listen(self.hub)
        full = listen(self.hub, TASKS, room=100)
        self.log.commit(batch(20, "task:created"))
        self.log.commit(batch(40, "task:created"))
        assert (self.hub.subscriber_count, self.hub.lag()) == (2, 40)
        assert self.hub.events_per_second() == 1
        self.clock.advance(61)
        assert self.hub.events_per_second() == 0
        full.subscriber.lost()
        assert (self.hub.subscriber_count, self.hub.lag()) == (1, 0)

    @pytest.mark.promise("R8")
    def test_no_timers_without_subscribers(self) -> None:
        """When the last one is gone, nothing is left that runs."""
        first, second = listen(self.hub), listen(self.hub, TASKS)
        assert len(self.clock.getDelayedCalls()) == 1
        first.subscriber.lost()
        second.subscriber.lost()
        assert self.clock.getDelayedCalls() == []


class ClosingTests(SynchronousTestCase):
    """The end of all streams."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = FakeLog()
        self.hub = Hub(self.clock, self.log)

    def test_nobody(self) -> None:
        """Without subscribers the end comes at once, and the log is observed no longer."""
        self.successResultOf(self.hub.close())
        assert self.log._observers == []
        assert self.clock.getDelayedCalls() == []

    def test_bye(self) -> None:
        """Each is told the end with the id to resume from, and ends cleanly."""
        sinks = [listen(self.hub), listen(self.hub, TASKS)]
        self.log.commit(batch(3))
        closed = self.hub.close()
        for sink in sinks:
            assert sink.finished
            assert not sink.aborted
            assert named(sink.received, "stream:bye") == [{"lastEventId": f"evt_3_{START_MS}"}]
        self.clock.advance(0.1)
        self.successResultOf(closed)
        assert self.clock.getDelayedCalls() == []

    def test_bye_without_a_commit(self) -> None:
        """The id to resume from is known also if nothing was committed since the start."""
        self.log.commit(batch(3))
        hub = Hub(self.clock, self.log)
        sink = listen(hub)
        hub.close()
        assert named(sink.received, "stream:bye") == [{"lastEventId": f"evt_3_{START_MS}"}]
        self.clock.advance(1)

    def test_bye_of_an_empty_log(self) -> None:
        """Without any event there is no id to resume from."""
        sink = listen(self.hub)
        self.hub.close()
        assert named(sink.received, "stream:bye") == [{"lastEventId": None}]
        self.clock.advance(1)

    def test_bye_when_the_log_does_not_answer(self) -> None:
        """A log that cannot tell the id keeps nobody from ending."""
        self.log.commit(batch(3))
        hub = Hub(self.clock, self.log)
        sink = listen(hub, start=EARLIEST)
        self.log.holding = True
        closed = hub.close(2.0)
        self.clock.advance(1.5)
        assert named(sink.received, "stream:bye") == [{"lastEventId": None}]
        self.clock.advance(0.1)
        self.successResultOf(closed)
        assert len(self.flushLoggedErrors()) == 1

    def test_new_ones_are_refused(self) -> None:
        """While the server ends, nobody may subscribe."""
        listen(self.hub)
        self.hub.close()
        with pytest.raises(Unavailable):
            self.hub.subscribe(MemorySink())
        self.clock.advance(1)

    def test_who_is_behind_gets_what_there_is(self) -> None:
        """One that is behind is given the rest as long as its client takes it, then the end."""
        sink = listen(self.hub, room=500)
        for _ in range(10):
            self.log.commit(batch(5))
        closed = self.hub.close()
        assert not sink.finished
        self.clock.advance(1)
        sink.take_all()
        assert numbers_of(sink.received) == list(range(1, 51))
        assert named(sink.received, "stream:bye") == [{"lastEventId": f"evt_50_{START_MS}"}]
        assert sink.finished
        self.clock.advance(0.1)
        self.successResultOf(closed)

    def test_grace(self) -> None:
        """Who does not take what there is in time is cut."""
        slow, silent = listen(self.hub, room=500), listen(self.hub, room=10**6)
        self.log.commit(batch(50))
        closed = self.hub.close(2.0)
        for _ in range(19):
            self.clock.advance(0.1)
        assert not slow.aborted
        assert not silent.aborted
        self.assertNoResult(closed)
        for _ in range(2):
            self.clock.advance(0.1)
        assert slow.aborted
        assert silent.aborted
        self.successResultOf(closed)
        assert self.clock.getDelayedCalls() == []

    def test_twice(self) -> None:
        """Who asks again for the end is told of it too."""
        sink = listen(self.hub, room=500)
        self.log.commit(batch(5))
        first, second = self.hub.close(), self.hub.close()
        sink.take_all()
        self.clock.advance(0.1)
        self.successResultOf(first)
        self.successResultOf(second)
        assert len(named(sink.received, "stream:bye")) == 1

    def test_cancelled(self) -> None:
        """Who does not want to wait for the end may have it at once."""
        sink = listen(self.hub, room=500)
        self.log.commit(batch(5))
        closed = self.hub.close()
        closed.cancel()
        self.failureResultOf(closed)
        assert sink.aborted
        assert self.clock.getDelayedCalls() == []

    def test_a_broken_subscriber_at_the_end(self) -> None:
        """One that breaks when it is told the end is cut and reported; the others end cleanly."""
        broken, sound = listen(self.hub), listen(self.hub)
        broken.broken = ZeroDivisionError("broken")
        self.hub.close()
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1
        assert broken.aborted
        assert sound.finished
        self.clock.advance(1)
