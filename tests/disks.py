"""A disk that does to the log of a server what a test wants of it, by way of strace."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import pytest

from tests.system import TIMEOUT, Server

_STORE = "log.db"

needs_strace = pytest.mark.skipif(which("strace") is None, reason="strace is missing")
"""What is marked so is passed over where there is none."""


@contextmanager
def disk_that(
    server: Server, trace: Path, watched: str, injected: str, *, names_files: bool = False
) -> Iterator[None]:
    """
    Have calls on the files of the log end otherwise than they would, until this is left.

    :param trace: Has what was called, and what became of it.
    :param watched: The calls that are in it.
    :param injected: What happens to which calls, in the words of strace.
    :param names_files: Whether descriptors have their paths beside them there.
    """
    command = ["strace", "-f", *(["-y"] if names_files else []), "-p", str(server.pid)]
    command += ["-o", str(trace), *(f"-P{path}" for path in server_files(server))]
    with subprocess.Popen(
        [*command, "-e", f"trace={watched}", "-e", f"inject={injected}"],
        stderr=subprocess.PIPE,
        text=True,
    ) as tracer:
        assert tracer.stderr is not None
        assert "attached" in tracer.stderr.readline()
        try:
            yield
        finally:
            # It lets go of the server; that goes on.
            tracer.send_signal(signal.SIGINT)
            tracer.wait(TIMEOUT)


def server_files(server: Server) -> list[Path]:
    """The files of its log."""
    path = Path("/proc", str(server.pid), "cwd").resolve() / ".loki" / "server" / _STORE
    return [path, path.with_name(f"{_STORE}-wal")]


def is_ready(server: Server) -> bool:
    """Whether it takes work."""
    return server.request("GET", "/health/ready").status == 200


def problems(server: Server) -> list[str]:
    """What is amiss."""
    return list(server.request("GET", "/health").json["problems"])
