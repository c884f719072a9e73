"""
The figures of a server, in one table, and their format.

A figure is read when somebody asks for it. What happens often is counted by those to whom it
happens, in plain numbers; nothing here costs anything while nobody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import attrs
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from loki_twisted.model.tallies import Tally
from loki_twisted.operation.stalls import Stalls

Requests = Mapping[tuple[str, str, int], Tally]
"""By route, method and status."""


@attrs.frozen(kw_only=True)
class Readings:
    """
    Where the figures come from. All of it is asked in the reactor's thread.

    :ivar versions: Of the server and of what it is made with, by name.
    :ivar is_ready: Whether it takes work.
    :ivar problems: How many things do not work as they should.
    :ivar connections: How many clients are connected.
    :ivar sessions: How many there are, by status.
    :ivar agents: How many agents are active in sessions at work, those of agents included.
    :ivar spool_bytes: How much the agents at work have printed.
    :ivar inputs: How many questions of agents are open.
    :ivar newest: The number of the newest event.
    :ivar kept: How many events the log holds.
    :ivar is_writable: Whether the log can be written.
    :ivar subscribers: How many streams there are.
    :ivar lag: How many events the slowest of them is behind.
    """

    versions: Mapping[str, str]
    is_ready: Callable[[], bool]
    problems: Callable[[], int]
    requests: Requests
    connections: Callable[[], int]
    sessions: Callable[[], Mapping[str, int]]
    agents: Callable[[], int]
    spool_bytes: Callable[[], int]
    inputs: Callable[[], int]
    newest: Callable[[], int]
    kept: Callable[[], int]
    is_writable: Callable[[], bool]
    commits: Callable[[], Tally]
    subscribers: Callable[[], int]
    lag: Callable[[], int]
    stalls: Stalls


@attrs.frozen(eq=False)
class Figures(Collector):
    """
    Makes metrics of readings.

    :ivar readings: What is asked.
    """

    readings: Readings

    def collect(self) -> Iterable[Metric]:
        """Ask, and say it in Prometheus's words."""
        yield from self._of_server()
        yield from self._of_requests()
        yield from self._of_work()
        yield from self._of_log()
        yield from self._of_reactor()

    def _of_server(self) -> Iterable[Metric]:
        now = self.readings
        build = GaugeMetricFamily("loki_build_info", "What runs: always 1.", labels=[*now.versions])
        build.add_metric([*now.versions.values()], 1)
        yield build
        yield _gauge("loki_ready", "Whether the server takes work.", now.is_ready())
        yield _gauge("loki_problems", "Things that /health tells to be amiss.", now.problems())

    def _of_requests(self) -> Iterable[Metric]:
        requests = CounterMetricFamily(
            "loki_http_requests",
            "Requests that were answered; a stream counts when it begins.",
            labels=["route", "method", "status"],
        )
        durations = HistogramMetricFamily(
            "loki_http_request_duration_seconds",
            "From a request to its answer; of a stream, to its beginning.",
            labels=["route", "method"],
        )
        by_route: dict[tuple[str, str], Tally] = {}
        for (route, method, status), tally in sorted(self.readings.requests.items()):
            requests.add_metric([route, method, str(status)], tally.count)
            by_route.setdefault((route, method), Tally()).absorb(tally)
        for labels, tally in by_route.items():
            durations.add_metric(list(labels), _buckets(tally), tally.total)
        yield requests
        yield durations
        connections = self.readings.connections()
        yield _gauge("loki_http_connections", "Clients that are connected.", connections)

    def _of_work(self) -> Iterable[Metric]:
        now = self.readings
        sessions = GaugeMetricFamily("loki_sessions", "Sessions by status.", labels=["status"])
        for status, count in now.sessions().items():
            sessions.add_metric([status], count)
        yield sessions
        yield _gauge("loki_agents_active", "Agents at work, those of agents too.", now.agents())
        spools = now.spool_bytes()
        yield _gauge("loki_spool_bytes", "What the agents at work have printed.", spools)
        yield _gauge("loki_inputs_open", "Questions of agents that are open.", now.inputs())

    def _of_log(self) -> Iterable[Metric]:
        now = self.readings
        appended = CounterMetricFamily("loki_events_appended", "Events that the log ever took.")
        appended.add_metric([], now.newest())
        yield appended
        yield _gauge("loki_events_kept", "Events that the log holds.", now.kept())
        yield _gauge("loki_log_writable", "Whether the log can be written.", now.is_writable())
        commits = HistogramMetricFamily("loki_log_commit_duration_seconds", "Commits of the log.")
        made = now.commits()
        commits.add_metric([], _buckets(made), made.total)
        yield commits
        yield _gauge("loki_stream_subscribers", "Streams of events.", now.subscribers())
        yield _gauge("loki_stream_lag_events", "How far the slowest stream is behind.", now.lag())

    def _of_reactor(self) -> Iterable[Metric]:
        stalls = self.readings.stalls
        count = CounterMetricFamily("loki_reactor_stalls", "Turns of more than 50 ms.")
        count.add_metric([], stalls.count)
        yield count
        seconds = CounterMetricFamily("loki_reactor_stall_seconds", "How long those were together.")
        seconds.add_metric([], stalls.seconds)
        yield seconds
        longest = "How long the longest of them was."
        yield _gauge("loki_reactor_stall_longest_seconds", longest, stalls.longest)


class Exposition:
    """
    The figures as a page for Prometheus.

    The registry is our own: what else a program has in the global one is not shown by us.
    """

    def __init__(self, readings: Readings) -> None:
        self._registry: Final = CollectorRegistry(auto_describe=False)
        self._registry.register(Figures(readings))
        ProcessCollector(registry=self._registry)

    def page(self) -> bytes:
        """Read all figures."""
        return generate_latest(self._registry)


def _gauge(name: str, help_: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_, value=value)


def _buckets(tally: Tally) -> list[tuple[str, float]]:
    return [(_bound(bound), count) for bound, count in tally.cumulative()]


def _bound(seconds: float) -> str:
    return "+Inf" if seconds == float("inf") else repr(seconds)
