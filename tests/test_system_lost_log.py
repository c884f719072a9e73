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
        session_id = server.start()
        server.wait_for(session_id, "log:info")
        before = server.session(session_id)
        server.stop()
    spoil(tmp_path)
    with Server(tmp_path) as server:
        server.wait_for(session_id, "log:info")
        found = server.session(session_id)
        for name in ("status", "pid", "projectDir", "provider", "drivenBy"):
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
