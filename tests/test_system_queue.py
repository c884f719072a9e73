"""Sessions that wait, on a real server that is killed, and commands that it may run or not."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.system import Server

PATIENT = {"LOKI_DEMO_SPEED": "50", "LOKI_DEMO_TIMEOUT": "600"}
QUEUED = "/api/sessions?status=queued"


def line(server: Server) -> list[str]:
    """The ids of those that wait, the next one first."""
    return [each["id"] for each in server.get(QUEUED)["sessions"]]


def project(home: Path, name: str) -> str:
    """A directory to work in."""
    (home / name).mkdir()
    return name


def test_the_line_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    """The next server has the same order, and gives the turns in it."""
    names = [project(tmp_path, name) for name in "abcd"]
    with Server(tmp_path, "--max-sessions", "1", **PATIENT) as server:
        first = server.start(provider="demo", projectDir=names[0])
        server.wait_for(first, "input:requested")
        refused = server.request("POST", "/api/sessions", {"provider": "demo", "projectDir": "b"})
        assert (refused.status, refused.json["code"]) == (429, "TOO_MANY_SESSIONS")
        low, middle = (
            server.start(provider="demo", projectDir=name, queue=True) for name in names[1:3]
        )
        high = server.start(provider="demo", projectDir=names[3], queue=True, priority=5)
        assert line(server) == [high, low, middle]
        server.kill()
    with Server(tmp_path, "--max-sessions", "1", **PATIENT) as server:
        assert line(server) == [high, low, middle]
        server.post(f"/api/sessions/{low}/stop")
        assert line(server) == [high, middle]
        for session, following in ((first, high), (high, middle)):
            server.post(f"/api/sessions/{session}/stop")
            assert server.until_end(session)[-1].type == "session:stopped"
            server.wait_for(following, "session:started")
        assert line(server) == []


def test_a_provider_has_so_many_slots(tmp_path: Path) -> None:
    """One more is refused with its name, and waits if it asks to, which is no matter to others."""
    (tmp_path / "b").mkdir()
    options = ("--max-per-provider", "demo=1", "--allow-commands")
    with Server(tmp_path, *options, **PATIENT) as server:
        first = server.start(provider="demo")
        wanted = {"provider": "demo", "projectDir": "b"}
        refused = server.request("POST", "/api/sessions", wanted)
        assert (refused.status, refused.json["code"]) == (429, "TOO_MANY_SESSIONS")
        assert refused.json["details"] == {"provider": "demo", "maxPerProvider": 1}
        waiting = server.start(**wanted, queue=True)
        reason = server.get(f"/api/sessions/{waiting}")["session"]["reason"]
        assert reason == refused.json["error"]
        server.post(f"/api/sessions/{first}/stop")
        server.wait_for(waiting, "session:started")


def test_any_program(tmp_path: Path) -> None:
    """It is told its prompt, speaks by the plain protocol, and its exit code is the end."""
    program = "print('[INFO] [echo] ' + input()); print('Starting testing phase'); exit(3)"
    wanted = {"provider": "command", "command": [sys.executable, "-c", program], "prompt": "a $B"}
    with Server(tmp_path, "--allow-commands") as server:
        session = server.start(**wanted)
        events = server.until_end(session)
        logs = [event.data for event in events if event.type == "log:info"]
        assert logs == [{"level": "info", "message": "a $B", "source": "echo"}]
        assert [e.data["phase"] for e in events if e.type == "phase:started"] == ["testing"]
        assert (events[-1].type, events[-1].data["exitCode"]) == ("session:failed", 3)
        assert server.get("/health")["providers"]["command"] is True
    with Server(tmp_path) as server:
        refused = server.request("POST", "/api/sessions", wanted)
        assert (refused.status, refused.json["code"]) == (422, "VALIDATION_ERROR")
        assert [each["path"] for each in refused.json["details"]["errors"]] == ["command"]
        assert server.get("/health")["providers"]["command"] is False
