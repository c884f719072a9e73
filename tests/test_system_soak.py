"""R8: a server that was used for long has no more of anything than one used for a moment."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import statistics
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import pytest

from tests.figures import tell
from tests.system import TIMEOUT, Server
from tests.test_system_sessions import HERE, install_runner, until

SESSIONS = 4
CLIENTS = 20
PAUSE = "0.0195"  # with what printing takes, 50 lines a second
SETTLED_SECONDS = 300
SOAK_SECONDS = 1800
MOST_BYTES_IN_TEN_MINUTES = 1024 * 1024
MOST_BYTES = 150 * 1024 * 1024
LEEWAY = 2
SAMPLE_SECONDS = 5
BOUNDED = {
    "loki_twisted.model.blocks.Block",
    "loki_twisted.model.tallies.Tally",
    "loki_twisted.kernel.threads._DaemonThread",
}
"""
The newest events are kept in memory too, up to a bound; each kind of answer is counted; a pool of
threads may grow by some, which are counted as threads.
"""

MOST_LOOKS = 50
LOOK_AGAIN_SECONDS = 0.2

EVENT = re.compile(rb"^id: (evt_(\d+)_\d+)\nevent: log:", re.MULTILINE)


@attrs.frozen
class Holding:
    """What a process has at a moment."""

    descriptors: int
    threads: int
    resident_bytes: int

    @classmethod
    def of(cls, pid: int) -> Holding:
        """Look."""
        proc = Path(f"/proc/{pid}")
        pages = int((proc / "statm").read_text("ascii").split()[1])
        return cls(
            len(os.listdir(proc / "fd")),
            len(os.listdir(proc / "task")),
            pages * os.sysconf("SC_PAGE_SIZE"),
        )


class Census:
    """Asks a server how many objects of each type of ours it has."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = 0

    @property
    def within(self) -> list[str]:
        """The command that the server is started by."""
        return [sys.executable, str(HERE / "standins" / "counted.py"), str(self._path)]

    def take(self, pid: int) -> dict[str, int]:
        """Ask, and wait for the answer."""
        self._number += 1
        os.kill(pid, signal.SIGUSR1)
        found: dict[str, int] = {}

        def is_told() -> bool:
            with contextlib.suppress(FileNotFoundError):
                found.update(json.loads(self._path.read_text("ascii")))
            return found.get("number") == self._number

        until(is_told)
        del found["number"]
        return found


class Reader(threading.Thread):
    """
    A client that connects again and again, each time behind the last event that it has seen.

    :ivar last: The last event that it has seen, and its number.
    :ivar visits: How often it has come.
    :ivar events: How many events it has seen.
    :ivar wrong: Numbers that came behind others that are as high.
    """

    def __init__(self, port: int, stay_seconds: float) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._stay_seconds = stay_seconds
        self._is_over = threading.Event()
        self.last = ("", 0)
        self.visits = 0
        self.events = 0
        self.wrong: list[tuple[int, int]] = []

    def run(self) -> None:
        """Come and go until it is over."""
        while not self._is_over.is_set():
            self._visit(time.monotonic() + self._stay_seconds)
            self.visits += 1

    def end(self) -> None:
        """Come no more."""
        self._is_over.set()
        self.join(TIMEOUT)

    def _visit(self, until_then: float) -> None:
        position = f"&lastEventId={self.last[0]}" if self.last[0] else ""
        request = f"GET /api/events?types=log:*{position} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self._port), TIMEOUT) as connection:
            connection.settimeout(0.5)
            connection.sendall(request.encode("ascii"))
            rest = b""
            while time.monotonic() < until_then and not self._is_over.is_set():
                with contextlib.suppress(TimeoutError):
                    *whole, rest = (rest + connection.recv(1 << 16)).rpartition(b"\n\n")
                    self._take(b"".join(whole))

    def _take(self, data: bytes) -> None:
        for found, number in EVENT.findall(data):
            if int(number) <= self.last[1]:
                self.wrong.append((self.last[1], int(number)))
            self.last = found.decode("ascii"), int(number)
            self.events += 1


def load(server: Server, places: Sequence[Path], stay_seconds: float, seconds: float) -> Load:
    """Have agents print and clients come and go for so long; all of them are gone afterwards."""
    readers = [Reader(server.port, stay_seconds) for _ in range(CLIENTS)]
    ids = [server.start(projectDir=place.name) for place in places]
    for each in ids:
        server.wait_for(each, "log:info")
    resident: list[tuple[float, int]] = []
    for reader in readers:
        reader.start()
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        resident.append((passed, Holding.of(server.pid).resident_bytes))
        time.sleep(min(SAMPLE_SECONDS, seconds))
    for place in places:
        (place / "enough").touch()
    for each in ids:
        assert server.until_end(each, "types=session:*&lastEventId=earliest")[-1].type == (
            "session:completed"
        )
    for reader in readers:
        reader.end()
    for place in places:
        (place / "enough").unlink()
    for each in ids:
        assert server.request("DELETE", f"/api/sessions/{each}").status == 200
    until(lambda: server.get("/api/events/stats")["subscribers"] == 0)
    return Load(
        resident=resident,
        visits=sum(reader.visits for reader in readers),
        events=sum(reader.events for reader in readers),
        wrong=[each for reader in readers for each in reader.wrong],
    )


@attrs.frozen(kw_only=True)
class Load:
    """
    What came of a load.

    :ivar resident: How much memory the server had, after so many seconds each.
    """

    resident: Sequence[tuple[float, int]]
    visits: int
    events: int
    wrong: Sequence[tuple[int, int]]

    def bytes_in_ten_minutes(self) -> float:
        """How fast the memory grew, when the server had settled."""
        settled = [each for each in self.resident if each[0] >= SETTLED_SECONDS]
        return statistics.linear_regression(*zip(*settled, strict=True)).slope * 600


def grown(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """The types of which there are more."""
    more = {name: after[name] - before.get(name, 0) for name in after.keys() - BOUNDED}
    return {name: number for name, number in more.items() if number > 0}


def left(census: Census, pid: int, before: Mapping[str, int]) -> dict[str, int]:
    """The types of which there are more, when the last connection has had time to be closed."""
    for _ in range(MOST_LOOKS):
        more = grown(before, census.take(pid))
        if not more:
            break
        time.sleep(LOOK_AGAIN_SECONDS)
    return more


@pytest.mark.promise("R8")
@pytest.mark.timeout(3600)
def test_r8_nothing_is_left_of_a_load(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Descriptors, threads and objects are as many as before when agents and clients are gone.

    With the long figures: half an hour of 4 agents and 20 clients, in which the memory does not
    grow either.
    """
    program = HERE / "standins" / "counting.py"
    install_runner(tmp_path, f"exec '{sys.executable}' '{program}' \"$PWD/enough\" {PAUSE} 0")
    places = [tmp_path / f"project-{number}" for number in range(SESSIONS)]
    for place in places:
        place.mkdir()
    census = Census(tmp_path / "census")
    with Server(tmp_path, within=census.within) as server:
        load(server, places, 0.5, 1)  # what is made once is made
        before, objects = Holding.of(server.pid), census.take(server.pid)
        came = load(server, places, 5 if is_full else 0.2, SOAK_SECONDS if is_full else 2)
        more = left(census, server.pid, objects)
        after = Holding.of(server.pid)
        if is_full:
            tell(
                capsys,
                f"{SOAK_SECONDS} s, {came.visits} visits, {came.events} events: "
                f"{came.bytes_in_ten_minutes() / 1024:.0f} KiB in ten minutes, "
                f"{came.resident[0][1] >> 20} to {came.resident[-1][1] >> 20} MiB, descriptors "
                f"{before.descriptors} and {after.descriptors}, threads {before.threads} and "
                f"{after.threads}, more objects {more}",
            )
        assert came.visits >= CLIENTS
        assert came.events
        assert not came.wrong
        assert abs(after.descriptors - before.descriptors) <= LEEWAY
        assert abs(after.threads - before.threads) <= LEEWAY
        assert not more
        if is_full:
            assert came.bytes_in_ten_minutes() < MOST_BYTES_IN_TEN_MINUTES
            assert max(size for _, size in came.resident) <= MOST_BYTES
