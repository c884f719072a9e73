"""Heartbeats of running sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.model.filters import EventFilter
from loki_twisted.stream.heartbeat import Heartbeats
from loki_twisted.stream.hub import Hub
from tests.fakes_log import START_MS, FakeLog
from tests.fakes_stream import OTHER, SESSION, frames_of, last_id_of, listen, named


class HeartbeatsTests(SynchronousTestCase):
    """Heartbeats on a clock of the test's."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.hub = Hub(self.clock, FakeLog())
        self.asked = 0
        self.trouble: Exception | None = None
        self.heartbeats = Heartbeats(
            self.clock,
            self.hub,
            lambda: START_MS + int(self.clock.seconds() * 1000),
            self.beats,
        )

    def beats(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        """Two sessions run."""
        self.asked += 1
        for session_id in (SESSION, OTHER):
            yield session_id, {"uptime": 5, "activeAgents": 1, "queuedTasks": 2}
            if self.trouble is not None:
                raise self.trouble

    def test_each_session(self) -> None:
        """Every 10 seconds each client gets one for each running session that it wants."""
        everything, one = listen(self.hub), listen(self.hub, EventFilter(OTHER))
        self.heartbeats.start()
        self.clock.advance(9.9)
        assert named(everything.received, "heartbeat") == []
        self.clock.advance(0.1)
        told = named(everything.received, "heartbeat")
        assert [each["sessionId"] for each in told] == [SESSION, OTHER]
        assert [each["id"] for each in told] == [f"hb_{START_MS + 10000}"] * 2
        assert [each["data"] for each in told] == [
            {"uptime": 5, "activeAgents": 1, "queuedTasks": 2}
        ] * 2
        assert [each["sessionId"] for each in named(one.received, "heartbeat")] == [OTHER]
        self.clock.advance(10)
        assert len(named(one.received, "heartbeat")) == 2
        for sink in (everything, one):
            assert {frame.id for frame in frames_of(sink.received) if frame.event} == {None}
            assert last_id_of(sink.received) == "evt_0_0"

    def test_nobody_listens(self) -> None:
        """While nobody listens, nobody is asked."""
        self.heartbeats.start()
        self.clock.advance(30)
        assert self.asked == 0

    def test_trouble(self) -> None:
        """A source that fails is reported, and asked again the next time."""
        sink = listen(self.hub)
        self.heartbeats.start()
        self.trouble = ZeroDivisionError("trouble")
        self.clock.advance(10)
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1
        self.trouble = None
        self.clock.advance(10)
        assert len(named(sink.received, "heartbeat")) == 3

    def test_start_and_stop(self) -> None:
        """Both may be asked for twice, and after the end nothing is left that runs."""
        self.heartbeats.stop()
        self.heartbeats.start()
        self.heartbeats.start()
        assert len(self.clock.getDelayedCalls()) == 1
        self.heartbeats.stop()
        self.heartbeats.stop()
        assert self.clock.getDelayedCalls() == []
