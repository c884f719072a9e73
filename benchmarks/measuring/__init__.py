"""
Measuring: each kind of work in a file of its own, for any contestant.

Every measurement starts a server anew, so that none finds what another has left.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.contestants.interface import Contestant
from benchmarks.measuring.delivery import measure_delivery
from benchmarks.measuring.idle import measure_idle
from benchmarks.measuring.replay import measure_replay, measure_start
from benchmarks.measuring.requests import measure_requests
from benchmarks.measuring.stuck import measure_stuck
from benchmarks.works import Delivery, Idle, Replay, Requests, Start, Stuck, Work
from benchmarks.workshop import Workshop


def measure(contestant: Contestant, work: Work, workshop: Workshop) -> Mapping[str, float]:
    """
    Have a contestant do a work.

    :returns: The figures, by key.
    :raises Trouble: if it did not do all of it, exactly.
    """
    match work:
        case Delivery():
            return measure_delivery(contestant, work, workshop)
        case Stuck():
            return measure_stuck(contestant, work, workshop)
        case Idle():
            return measure_idle(contestant, work, workshop)
        case Requests():
            return measure_requests(contestant, work, workshop)
        case Start():
            return measure_start(contestant, work, workshop)
        case Replay():
            return measure_replay(contestant, work, workshop)
