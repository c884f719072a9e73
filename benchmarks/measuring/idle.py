"""Subscribers with nothing to read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from benchmarks.contestants.interface import Contestant
from benchmarks.measuring.serving import serving
from benchmarks.procfs import resident_mb
from benchmarks.subscribers import Subscribers
from benchmarks.works import Idle
from benchmarks.workshop import Workshop

_FIRST: Final = 100
_SETTLE_SECONDS: Final = 1.0  # nothing tells when a server has done all that a connection means


def measure_idle(contestant: Contestant, work: Idle, workshop: Workshop) -> Mapping[str, float]:
    """
    Measure what a subscriber more costs in memory of the server's processes.

    Some are there before, so that what the first of them costs is not counted. What the kernel
    keeps for a connection is not memory of the process.
    """
    targets = contestant.streams(1)
    with (
        serving(contestant, workshop) as server,
        Subscribers(workshop, server.port, targets, _FIRST),
    ):
        time.sleep(_SETTLE_SECONDS)
        before = resident_mb(server.pids)
        with Subscribers(workshop, server.port, targets, work.connections):
            time.sleep(_SETTLE_SECONDS)
            grown = resident_mb(server.pids) - before
    return {"each_kb": grown * 1000 / work.connections}
