"""R14 and R25: starting after a crash, in the middle of one, and beside another server."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from benchmarks.history_logs import build
from tests.figures import tell
from tests.history import history
from tests.system import TIMEOUT, Server
from tests.test_system_server import refused

WRITTEN = ("log.db-wal", "log.db-shm")
MOST_READY_SECONDS = 3.0
MOST_REFUSED_SECONDS = 2.0


def start_and_kill(home: Path, seconds: float) -> None:
    """Start a server, and kill it while it starts, or has."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("LOKI_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "loki_twisted", "serve", "--port", "0"],
        cwd=home,
        env={**clean, "LOKI_DIR": str(home)},
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    assert process.wait(TIMEOUT) == -signal.SIGKILL


@pytest.mark.promise("R14")
@pytest.mark.timeout(900)
def test_r14_killed_at_any_moment_of_its_start(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    However often a server is killed while it starts, the next one has every event.

    With the long figures: it is ready within 3 seconds with 100,000 events.
    """
    kills, events = (50, 100_000) if is_full else (5, 2_000)
    chance = random.Random(14)
    data = tmp_path / ".loki" / "server"
    data.parent.mkdir()
    build(data, events, 10)
    for _ in range(kills):
        start_and_kill(tmp_path, chance.uniform(0.0, 1.0))
    began = time.monotonic()
    with Server(tmp_path) as server:
        ready = time.monotonic() - began
        assert server.get("/health/ready") == {"ready": True}
        numbers = [told.number for told in history(server)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= events
        assert server.stop() == 0
    if is_full:
        tell(capsys, f"{kills} kills, {len(numbers)} events: ready after {ready:.2f} s")
        assert ready <= MOST_READY_SECONDS


def state_of(directory: Path) -> dict[str, bytes]:
    """Digests of all files by path; of those that a server always writes to only that they are."""
    return {
        str(path): b"" if path.name in WRITTEN else sha256(path.read_bytes()).digest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@pytest.mark.promise("R25")
@pytest.mark.timeout(900)
def test_r25_a_second_server_changes_nothing(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Neither one on the same port nor one on the same data disturbs the first, and both say why.

    With the long figures: each within 2 seconds, 20 times.
    """
    took = []
    with Server(tmp_path) as server:
        before = state_of(tmp_path)
        for _ in range(20 if is_full else 2):
            port = str(server.port)
            for options, words in (
                (("--host", "127.0.0.1", "--port", port), f"by process {server.pid};"),
                (("--port", "0"), "in use by another server"),
            ):
                began = time.monotonic()
                (line,) = refused(tmp_path, *options)
                took.append(time.monotonic() - began)
                assert words in line
        assert state_of(tmp_path) == before
        assert server.get("/health/ready") == {"ready": True}
    if is_full:
        tell(capsys, f"{len(took)} refusals, the slowest after {max(took):.2f} s")
        assert max(took) <= MOST_REFUSED_SECONDS


@pytest.mark.promise("R14", "R25")
def test_r25_its_port_is_free_when_it_is_gone(tmp_path: Path, is_full: bool) -> None:
    """A server that was killed while it had clients leaves its port and its data to the next."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for _ in range(20 if is_full else 2):
        # A later option counts.
        with Server(tmp_path, "--host", "127.0.0.1", "--port", str(port)) as server:
            assert server.port == port
            stream = server.stream()
            with socket.create_connection(("127.0.0.1", port), TIMEOUT):
                server.kill()
            stream.close()
