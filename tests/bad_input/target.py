"""The server that is asked, and how to see that a request has changed nothing."""

from __future__ import annotations

import itertools
import os
import socket
import time
from pathlib import Path
from typing import Any

from tests.bad_input.cases import ENDED, KEY, PORT, RUNNING, TOKEN, Case
from tests.bad_input.lines import LIVE
from tests.fakes_web import Response, read_responses
from tests.system import HOMES, TIMEOUT, Server
from tests.test_system_sessions import install_runner
from tests.test_web_channel import check_common_headers


class Target:
    """
    A server with a token, on which one session runs and one has ended. No more may run.

    The agents wait for a line and end then.

    :param place: An empty directory for it.
    """

    def __init__(self, place: Path) -> None:
        self.home = place / "home"
        for path in (self.home / "other", place / "outside", place / "empty"):
            path.mkdir(parents=True)
        (self.home / "prd.md").write_text("# A page", "utf-8")
        (place / "outside" / "passwd").write_text("x", "utf-8")
        (self.home / "outside").symlink_to(place / "outside")
        install_runner(self.home, "read -r line")
        # Nothing on PATH: whatever is asked for, no agent of this machine's user is started.
        self.server = Server(
            self.home,
            *("--max-sessions", "1", "--debug"),
            LOKI_API_TOKEN=TOKEN,
            PATH=str(place / "empty"),
        )
        HOMES.discard(self.home)  # its agents live as long as it
        ended = self.server.start()
        self.server.post(f"/api/sessions/{ended}/input", {"input": "end"})
        self.server.until_end(ended)
        key = {"Idempotency-Key": KEY}
        running = self.server.request("POST", "/api/sessions", {}, **key).json["sessionId"]
        self.server.wait_for(running, "session:started")
        self.names = {
            RUNNING: running.encode(),
            ENDED: ended.encode(),
            PORT: str(self.server.port).encode(),
        }
        self._callers = itertools.count(1)
        self.before = self.standing()
        self.open_files = self.files_open()

    def close(self) -> None:
        """End the server, and have its agents ended."""
        HOMES.add(self.home)
        self.server.stop()

    def filled(self, data: bytes) -> bytes:
        """Put the names of this server into a request."""
        for mark, name in self.names.items():
            data = data.replace(mark, name)
        return data

    def connect(self) -> socket.socket:
        """Connect from an address of its own, so that nobody is blamed for others' wrong tokens."""
        number = next(self._callers)
        source = (f"127.1.{number >> 8}.{number & 255}", 0)
        connection = socket.create_connection(
            ("127.0.0.1", self.server.port), TIMEOUT, source_address=source
        )
        connection.settimeout(TIMEOUT)
        return connection

    # What must not change

    def standing(self) -> Any:
        """Everything that a request could have started or written."""
        status = self.server.get("/api/status")
        return {
            "sessions": self.server.get("/api/sessions")["sessions"],
            "events": status["events"]["historySize"],
            "children": _children(self.server.pid),
            "files": sorted(str(each) for each in self.home.rglob("*")),
        }

    def files_open(self) -> int:
        """How many descriptors the server holds."""
        return len(os.listdir(f"/proc/{self.server.pid}/fd"))

    def let_go(self) -> bool:
        """Whether the server comes to hold no more descriptors than at first."""
        deadline = time.monotonic() + TIMEOUT
        while self.files_open() > self.open_files:
            if time.monotonic() > deadline:
                return False
            self.server.get("/health/live")  # it takes a turn meanwhile
        return True

    # Asking

    def ask(self, case: Case) -> None:
        """Send a case, and compare the answer in all that is said of it."""
        with self.connect() as connection:
            if case.begins is not None:
                connection.sendall(self.filled(case.sent))
                response = _beginning(connection, case.begins)
            elif case.closes:
                connection.sendall(self.filled(case.sent) + self.filled(LIVE))
                response = _only(connection)
                assert response.header("connection") == "close"
            else:
                connection.sendall(self.filled(case.sent))
                response = _next(connection)
                connection.sendall(self.filled(LIVE))
                assert _next(connection).json["alive"], "what follows is not served"
        _check(case, response)


def _check(case: Case, response: Response) -> None:
    got = (response.status, None if response.status < 400 else response.code)
    assert got == (case.status, case.code), response.body[:500]
    if case.begins is None:
        check_common_headers(response)
        assert b"Traceback" not in response.body
        assert b"loki_twisted" not in response.body or case.code is None
    if case.tells is not None:
        assert case.tells in {each["path"] for each in response.json["details"]["errors"]}
    for name, value in case.says.items():
        assert response.header(name) == value, name


def _only(connection: socket.socket) -> Response:
    """All that comes until the other side closes, which is one answer."""
    data = b""
    while piece := connection.recv(65_536):
        data += piece
    assert b"HTTP/1.1 100" not in data
    (response,) = read_responses(data)
    assert len(response.body) == int(response.header("content-length") or 0)
    return response


def _next(connection: socket.socket) -> Response:
    """The next whole answer, and not a byte more."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    (response,) = read_responses(data)
    length = int(response.header("content-length") or 0)
    head = data.index(b"\r\n\r\n") + 4
    while len(data) < head + length:
        data += _some(connection)
    (response,) = read_responses(data)
    return response


def _beginning(connection: socket.socket, wanted: bytes) -> Response:
    """The head of a stream, and its body until it holds what is wanted."""
    data = b""
    while wanted not in data:
        data += _some(connection)
    (response,) = read_responses(data)
    assert response.header("content-type") == "text/event-stream"
    return response


def _some(connection: socket.socket) -> bytes:
    piece = connection.recv(65_536)
    assert piece, "the connection was closed"
    return piece


def _children(pid: int) -> list[str]:
    found: list[str] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += (task / "children").read_text("ascii").split()
    return sorted(found)
