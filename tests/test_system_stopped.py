"""A server that is held up while its state directory is turned over sees it all in the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.system import Server

PATIENCE = 25.0  # less than the time after which it looks at everything without any notice
PROMISED_SECONDS = 3.0
MANY = 20_000  # more notices than the kernel keeps, unless somebody has changed that


def write(place: Path, **files: Any) -> None:
    """Write state files of a session, with all directories on the way, by renaming."""
    place.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (place / "new").write_text(json.dumps(value), encoding="utf-8")
        os.replace(place / "new", place / f"{name}.json")


def known(server: Server) -> dict[str, Any]:
    """What a client sees of all sessions: status, agents at work, tasks."""
    found = {}
    for session in server.get("/api/sessions")["sessions"]:
        details = server.get(f"/api/sessions/{session['id']}")
        tasks = server.get(f"/api/sessions/{session['id']}/tasks")["tasks"]
        found[session["id"]] = (
            session["status"],
            details["agents"]["active"],
            {task["id"]: task["status"] for task in tasks},
        )
    return found


def wait_for(server: Server, expected: dict[str, Any]) -> float:
    """Wait until a client sees what is expected; gives the seconds that it took."""
    began = time.monotonic()
    while (seen := known(server)) != expected:
        assert time.monotonic() - began < PATIENCE, (seen, expected)
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.promise("R18")
def test_what_happened_while_it_was_held_up_is_seen(tmp_path: Path, is_full: bool) -> None:
    """After SIGSTOP, more changes than the kernel has room to tell of, and SIGCONT, all is true."""
    sessions = tmp_path / ".loki" / "sessions"
    task = {"id": "t", "title": "T"}
    for name in ("gone", "moved", "changed", "replaced"):
        write(sessions / name, session={"status": "running"}, tasks=[{**task, "status": "pending"}])
    with Server(tmp_path) as server:
        running = ("running", 0, {"t": "pending"})
        wait_for(server, dict.fromkeys(("gone", "moved", "changed", "replaced"), running))
        os.kill(server.pid, signal.SIGSTOP)
        try:
            busy = sessions / "changed" / "busy"
            for _ in range(MANY):
                os.close(os.open(busy, os.O_CREAT))
                busy.unlink()
            shutil.rmtree(sessions / "gone")
            (sessions / "moved").rename(sessions / "arrived")
            shutil.rmtree(sessions / "replaced")
            write(sessions / "replaced", tasks=[{"id": "u", "title": "U", "status": "done"}])
            write(sessions / "replaced", session={"status": "failed"})
            write(sessions / "changed", tasks=[{**task, "status": "done"}])
            write(sessions / "deep", agents={"active": [{"id": "a"}]}, session={"status": "paused"})
        finally:
            os.kill(server.pid, signal.SIGCONT)
        seconds = wait_for(
            server,
            {
                "gone": ("stopped", 0, {"t": "pending"}),
                "moved": ("stopped", 0, {"t": "pending"}),
                "arrived": running,
                "changed": ("running", 0, {"t": "completed"}),
                "replaced": ("failed", 0, {"u": "completed"}),
                "deep": ("paused", 1, {}),
            },
        )
        assert not is_full or seconds <= PROMISED_SECONDS
