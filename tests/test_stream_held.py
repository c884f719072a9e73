"""How much is held for a client that takes nothing, or little."""

from __future__ import annotations

import pytest
from twisted.internet.abstract import FileDescriptor
from twisted.internet.task import Clock

from loki_twisted.stream.hub import Hub
from loki_twisted.stream.position import Behind
from tests.fakes_log import FakeLog
from tests.fakes_stream import MemorySink, batch, listen, numbers_of

MOST = 256 * 1024

# As many lines as one read of an agent's output gives, or nearly, and how long each is.
LINES = [(250, 1000), (1000, 10), (1000, 250), (3, 64_000)]


def rest_of(sink: MemorySink, hub: Hub) -> list[int]:
    """All that a client has in the end, when it takes what there is."""
    sink.take_all()
    assert hub.lag() == 0
    return numbers_of(sink.received)


@pytest.mark.promise("R7")
@pytest.mark.parametrize("takes", [0, 10_000, 60_000, 200_000])
@pytest.mark.parametrize(("count", "length"), LINES)
def test_live(count: int, length: int, takes: int) -> None:
    """What is published makes the queue of a client no longer than 256 KiB, and nothing is lost."""
    log = FakeLog()
    hub = Hub(Clock(), log)
    sink = listen(hub, room=FileDescriptor.bufferSize)
    for number in range(20):
        # So that the transport is filled to any level when the big one comes.
        log.commit(batch(1, padding="x" * (number * 3000)))
        assert len(sink.held) < MOST
        log.commit(batch(count, padding="x" * length))
        assert len(sink.held) < MOST
        sink.take(takes)
    assert rest_of(sink, hub) == list(range(1, 20 * (count + 1) + 1))


@pytest.mark.parametrize("takes", [10_000, 60_000, 200_000])
@pytest.mark.parametrize(("count", "length"), LINES)
def test_replay(count: int, length: int, takes: int) -> None:
    """Nor does what is read from the log."""
    log = FakeLog()
    for _ in range(10):
        log.commit(batch(count, padding="x" * length))
    hub = Hub(Clock(), log)
    sink = listen(hub, start=Behind("earliest"), room=FileDescriptor.bufferSize)
    while sink.held:
        assert len(sink.held) < MOST
        sink.take(takes)
    assert rest_of(sink, hub) == list(range(1, 10 * count + 1))
