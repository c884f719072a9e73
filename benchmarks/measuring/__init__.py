"""
Measuring: each kind of work in a file of its own, for any contestant.

Every measurement starts a server anew, so that none finds what another has left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks.contestants.interface import Contestant
from benchmarks.measuring.delivery import measure_delivery
from benchmarks.measuring.idle import measure_idle
from benchmarks.measuring.journey import measure_journey
from benchmarks.measuring.replay import measure_replay, measure_start
from benchmarks.measuring.requests import measure_requests
from benchmarks.measuring.stuck import measure_stuck
from benchmarks.works import Delivery, Idle, Journey, Replay, Requests, Start, Stuck, Work
from benchmarks.workshop import Workshop

_MEASURES: Final[Mapping[type, Callable[[Contestant, Any, Workshop], Mapping[str, float]]]] = {
    Delivery: measure_delivery,
    Stuck: measure_stuck,
    Idle: measure_idle,
    Requests: measure_requests,
    Start: measure_start,
    Replay: measure_replay,
    Journey: measure_journey,
}


def measure(contestant: Contestant, work: Work, workshop: Workshop) -> Mapping[str, float]:
    """
    Have a contestant do a work.

    :returns: The figures, by key.
    :raises Trouble: if it did not do all of it, exactly.
    """
    return _MEASURES[type(work)](contestant, work, workshop)
