"""Starting a server as a process of its own, and knowing when it answers."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks.trouble import Trouble

_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 20
_RETRY_SECONDS: Final = 0.002
_OK: Final = 200
_SAID_BYTES: Final = 2_000


@attrs.define
class ServerProcess:
    """
    A server that runs.

    :ivar port: Where it listens, on loopback.
    :ivar ready_seconds: From its start to its first good answer.
    :ivar said: The file of its output.
    """

    process: subprocess.Popen[bytes]
    port: int
    said: Path
    ready_seconds: float = 0.0

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self.process.pid

    def stop(self) -> None:
        """End it. May be repeated."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_words(self) -> str:
        """The end of its output."""
        return self.said.read_bytes()[-_SAID_BYTES:].decode("utf-8", "replace").strip()


def launch(
    argv: Sequence[str], *, port: int, ready: str, place: Path, **variables: str
) -> ServerProcess:
    """
    Start a server, and wait until it answers.

    :param argv: Its program and arguments.
    :param port: Where it will listen.
    :param ready: What to ask for until that is answered with 200.
    :param place: A directory for its output; it is its current directory too.
    :param variables: What its environment has beside ours.
    :raises Trouble: if it does not come up.
    """
    said = place / "said.txt"
    begin = time.monotonic()
    with said.open("wb") as output:
        process = subprocess.Popen(
            argv,
            cwd=place,
            env={**_environment(), **variables},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = ServerProcess(process, port, said)
    try:
        while not _answers(port, ready):
            if process.poll() is not None or time.monotonic() > begin + _START_SECONDS:
                raise Trouble(f"the server did not start: {server.last_words()}")
            time.sleep(_RETRY_SECONDS)
    except BaseException:
        server.stop()
        raise
    server.ready_seconds = time.monotonic() - begin
    return server


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def request(port: int, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
    """
    Ask once.

    :param body: JSON.
    :returns: Status and body of the answer.
    :raises OSError: if there is none.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_SECONDS)
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _answers(port: int, target: str) -> bool:
    try:
        return request(port, "GET", target)[0] == _OK
    except (OSError, http.client.HTTPException):
        return False


def _environment() -> Mapping[str, str]:
    """Ours, without what would change how the servers work."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LOKI_")}
