"""R3: a disk that has become read-only, as after an error of its own, and takes writes again."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import pytest

from tests.history import history
from tests.system import TIMEOUT, Server
from tests.test_system_failing_disk import is_ready, server_files
from tests.test_system_sessions import install_runner, until

pytestmark = pytest.mark.skipif(which("strace") is None, reason="strace is missing")

_READ_ONLY = "The log could not be written: its disk is read-only."


@contextmanager
def read_only(server: Server, trace: Path) -> Iterator[None]:
    """Have all writes to the log fail as on a file system that is read-only."""
    paths = [f"-P{path}" for path in server_files(server)]
    command = ("strace", "-f", "-p", str(server.pid), "-o", str(trace), *paths)
    calls = "write,pwrite64,fallocate,ftruncate"
    with subprocess.Popen(
        [*command, "-e", f"trace={calls}", "-e", f"inject={calls}:error=EROFS"],
        stderr=subprocess.PIPE,
        text=True,
    ) as tracer:
        assert tracer.stderr is not None
        assert "attached" in tracer.stderr.readline()
        try:
            yield
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(TIMEOUT)


def problems(server: Server) -> list[str]:
    """What is amiss."""
    return list(server.request("GET", "/health").json["problems"])


@pytest.mark.promise("R3", "R15")
def test_r3_a_disk_that_is_read_only(tmp_path: Path) -> None:
    """It is told though nobody writes, nobody is started, and an event says what may be missing."""
    install_runner(tmp_path, "echo began; exec sleep 300")
    with Server(tmp_path) as server:
        before = problems(server)
        running = server.start()
        server.wait_for(running, "log:info")
        (tmp_path / "other").mkdir()
        with read_only(server, tmp_path / "trace"):
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
