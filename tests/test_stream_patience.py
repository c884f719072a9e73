"""How long a hub waits for its clients, and they for it."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.model.events import KIND_OF_TYPE
from loki_twisted.model.filters import EventFilter, mask_of_types
from loki_twisted.stream.hub import Hub
from loki_twisted.stream.interface import Progress
from loki_twisted.stream.position import FROM_NOW, Behind, LastEvents
from loki_twisted.stream.sse import GREETING, KEEP_ALIVE, heartbeat, place
from tests.fakes_log import START_MS, FakeLog
from tests.fakes_stream import (
    OTHER,
    SESSION,
    MemorySink,
    batch,
    begun,
    last_id_of,
    listen,
    numbers_of,
)

EARLIEST = Behind("earliest")
TASKS = EventFilter(mask=mask_of_types(["task:*"]))
BEAT = KIND_OF_TYPE["heartbeat"]


class PatienceTests(SynchronousTestCase):
    """Keeping awake, and cutting off."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = FakeLog()
        self.hub = Hub(self.clock, self.log)

    def pass_time(self, seconds: float) -> None:
        """Let the clock go on in small steps."""
        for _ in range(int(seconds * 2)):
            self.clock.advance(0.5)

    @pytest.mark.promise("R23")
    def test_keep_alive(self) -> None:
        """An idle stream carries a comment every 15 seconds."""
        sink = listen(self.hub)
        self.pass_time(15)
        assert sink.received == begun() + KEEP_ALIVE
        self.pass_time(14)
        assert sink.received == begun() + KEEP_ALIVE
        self.pass_time(46)
        assert sink.received == begun() + KEEP_ALIVE * 5

    def test_keep_alive_is_for_the_silent(self) -> None:
        """A stream that carries events carries no comments, and is never silent for 15 seconds."""
        sink = listen(self.hub)
        for _ in range(10):
            self.pass_time(11)
            self.log.commit(batch(1))
        assert KEEP_ALIVE not in sink.received
        self.pass_time(15)
        assert sink.received.endswith(KEEP_ALIVE + place(f"evt_10_{START_MS}"))

    def test_heartbeats_do_not_keep_the_place_back(self) -> None:
        """Who watches a quiet session is told its place, though heartbeats come all the time."""
        sink = listen(self.hub, EventFilter(SESSION))
        for _ in range(8):
            self.log.commit(batch(1, session_id=OTHER))
            self.pass_time(5)
            self.hub.announce(SESSION, BEAT, heartbeat(SESSION, START_MS, {}))
        assert last_id_of(sink.received) in {f"evt_{number}_{START_MS}" for number in (6, 7, 8)}
        assert sink.received.count(KEEP_ALIVE) == 2

    def test_keep_alive_tells_the_place(self) -> None:
        """Who wants nothing of what goes by is told where it is, and comes back to that."""
        for start in (FROM_NOW, EARLIEST, LastEvents(3), Behind("rubbish")):
            with self.subTest(start):
                sink = listen(self.hub, TASKS, start)
                self.log.commit(batch(2))
                newest = f"evt_{self.log.bounds.newest}_{START_MS}"
                assert last_id_of(sink.received) != newest
                self.pass_time(18)
                assert sink.received.endswith(KEEP_ALIVE + place(newest))
                back = listen(self.hub, TASKS, Behind(newest))
                self.log.commit(batch(1, "task:created"))
                assert numbers_of(back.received) == [self.log.bounds.newest]
                back.subscriber.lost()

    def test_keep_alive_asks_once(self) -> None:
        """Where nothing was committed since the start, one read is enough for all, for good."""
        self.log.commit(batch(3))
        self.hub = Hub(self.clock, self.log)
        sinks = [listen(self.hub, start=EARLIEST) for _ in range(10)]
        told = sinks[0].received
        reads = dict(self.log.reads)
        self.log.holding = True
        self.pass_time(9)
        assert self.log.waiting == 1
        self.log.answer()
        self.pass_time(60)
        assert self.log.reads == {**reads, "time_of": reads["time_of"] + 1}
        for sink in sinks:
            assert sink.received == told + (KEEP_ALIVE + place(f"evt_3_{START_MS}")) * 4

    def test_keep_alive_without_a_place(self) -> None:
        """Where the place cannot be read, a comment is enough; it is tried again, and logged."""
        self.log.commit(batch(3))
        self.hub = Hub(self.clock, self.log)
        sink = listen(self.hub, start=EARLIEST)
        told = sink.received
        self.log.holding = True
        self.pass_time(3)
        self.log.fail(ZeroDivisionError("disk"))
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1
        self.pass_time(12)
        assert sink.received == told + KEEP_ALIVE
        self.log.answer()
        self.pass_time(15)
        assert sink.received == told + KEEP_ALIVE * 2 + place(f"evt_3_{START_MS}")

    def test_who_still_reads_is_told_no_place(self) -> None:
        """A stream that has not been given all yet is kept awake with a comment alone."""
        self.log.commit(batch(2))
        self.hub = Hub(self.clock, self.log)
        listen(self.hub)
        self.log.holding = True
        sink = listen(self.hub, TASKS, EARLIEST)
        self.pass_time(18)
        assert sink.received == begun() + KEEP_ALIVE

    def test_who_waits_for_history_is_told_no_place(self) -> None:
        """Before it is known where the last events begin, a place would be one behind them."""
        self.log.commit(batch(5))
        self.log.holding = True
        sink = listen(self.hub, start=LastEvents(3))
        self.pass_time(18)
        assert sink.received == GREETING + KEEP_ALIVE
        self.log.holding = False
        self.log.answer(self.log.waiting)
        assert numbers_of(sink.received) == [3, 4, 5]

    def test_full_streams_are_not_kept_awake(self) -> None:
        """To a transport that is full no comment is added."""
        sink = listen(self.hub, room=10)
        self.log.commit(batch(1))
        self.pass_time(50)
        assert KEEP_ALIVE not in sink.held

    @pytest.mark.promise("R7")
    @pytest.mark.threat("T21")
    def test_stalled(self) -> None:
        """A client that takes nothing for 60 seconds while there is something is cut."""
        sink, other = listen(self.hub, room=100), listen(self.hub)
        sink.take_all()
        for _ in range(10):
            self.pass_time(10)
            sink.take_all()
        self.log.commit(batch(1))
        self.pass_time(60)
        assert not sink.aborted
        self.pass_time(5)
        assert sink.aborted
        assert not other.aborted
        assert self.hub.subscriber_count == 1

    def test_stalled_and_back(self) -> None:
        """One that was cut goes on where it was, with the last event that it has whole."""
        sink = listen(self.hub, room=1000)
        self.log.commit(batch(3))
        sink.take(len(sink.held) - 10)
        self.log.commit(batch(20))
        self.log.commit(batch(20))
        self.pass_time(66)
        assert sink.aborted
        assert numbers_of(sink.received) == [1, 2]
        last_id = last_id_of(sink.received)
        assert last_id is not None
        back = listen(self.hub, start=Behind(last_id))
        assert numbers_of(back.received) == list(range(3, 44))

    def test_stalled_before_it_is_full(self) -> None:
        """What the transport holds counts, also while the subscriber is still live."""
        sink = listen(self.hub, room=10**6)
        self.log.commit(batch(1))
        self.pass_time(66)
        assert sink.aborted

    def test_stalled_on_a_transport_that_tells_nothing(self) -> None:
        """Where it is not known what the transport holds, being full for 60 seconds counts."""

        class Silent(MemorySink):
            def progress(self) -> Progress:
                return Progress(super().progress().written, 0)

        sink = Silent(room=10)
        sink.subscriber = self.hub.subscribe(sink)
        sink.subscriber.start()
        self.pass_time(50)
        sink.take_all()
        self.pass_time(20)
        assert not sink.aborted
        self.log.commit(batch(1))
        self.pass_time(66)
        assert sink.aborted

    def test_slow_is_not_stalled(self) -> None:
        """A client that takes a byte now and then is never cut."""
        sink = listen(self.hub, room=10)
        self.log.commit(batch(1))
        for _ in range(10):
            self.pass_time(50)
            sink.take(1)
        assert not sink.aborted

    def test_slow_and_live_is_not_stalled(self) -> None:
        """A client that takes as much as it is given, while some is always held, is not cut."""
        sink = listen(self.hub, room=10**6)
        self.log.commit(batch(9))
        for _ in range(10):
            self.pass_time(20)
            size = sum(map(len, sink.writes))
            self.log.commit(batch(1))
            sink.take(sum(map(len, sink.writes)) - size)
        assert not sink.aborted

    def test_waiting_for_the_log_is_not_stalling(self) -> None:
        """A subscriber that waits for a slow read is kept awake, and not cut."""
        self.log.commit(batch(1))
        self.hub = Hub(self.clock, self.log, tail_bytes=0)
        self.log.holding = True
        sink = listen(self.hub, start=EARLIEST)
        self.pass_time(200)
        assert not sink.aborted
        assert KEEP_ALIVE in sink.received
        self.log.answer()
        assert numbers_of(sink.received) == [1]

    def test_a_broken_subscriber_when_looked_at(self) -> None:
        """One that breaks when it is kept awake is cut and reported; the others are kept awake."""
        broken, sound = listen(self.hub), listen(self.hub)
        broken.broken = ZeroDivisionError("broken")
        self.pass_time(15)
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1
        assert broken.aborted
        assert sound.received.endswith(KEEP_ALIVE)
