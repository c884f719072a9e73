"""R22: a server that has hardly any file descriptors, and more clients than those."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.figures import tell
from tests.system import TIMEOUT, Server
from tests.test_system_sessions import install_runner

FILES = 256
IDLE = 400
MOST_RECOVERY_SECONDS = 5.0
MOST_PROCESSOR_SHARE = 0.2


@contextlib.contextmanager
def few_files() -> Iterator[None]:
    """Have what is started meanwhile have few descriptors."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


class Early:
    """A client that was there before all others, and stays."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        self.order("GET", "/api/status", 200)  # from then on it is known to be ours

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._connection.close()

    def order(self, method: str, path: str, status: int) -> Any:
        """Order something; gives the answer."""
        self._connection.request(method, path)
        answer = self._connection.getresponse()
        said = json.loads(answer.read())
        assert answer.status == status, said
        return said


def processor_seconds(pid: int) -> float:
    """How long a process has been at work."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def until_answered(server: Server) -> float:
    """How many seconds it takes until a new client is served."""
    began = time.monotonic()
    while True:
        with contextlib.suppress(ConnectionError):
            if server.request("GET", "/health/live").status == 200:
                return time.monotonic() - began
        assert time.monotonic() - began < TIMEOUT
        time.sleep(0.05)


@pytest.mark.promise("R22")
@pytest.mark.timeout(600)
def test_r22_clients_cannot_take_all_descriptors(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    With all connections taken, sessions start and stop, and new clients are served after that.

    With the long figures: 10 times, at a fifth of a processor, and anew within 5 seconds.
    """
    install_runner(tmp_path, "echo ready; sleep 1000")
    recoveries, shares = [], []
    with few_files():
        server = Server(tmp_path, "--grace", "0.5")
    with server:
        for _ in range(10 if is_full else 1):
            with contextlib.ExitStack() as crowd:
                early = crowd.enter_context(Early(server.port))
                for _ in range(IDLE):
                    with contextlib.suppress(OSError):
                        address = ("127.0.0.1", server.port)
                        crowd.enter_context(socket.create_connection(address, TIMEOUT))
                used, began = processor_seconds(server.pid), time.monotonic()
                session_id = early.order("POST", "/api/sessions", 201)["sessionId"]
                if is_full:
                    time.sleep(2)
                early.order("POST", f"/api/sessions/{session_id}/stop", 200)
                shares.append((processor_seconds(server.pid) - used) / (time.monotonic() - began))
            recoveries.append(until_answered(server))
            server.until_end(session_id)
        assert server.get("/health/ready") == {"ready": True}
        assert not [line for line in server.said if "Traceback" in line]
    if is_full:
        tell(
            capsys,
            f"{len(shares)} times {IDLE} clients of {FILES} descriptors: {max(shares):.0%} of a "
            f"processor, served again after {max(recoveries):.2f} s; {len(server.said)} lines",
        )
        assert max(recoveries) <= MOST_RECOVERY_SECONDS
        assert max(shares) <= MOST_PROCESSOR_SHARE
