"""R16: agents at work while the log is damaged, or is a copy of yesterday."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system import Server
from tests.test_system_sessions import install_runner, messages

SCRIPT = """
echo began
until [ -e enough ]; do sleep 0.02; done
echo ends
exit 7
"""
LOG = ".loki/server/log.db"


def cut_in_half(home: Path) -> None:
    """Damage the log, as a copy does that was not finished."""
    whole = (home / LOG).read_bytes()
    (home / LOG).write_bytes(whole[: len(whole) // 2])


def take_yesterdays(home: Path) -> None:
    """Put a copy in the place of the log, in which the session is not."""
    shutil.copy(home / "yesterday", home / LOG)


@pytest.mark.promise("R16")
@pytest.mark.parametrize("spoil", [cut_in_half, take_yesterdays])
def test_agents_are_found_all_the_same(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """Their sessions are on record again, with all that was printed, block others, and end."""
    install_runner(tmp_path, SCRIPT)
    with Server(tmp_path) as server:
        server.stop()
    shutil.copy(tmp_path / LOG, tmp_path / "yesterday")
    with Server(tmp_path) as server:
        session_id = server.start(priority=7)
        server.wait_for(session_id, "log:info")
        before = server.session(session_id)
        server.stop()
    spoil(tmp_path)
    with Server(tmp_path) as server:
        server.wait_for(session_id, "log:info")
        found = server.session(session_id)
        for name in (
            "status",
            "pid",
            "projectDir",
            "provider",
            "drivenBy",
            "startedAt",
            "priority",
        ):
            assert found[name] == before[name]
        refused = server.request("POST", "/api/sessions", {})
        assert (refused.status, refused.json["code"]) == (409, "SESSION_ALREADY_RUNNING")
        (tmp_path / "enough").touch()
        events = server.until_end(session_id)
        assert messages(events) == ["began", "ends"]
        assert events[-1].data["exitCode"] == 7
        server.stop()
    with Server(tmp_path) as server:
        assert server.get("/api/sessions")["total"] == 1


@pytest.mark.promise("R16")
def test_limits_hold_all_the_same(tmp_path: Path) -> None:
    """A session whose log was lost is stopped when its time is over."""
    install_runner(tmp_path, SCRIPT)
    with Server(tmp_path) as server:
        session_id = server.start(options={"timeout": 3_000})
        server.wait_for(session_id, "log:info")
        server.kill()
    (tmp_path / LOG).write_bytes(b"no log")
    with Server(tmp_path) as server:
        server.until_end(session_id)
        ended = server.session(session_id)
        assert (ended["status"], ended["reasonCode"]) == ("stopped", "timed_out")


@pytest.mark.promise("R16")
def test_one_that_waits_by_an_older_log_is_at_work(tmp_path: Path) -> None:
    """It was queued when the log was copied: its agent is found, and not started again."""
    install_runner(tmp_path, SCRIPT)
    with Server(tmp_path, "--max-sessions", "1") as server:
        first = server.start()
        (tmp_path / "other").mkdir()
        session_id = server.start(projectDir="other", queue=True)
        server.stop()
    shutil.copy(tmp_path / LOG, tmp_path / "yesterday")
    with Server(tmp_path, "--max-sessions", "1") as server:
        (tmp_path / "enough").touch()
        server.until_end(first)
        server.wait_for(session_id, "log:info")
        before = server.session(session_id)
        server.stop()
    take_yesterdays(tmp_path)
    with Server(tmp_path, "--max-sessions", "1") as server:
        server.wait_for(session_id, "log:info")
        assert server.session(session_id)["pid"] == before["pid"]
        (tmp_path / "other" / "enough").touch()
        events = server.until_end(session_id)
        assert messages(events) == ["began", "ends"]
        assert events[-1].data["exitCode"] == 7
