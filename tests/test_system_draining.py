"""R13: a server that is told to end lets everybody come to an end, and then it ends."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from tests.figures import tell
from tests.system import TIMEOUT, Server
from tests.test_system_sessions import HERE, install_runner

MOST_CLOSING_SECONDS = 0.1
MOST_END_SECONDS = 10.0
LEAST_SPREAD_MS = 1_000


class Reader(threading.Thread):
    """
    Reads a stream to its end.

    :ivar has_begun: Set when it has had an event.
    :ivar data: All that came.
    """

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.has_begun = threading.Event()
        self.data = b""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)

    def run(self) -> None:
        """Read."""
        self._connection.request("GET", "/api/events?types=log:info")
        response = self._connection.getresponse()
        while part := response.read1(65_536):
            self.data += part
            if not self.has_begun.is_set() and b"\nevent: log" in self.data:
                self.has_begun.set()
        self._connection.close()

    def numbers(self) -> list[int]:
        """The numbers of the events that it was given."""
        return [int(number) for number in re.findall(rb"\nid: evt_(\d+)_\d+\nevent", self.data)]

    def farewell(self) -> tuple[int, int]:
        """When it was told to come back, in milliseconds, and from which event on, at its end."""
        end = rb'retry: (\d+)\n\nevent: stream:bye\ndata: \{"lastEventId":"evt_(\d+)_\d+"\}\n\n'
        found = re.search(end + rb"\Z", self.data)
        assert found is not None
        return int(found[1]), int(found[2])


class Asker(threading.Thread):
    """
    Orders something again and again, until nobody is there any more.

    :ivar whole: How many answers came whole.
    :ivar torn: Answers that did not.
    """

    def __init__(self, port: int, session_id: str) -> None:
        super().__init__(daemon=True)
        self.whole = 0
        self.torn: list[bytes] = []
        self._port = port
        self._path = f"/api/sessions/{session_id}/input"

    def run(self) -> None:
        """Order."""
        body = b'{"input": "go on"}'
        head = (
            f"POST {self._path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self._port), TIMEOUT) as client:
                    client.sendall(head.encode() + body)
                    answer = b"".join(iter(lambda: client.recv(65_536), b""))
            except OSError:
                return  # nobody listens, or the kernel dropped what was not accepted
            if not answer:
                return
            head_, _, rest = answer.partition(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head_)
            if length is None or len(rest) != int(length[1]):
                self.torn.append(answer)
            self.whole += 1


@attrs.frozen
class End:
    """
    How a server ended.

    :ivar closing: After how many seconds nobody could connect any more.
    :ivar took: After how many it had ended.
    """

    closing: float
    took: float
    spread_ms: int
    answers: int


def end_of(server: Server, session_id: str, readers: int, askers: int) -> End:
    """Have many read and ask, end the server, and see that nothing was torn or lost."""
    reading = [Reader(server.port) for _ in range(readers)]
    asking = [Asker(server.port, session_id) for _ in range(askers)]
    for thread in [*reading, *asking]:
        thread.start()
    for each in reading:
        assert each.has_begun.wait(TIMEOUT)
    began = time.monotonic()
    os.kill(server.pid, signal.SIGTERM)
    closing = _closes(server.port) - began
    assert server._process.wait(TIMEOUT) == 0
    took = time.monotonic() - began
    for thread in [*reading, *asking]:
        thread.join(TIMEOUT)
    assert [each.torn for each in asking] == [[]] * askers
    numbers = [each.numbers() for each in reading]
    all_ = sorted(set().union(*numbers))
    for each, given in zip(reading, numbers, strict=True):
        # Whoever comes back from there misses nothing, and is given nothing twice.
        _, last = each.farewell()
        assert given == [number for number in all_ if given[0] <= number <= last]
    times = sorted(each.farewell()[0] for each in reading)
    return End(closing, took, times[-1] - times[0], sum(each.whole for each in asking))


def _closes(port: int) -> float:
    """When somebody could connect for the last time. To be refused may take a second more."""
    last = time.monotonic()
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
        except ConnectionError:
            return last
        last = time.monotonic()


@pytest.mark.promise("R13")
@pytest.mark.timeout(1800)
def test_r13_everybody_comes_to_an_end(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    No answer is torn, every stream says goodbye, and the agent's lines go on without a gap.

    With the long figures: nobody can connect after a tenth of a second, the end takes less than 10
    seconds, and clients are told to come back over more than a second.
    """
    rounds, readers, askers = (50, 50, 20) if is_full else (2, 8, 4)
    program, stop = HERE / "standins" / "counting.py", tmp_path / "enough"
    install_runner(tmp_path, f"exec '{sys.executable}' '{program}' '{stop}' 0.02 0")
    ends = []
    with Server(tmp_path) as server:
        session_id = server.start()
        ends.append(end_of(server, session_id, readers, askers))
    for _ in range(rounds - 1):
        with Server(tmp_path) as server:
            ends.append(end_of(server, session_id, readers, askers))
    stop.touch()
    with Server(tmp_path) as server:
        lines = [e.data["message"] for e in server.until_end(session_id) if e.type == "log:info"]
    assert lines == [f"count {number}" for number in range(1, len(lines) + 1)]
    assert sum(each.answers for each in ends) > 0
    if is_full:
        closing, took = (max(getattr(each, name) for each in ends) for name in ("closing", "took"))
        spread = min(each.spread_ms for each in ends)
        tell(
            capsys,
            f"{rounds} ends with {readers} streams and {sum(e.answers for e in ends)} answers:"
            f" closed after {closing * 1000:.0f} ms, over after {took:.2f} s, spread {spread} ms",
        )
        assert closing <= MOST_CLOSING_SECONDS
        assert took <= MOST_END_SECONDS
        assert spread >= LEAST_SPREAD_MS


@contextmanager
def stuck(home: Path, server: Server) -> Iterator[None]:
    """Have a client that takes nothing of a stream of more than any socket holds."""
    install_runner(home, "head -c 8000000 /dev/zero | tr '\\0' x | fold -w 1000")
    server.until_end(server.start(), "types=session:*&lastEventId=earliest")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.sendall(b"GET /api/events?lastEventId=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while server.get("/api/events/stats")["subscribers"] != 1:
            time.sleep(0.01)
        yield


@pytest.mark.promise("R13")
def test_r13_who_takes_nothing_holds_up_the_end_only_so_long(tmp_path: Path) -> None:
    """After the grace the end goes on without whoever has not come to one."""
    with Server(tmp_path, "--drain", "0.5") as server, stuck(tmp_path, server):
        assert server.stop() == 0


@pytest.mark.promise("R13")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_r13_the_second_signal_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """While it waits for a client another signal ends the server, with the signal's exit code."""
    with Server(tmp_path, "--drain", "60") as server, stuck(tmp_path, server):
        os.kill(server.pid, signal.SIGTERM)
        _closes(server.port)
        os.kill(server.pid, number)
        assert server._process.wait(TIMEOUT) == 128 + number
