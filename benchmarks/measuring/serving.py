"""A server for the time of a measurement, and what the others read off it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks.contestants.interface import Contestant, Server
from benchmarks.subscribers import Received
from benchmarks.workshop import Workshop

_LEAST_SECONDS: Final = 40
_PATIENCE: Final = 3


@contextmanager
def serving(contestant: Contestant, workshop: Workshop, *, loaded: int = 0) -> Iterator[Server]:
    """Start a contestant's server, and end it with the block."""
    server = contestant.start(workshop, loaded=loaded)
    try:
        yield server
    finally:
        server.stop()


def patience(seconds: float) -> float:
    """How long to wait for what would take so long if the server kept up."""
    return _LEAST_SECONDS + _PATIENCE * seconds


def generator_share(received: Received) -> float:
    """How busy the load program was while events came, in percent of one core."""
    if not received.wall_seconds:
        return 0.0
    return 100 * received.cpu_seconds / received.wall_seconds
