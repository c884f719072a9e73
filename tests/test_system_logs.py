"""T-log: what a server writes down, in either format, and that no token is in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system import HOMES, TIMEOUT, Server
from tests.test_system_sessions import install_runner

SECRET = "SECRETXYZ-0123456789"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_t_log_no_token_is_in_the_log_or_the_data(tmp_path: Path, log_format: str) -> None:
    """However a token is sent, right or in the wrong place, nothing keeps it."""
    install_runner(tmp_path, "env")
    options = ("--log-format", log_format, "--access-log", "--debug")
    with Server(tmp_path, *options, LOKI_API_TOKEN=SECRET) as server:
        bearer = {"Authorization": f"Bearer {SECRET}"}
        statuses = [
            server.request("GET", path, **headers).status
            for path, headers in (
                ("/api/status", bearer),
                (f"/api/status?token={SECRET}", {}),
                (f"/api/events/history?ticket={SECRET}&limit=x", bearer),
                ("/api/status", {"Authorization": f"Bearer {SECRET}x"}),
                ("/api/status", {"X-API-Key": f"{SECRET}y"}),
                (f"/api/nothing/{'x' * 20}?access_token={SECRET}", bearer),
            )
        ]
        assert statuses == [200, 401, 422, 401, 401, 401]
        session_id = server.post("/api/sessions", {}, 201)["sessionId"]
        server.until_end(session_id)
        assert server.stop() == 0
    assert [line for line in server.said if SECRET in line] == []
    assert any(" /api/status " in line for line in server.said)
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in kept if SECRET.encode() in path.read_bytes()] == []


def test_json_lines_name_requests_and_sessions(tmp_path: Path) -> None:
    """Each line is an object; a request is told with its id, its session, status and time."""
    with Server(tmp_path, "--log-format", "json", "--access-log") as server:
        server.request("GET", "/api/sessions/session_1?x=1", **{"X-Request-ID": "mine"})
        assert server.stop() == 0
    told = [json.loads(line) for line in server.said]
    assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, told))
    (request,) = [each for each in told if each.get("requestId") == "mine"]
    assert request["logger"] == "loki_twisted.web.access"
    assert (request["method"], request["path"]) == ("GET", "/api/sessions/session_1")
    assert (request["sessionId"], request["peer"]) == ("session_1", "127.0.0.1")
    assert request["status"] == 422


def test_twistd_writes_json_too(tmp_path: Path) -> None:
    """Under twistd the same option means the same."""
    run = "from twisted.scripts.twistd import run; run()"
    words = ("-c", run, "-n", "--pidfile=", "loki", "--port", "0", "--log-format", "json")
    HOMES.add(tmp_path)
    with subprocess.Popen(
        [sys.executable, *words],
        cwd=tmp_path,
        env={**os.environ, "LOKI_DIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "Listening on" in json.loads(line)["message"]:
                break
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.readlines()
        process.wait(TIMEOUT)
    assert [line for line in rest if not line.startswith("{")] == []
