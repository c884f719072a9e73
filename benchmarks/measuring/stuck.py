"""Readers beside some that never read."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.contestants.interface import Contestant
from benchmarks.measuring.serving import generator_share, patience, serving
from benchmarks.procfs import peak_mb, resident_mb
from benchmarks.subscribers import Subscribers
from benchmarks.works import Stuck
from benchmarks.workshop import Workshop


def measure_stuck(contestant: Contestant, work: Stuck, workshop: Workshop) -> Mapping[str, float]:
    """Measure what those who never read cost the others, and what memory they take."""
    without = _once(contestant, work, workshop, stuck=0)
    beside = _once(contestant, work, workshop, stuck=work.stuck)
    return {
        "p99_without_ms": without["p99_ms"],
        "p99_with_ms": beside["p99_ms"],
        "p99_ratio": beside["p99_ms"] / without["p99_ms"],
        "growth_without_mb": without["growth_mb"],
        "growth_mb": beside["growth_mb"],
        "generator": beside["generator"],
    }


def _once(
    contestant: Contestant, work: Stuck, workshop: Workshop, *, stuck: int
) -> Mapping[str, float]:
    with (
        serving(contestant, workshop) as server,
        Subscribers(
            workshop,
            server.port,
            contestant.streams(1),
            work.readers,
            events=work.lines.count,
            seconds=patience(work.lines.seconds),
            stuck=stuck,
        ) as subscribers,
    ):
        before = resident_mb(server.pids)
        server.feed(work.lines)
        received = subscribers.received()
        server.settle()
        return {
            "p99_ms": received.p99_ms,
            "growth_mb": max(0.0, peak_mb(server.pids) - before),
            "generator": generator_share(received),
        }
