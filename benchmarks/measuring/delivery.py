"""Lines on their way to many subscribers."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.contestants.interface import Contestant
from benchmarks.measuring.serving import generator_share, patience, serving
from benchmarks.procfs import Cpu, cpu_of, peak_mb
from benchmarks.subscribers import Received, Subscribers
from benchmarks.works import Delivery
from benchmarks.workshop import Workshop


def measure_delivery(
    contestant: Contestant, work: Delivery, workshop: Workshop
) -> Mapping[str, float]:
    """Measure how fast lines reach all subscribers, how late, and what that costs the server."""
    with (
        serving(contestant, workshop) as server,
        Subscribers(
            workshop,
            server.port,
            contestant.streams(work.filters),
            work.subscribers,
            events=work.lines.count,
            seconds=patience(work.lines.seconds),
        ) as subscribers,
    ):
        before = cpu_of(server.pids)
        server.feed(work.lines)
        received = subscribers.received()
        cpu = cpu_of(server.pids) - before
        server.settle()
        return delivery_figures(received, cpu, peak_mb(server.pids))


def delivery_figures(received: Received, cpu: Cpu, peak: float) -> Mapping[str, float]:
    """
    Work out the figures.

    :param cpu: What the server used.
    :param peak: The most memory it had, in MB.
    """
    return {
        "rate": received.delivered / received.seconds,
        "p50_ms": received.p50_ms,
        "p99_ms": received.p99_ms,
        "cpu": cpu.total,
        "cpu_user": cpu.user,
        "cpu_system": cpu.system,
        "cpu_us": cpu.total * 1e6 / received.delivered,
        "peak_mb": peak,
        "generator": generator_share(received),
    }
