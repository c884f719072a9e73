"""The figures of a server at work, as a Prometheus server reads them."""

from __future__ import annotations

from pathlib import Path

from tests.system import Server
from tests.test_operation_figures import samples
from tests.test_system_sessions import install_runner


def test_what_happened_stands_in_the_figures(tmp_path: Path) -> None:
    """Events, commits, sessions, spools, streams and requests are counted as they were."""
    install_runner(tmp_path, "echo one; echo two; read line")
    with Server(tmp_path) as server:
        session_id = server.start()
        stream = server.stream(f"sessionId={session_id}&lastEventId=earliest&types=log:info")
        for _ in range(2):
            next(stream)
        found = samples(server.request("GET", "/metrics").body)
        newest = int(server.get("/api/events/history?limit=1")["events"][-1]["id"].split("_")[1])
        stream.close()
        server.post(f"/api/sessions/{session_id}/stop")
        server.until_end(session_id)
    plain = {name: value for (name, labels), value in found.items() if not labels}
    assert 3 <= plain["loki_events_appended_total"] <= newest
    assert plain["loki_log_commit_duration_seconds_count"] >= 2
    assert plain["loki_spool_bytes"] == len("one\ntwo\n")
    assert plain["loki_stream_subscribers"] == 1
    assert plain["loki_ready"] == plain["loki_log_writable"] == 1
    assert found["loki_sessions", (("status", "running"),)] == 1
    started = (("method", "POST"), ("route", "/api/sessions"), ("status", "201"))
    assert found["loki_http_requests_total", started] == 1
