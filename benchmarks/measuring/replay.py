"""A log with many events in it: how long a start takes, and reading all of it."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.contestants.interface import Contestant
from benchmarks.measuring.serving import generator_share, patience, serving
from benchmarks.procfs import peak_mb, resident_mb
from benchmarks.subscribers import Subscribers
from benchmarks.works import Replay, Start
from benchmarks.workshop import Workshop


def measure_start(contestant: Contestant, work: Start, workshop: Workshop) -> Mapping[str, float]:
    """Measure the time from starting the program to its first good answer."""
    with serving(contestant, workshop, loaded=work.events) as server:
        return {"ready_s": server.ready_seconds}


def measure_replay(contestant: Contestant, work: Replay, workshop: Workshop) -> Mapping[str, float]:
    """Measure how fast one subscriber gets all there is, from its request on."""
    with serving(contestant, workshop, loaded=work.events) as server:
        before = resident_mb(server.pids)
        with Subscribers(
            workshop,
            server.port,
            [contestant.everything],
            1,
            events=work.events,
            seconds=patience(0),
        ) as subscribers:
            server.replay(work.events)
            received = subscribers.received()
        return {
            "rate": received.delivered / received.seconds_since_request,
            "before_mb": before,
            "growth_mb": max(0.0, peak_mb(server.pids) - before),
            "generator": generator_share(received),
        }
