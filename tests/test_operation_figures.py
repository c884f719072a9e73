"""The figures for Prometheus: what stands in the page, and that it is one."""

from __future__ import annotations

from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from loki_twisted.model.tallies import Tally
from loki_twisted.operation.figures import Exposition, Readings
from loki_twisted.operation.stalls import QUIET_SECONDS, Stalls


def tally(*seconds: float) -> Tally:
    """Some durations."""
    counted = Tally()
    for each in seconds:
        counted.add(each)
    return counted


def readings(**changes: Any) -> Readings:
    """A server at work."""
    usual: dict[str, Any] = {
        "versions": {"version": "1.2.3", "python": "3.11.7"},
        "is_ready": lambda: True,
        "problems": lambda: 0,
        "requests": {
            ("/api/sessions", "GET", 200): tally(0.0004, 0.004),
            ("/api/sessions", "GET", 401): tally(0.0001),
            ("", "other", 501): tally(0.0),
        },
        "connections": lambda: 3,
        "sessions": lambda: {"running": 2, "failed": 0},
        "agents": lambda: 5,
        "spool_bytes": lambda: 1234,
        "inputs": lambda: 1,
        "newest": lambda: 17,
        "kept": lambda: 10,
        "is_writable": lambda: True,
        "commits": lambda: tally(0.002, 20.0),
        "subscribers": lambda: 4,
        "lag": lambda: 2,
        "stalls": Stalls(),
    }
    return Readings(**{**usual, **changes})


def samples(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The samples of a page, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_every_reading_has_its_figure() -> None:
    """What the rooms count is there by its name, and the process's own figures beside it."""
    found = samples(Exposition(readings()).page())
    plain = {name: value for (name, labels), value in found.items() if not labels}

    assert found["loki_build_info", (("python", "3.11.7"), ("version", "1.2.3"))] == 1
    assert found["loki_sessions", (("status", "running"),)] == 2
    assert found["loki_sessions", (("status", "failed"),)] == 0
    wanted = {
        "loki_ready": 1,
        "loki_problems": 0,
        "loki_http_connections": 3,
        "loki_agents_active": 5,
        "loki_spool_bytes": 1234,
        "loki_inputs_open": 1,
        "loki_events_appended_total": 17,
        "loki_events_kept": 10,
        "loki_log_writable": 1,
        "loki_log_commit_duration_seconds_count": 2,
        "loki_log_commit_duration_seconds_sum": 20.002,
        "loki_stream_subscribers": 4,
        "loki_stream_lag_events": 2,
    }
    assert {name: plain[name] for name in wanted} == wanted
    assert plain["process_resident_memory_bytes"] > 0


def test_requests_by_route_method_and_status() -> None:
    """Each is counted by all three; how long they took is told by route and method."""
    found = samples(Exposition(readings()).page())
    of_list = (("method", "GET"), ("route", "/api/sessions"))

    assert found["loki_http_requests_total", (*of_list, ("status", "200"))] == 2
    assert found["loki_http_requests_total", (*of_list, ("status", "401"))] == 1
    name = "loki_http_request_duration_seconds"
    assert found[f"{name}_count", of_list] == 3
    buckets = [found[f"{name}_bucket", (("le", le), *of_list)] for le in ("0.001", "0.005", "+Inf")]
    assert buckets == [2, 3, 3]


def test_it_is_read_when_it_is_asked_for() -> None:
    """A page says how it is, and the next one how it is then."""
    stalls = Stalls()
    exposition = Exposition(readings(stalls=stalls))
    before = samples(exposition.page())
    stalls.note(0.5, 0.0)
    after = samples(exposition.page())

    assert before["loki_reactor_stalls_total", ()] == 0
    assert after["loki_reactor_stalls_total", ()] == 1
    assert after["loki_reactor_stall_seconds_total", ()] == 0.5
    assert after["loki_reactor_stall_longest_seconds", ()] == 0.5


def test_others_keep_their_registry() -> None:
    """Nothing of ours is in the registry that programs share, however many servers there are."""
    Exposition(readings())
    Exposition(readings())
    assert not any(family.name.startswith("loki_") for family in REGISTRY.collect())


def test_of_many_stalls_few_are_told() -> None:
    """One is told, then none for a while, and then how many there were meanwhile."""
    stalls = Stalls()
    assert [stalls.note(0.1, now) for now in (0.0, 1.0, QUIET_SECONDS - 0.1)] == [0, None, None]
    assert [stalls.note(0.2, QUIET_SECONDS + now) for now in (0.0, 0.1)] == [2, None]
    assert (stalls.count, round(stalls.seconds, 9), stalls.longest) == (5, 0.7, 0.2)
