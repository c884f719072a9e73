"""R3: a disk that has become read-only, as after an error of its own, and takes writes again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.disks import disk_that, is_ready, needs_strace, problems
from tests.history import history
from tests.system import Server
from tests.test_system_sessions import install_runner, until

pytestmark = needs_strace

_WRITES = "write,pwrite64,fallocate,ftruncate"
_READ_ONLY = "The log could not be written: its disk is read-only."


@pytest.mark.promise("R3", "R15")
def test_r3_a_disk_that_is_read_only(tmp_path: Path) -> None:
    """It is told though nobody writes, nobody is started, and an event says what may be missing."""
    install_runner(tmp_path, "echo began; exec sleep 300")
    with Server(tmp_path) as server:
        before = problems(server)
        running = server.start()
        server.wait_for(running, "log:info")
        (tmp_path / "other").mkdir()
        with disk_that(server, tmp_path / "trace", _WRITES, f"{_WRITES}:error=EROFS"):
            until(lambda: _READ_ONLY in problems(server))
            until(lambda: any("is lost" in each for each in problems(server)))
            assert not is_ready(server)
            refused = server.request("POST", "/api/sessions", {"projectDir": "other"})
            assert (refused.status, refused.json["code"]) == (503, "SERVICE_UNAVAILABLE")
            assert server.session(running)["status"] == "running"
        until(lambda: problems(server) == before and is_ready(server))
        told = server.wait_for(running, "log:warn")
        assert "The disk was read-only for" in told.data["message"]
        assert server.start(projectDir="other")
        server.post(f"/api/sessions/{running}/stop")
        assert server.until_end(running)[-1].type == "session:stopped"
        numbers = [told.number for told in history(server)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert server.stop() == 0
