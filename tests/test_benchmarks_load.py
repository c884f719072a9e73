"""The load programs: that they compile without a warning, and see what is wrong with a stream."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
import pytest

from benchmarks.contestants.nchan import Published
from benchmarks.measuring.requests import Answered
from benchmarks.subscribers import Received, Subscribers
from benchmarks.trouble import Trouble
from benchmarks.workshop import PROGRAMS, SOURCES, Workshop

SECONDS = 60
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n"

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="cc is not installed")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The programs, compiled."""
    workshop = Workshop(tmp_path_factory.mktemp("workshop"))
    workshop.compile()
    return workshop


class OneConnection:
    """
    A server for one connection, in a thread, until the block ends.

    :param serve: Called with the connection.
    """

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(SECONDS)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(SECONDS)
        # The program ends when it has seen enough, whatever is on its way then.
        with connection, contextlib.suppress(ConnectionError):
            self._serve(connection)

    def __enter__(self) -> OneConnection:
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.join(SECONDS)
        self._listener.close()


def event(number: int) -> bytes:
    """An event as a server frames it."""
    return b'id: %d\ndata: {"message":"BENCH %d 123456789 xxxx"}\n\n' % (number, number)


def stream(pieces: Iterable[bytes], *, stay: bool = True) -> Callable[[socket.socket], None]:
    """Serve a stream in these pieces, each sent by itself, and stay until the reader goes."""

    def serve(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.recv(4096)
        connection.sendall(HEAD)
        for piece in pieces:
            connection.sendall(piece)
        while stay and connection.recv(4096):
            pass

    return serve


def received(workshop: Workshop, numbers: Sequence[int], wanted: int, *, stay: bool = True) -> str:
    """What one subscriber that wants so many events finds wrong with these; empty if nothing."""
    pieces = [b"".join(map(event, numbers))]
    with (
        OneConnection(stream(pieces, stay=stay)) as server,
        Subscribers(workshop, server.port, ["/"], 1, events=wanted, seconds=2) as subscribers,
    ):
        try:
            subscribers.received()
        except Trouble as trouble:
            return str(trouble)
    return ""


@pytest.mark.parametrize("name", PROGRAMS)
def test_load_programs_compile_without_a_warning(name: str, tmp_path: Path) -> None:
    """A compiler that is asked to be strict has nothing to say."""
    subprocess.run(
        [
            *("cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"),
            *("-o", tmp_path / name, SOURCES / f"{name}.c"),
        ],
        check=True,
        timeout=SECONDS,
    )


def test_subscribers_pass_a_stream_that_is_exact(workshop: Workshop) -> None:
    """Every event once and in order is what is wanted, over a change in the number's length."""
    assert received(workshop, range(1_200), 1_200) == ""


@pytest.mark.parametrize(
    ("numbers", "flaw"),
    [
        ([0, 1, 1, 2], "0 were passed over, 1 came twice or late"),
        ([0, 1, 2, 2], "0 were passed over, 1 came twice or late"),
        ([0, 2], "1 were passed over, 0 came twice or late"),
        ([0, 2, 1], "1 were passed over, 1 came twice or late"),
        ([1, 2], "1 were passed over, 0 came twice or late"),
        ([0, 1], "2 of 3 events came"),
    ],
    ids=["double", "last twice", "gap", "order", "first missing", "last missing"],
)
def test_subscribers_see_what_is_wrong(workshop: Workshop, numbers: list[int], flaw: str) -> None:
    """A double, a gap, a wrong order and a missing end make the measurement fail."""
    assert flaw in received(workshop, numbers, 3)


def test_subscribers_see_a_double_in_the_middle_of_a_burst(workshop: Workshop) -> None:
    """Where marks are looked for at an expected distance, none is passed over."""
    numbers = [*range(500), 499, *range(500, 1_000)]
    assert "0 were passed over, 1 came twice or late" in received(workshop, numbers, 1_000)


def test_subscribers_see_a_connection_that_was_closed(workshop: Workshop) -> None:
    """A stream that ends early is no stream."""
    assert "1 connections were closed" in received(workshop, [0, 1], 3, stay=False)


def test_events_are_found_however_they_are_split(workshop: Workshop) -> None:
    """A mark and its numbers may come in any two reads; here every byte comes by itself."""
    pieces = [bytes([byte]) for byte in b"".join(map(event, range(12)))]
    with (
        OneConnection(stream(pieces)) as server,
        Subscribers(workshop, server.port, ["/"], 1, events=12, seconds=SECONDS) as subscribers,
    ):
        result = subscribers.received()
    assert (result.delivered, result.gaps, result.disorder) == (12, 0, 0)
    assert result.bytes == len(HEAD) + len(pieces)


def test_a_refused_subscriber_is_trouble_with_the_reason(workshop: Workshop) -> None:
    """What the server said comes to who measures."""

    def refuse(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")

    with (
        OneConnection(refuse) as server,
        pytest.raises(Trouble, match="503 Service Unavailable"),
        Subscribers(workshop, server.port, ["/"], 1),
    ):
        pass


def test_figures_of_subscribers_come_from_the_times_in_the_events(workshop: Workshop) -> None:
    """A line that was printed a day ago is a day late."""
    with (
        OneConnection(stream([event(0)])) as server,
        Subscribers(workshop, server.port, ["/"], 1, events=1, seconds=SECONDS) as subscribers,
    ):
        result = subscribers.received()
    assert isinstance(result, Received)
    # The moment in the event is one of the first second after the start of the machine.
    assert result.seconds > result.seconds_since_request
    assert result.p50_ms == pytest.approx(result.longest_ms, rel=0.01)


def test_answers_that_are_not_good_are_counted(workshop: Workshop) -> None:
    """A server that answers fast and wrong has not answered."""
    answers = iter([b"200 OK", b"500 Oops", b"200 OK"])

    def serve(connection: socket.socket) -> None:
        while connection.recv(4096):
            status = next(answers, b"200 OK")
            connection.sendall(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\n" % status)
            connection.sendall(b"{}")

    with OneConnection(serve) as server:
        done = subprocess.run(
            [workshop.program("requests"), str(server.port), "/", "1", "0.5"],
            capture_output=True,
            check=True,
            timeout=SECONDS,
        )
    answered = msgspec.json.decode(done.stdout, type=Answered)
    assert answered.answers >= 3
    assert answered.failures == 1


def test_the_publisher_waits_for_all_answers_and_counts_refusals(workshop: Workshop) -> None:
    """A hub that does not take an event is found out; answers may be split anywhere."""

    def serve(connection: socket.socket) -> None:
        data = b""
        while data.count(b"POST /publish") < 3 or not data.endswith(b"}}"):
            data += connection.recv(4096)
        good, bad = (b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % s for s in (b"201", b"503"))
        for byte in good + bad + good:
            connection.sendall(bytes([byte]))
        connection.recv(4096)

    with OneConnection(serve) as server:
        done = subprocess.run(
            [workshop.program("publisher"), str(server.port), "/publish", "3", "0", "10"],
            capture_output=True,
            check=True,
            timeout=SECONDS,
        )
    assert msgspec.json.decode(done.stdout, type=Published) == Published(accepted=2, refused=1)


def test_the_agent_numbers_its_lines_and_says_when(workshop: Workshop) -> None:
    """Each line has its level, source, number, time, and as much padding as was asked for."""
    done = subprocess.run(
        [workshop.program("agent"), "3", "1000", "5"],
        capture_output=True,
        check=True,
        text=True,
        timeout=SECONDS,
    )
    lines = [line.split(" ") for line in done.stdout.splitlines()]
    assert [line[:4] for line in lines] == [
        ["[INFO]", "[bench]", "BENCH", str(n)] for n in range(3)
    ]
    times = [int(line[4]) for line in lines]
    assert times == sorted(times)
    assert {line[5] for line in lines} == {"xxxxx"}
