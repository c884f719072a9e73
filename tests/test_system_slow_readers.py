"""Readers that never read, from outside: what they cost the server, and what the others notice."""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Self

import attrs
import pytest

from tests.figures import tell
from tests.plain_reader import PlainReader
from tests.succession import Succession
from tests.system import TIMEOUT
from tests.test_system_sessions import until

STUCK = 50
HEALTHY = 3
EVENT_BYTES = 20_000_000
MOST_GROWTH = 64 * 1024 * 1024
PADDING = 1000

_TIME = re.compile(rb" at (\d+) x")


class Taker(threading.Thread):
    """
    A reader that takes everything as it comes.

    :ivar ids: Of the events that it got.
    :ivar seconds: For each line of the flow, how long it was on its way.
    :ivar bytes: How many bytes of events it got.
    """

    def __init__(self, port: int, query: str = "") -> None:
        super().__init__(daemon=True)
        self.ids: list[str] = []
        self.seconds: list[float] = []
        self.bytes = 0
        self._news = threading.Condition()
        self._reader = PlainReader(port, query)
        self.start()

    def run(self) -> None:
        """Take, until the connection ends."""
        with closing(self._reader):
            for name, frame in self._reader.events(None):
                now = time.monotonic_ns()
                printed = _TIME.search(frame)
                with self._news:
                    if printed:
                        self.seconds.append((now - int(printed[1])) / 1e9)
                    self.bytes += len(frame)
                    self.ids.append(name)
                    self._news.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._reader.socket.shutdown(socket.SHUT_RDWR)
        self.join(TIMEOUT)

    def until_bytes(self, count: int) -> None:
        """Wait until it has got so many."""
        with self._news:
            assert self._news.wait_for(lambda: self.bytes >= count, 5 * TIMEOUT)

    def until_id(self, name: str) -> None:
        """Wait until an event is the last one that it got."""
        with self._news:
            assert self._news.wait_for(lambda: self.ids[-1:] == [name], TIMEOUT)


def memory(pid: int, field: str) -> int:
    """A figure of a process's memory, in bytes: ``VmRSS`` now, ``VmHWM`` at its most."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def forget_most(pid: int) -> None:
    """Let ``VmHWM`` begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


@contextmanager
def stuck_readers(place: Succession, count: int) -> Iterator[list[PlainReader]]:
    """Some readers that read nothing, and for which the system takes little."""
    with ExitStack() as exit_:
        readers = [
            exit_.enter_context(closing(PlainReader(place.port(), receive_bytes=4096)))
            for _ in range(count)
        ]
        yield readers


def newest(place: Succession) -> str:
    """The id of the newest event."""
    return str(place.server.get("/api/events/stats")["newestEventId"])


def until_subscribed(place: Succession, count: int) -> None:
    """Wait until so many readers are served."""
    until(lambda: place.server.get("/api/events/stats")["subscribers"] == count)


def check_whole(ids: Sequence[str], last: str) -> None:
    """They are consecutive, in order, and end with the last one."""
    numbers = [int(name.split("_")[1]) for name in ids]
    assert ids[-1] == last
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def read_on(place: Succession, reader: PlainReader, last: str) -> list[str]:
    """Read up to an event, over as many connections as it takes; gives the ids of all that came."""
    ids: list[str] = []
    while ids[-1:] != [last]:
        with closing(reader):
            for name, _ in reader.events():
                ids.append(name)
                if name == last:
                    break
            else:
                reader = PlainReader(place.port(), last_id=ids[-1])
    return ids


@attrs.frozen
class Passed:
    """
    What was seen while the events went by.

    :ivar last: The id of the last event.
    :ivar growth: By how much the memory of the server has grown at most, in bytes.
    :ivar seconds: How long each event was on its way to each reader that reads.
    """

    last: str
    growth: int
    seconds: list[float]

    def percentile(self, share: float) -> float:
        """So many of the events were faster, in milliseconds."""
        return sorted(self.seconds)[int(len(self.seconds) * share)] * 1000


def pass_by(place: Succession, stuck: int, flow: str) -> Passed:
    """
    Have 20 MB of events go by, which some readers take and are to get whole.

    :param stuck: How many others there are that take nothing.
    """
    with ExitStack() as exit_:
        takers = [exit_.enter_context(Taker(place.port())) for _ in range(HEALTHY)]
        until_subscribed(place, HEALTHY + stuck)
        place.order("say hello")
        for taker in takers:
            taker.until_bytes(1)
        pid = place.server.pid
        before = memory(pid, "VmRSS")
        forget_most(pid)
        place.order(flow)
        for taker in takers:
            taker.until_bytes(EVENT_BYTES)
        place.end()
        last = newest(place)
        for taker in takers:
            taker.until_id(last)
            check_whole(taker.ids, last)
        growth = memory(pid, "VmHWM") - before
        return Passed(last, growth, [each for taker in takers for each in taker.seconds])


@pytest.mark.promise("R7")
@pytest.mark.timeout(600)
def test_those_who_never_read(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    While fifty readers take nothing of 20 MB, the others get all of it in order, and the server's
    memory stays bounded. Whoever begins to read after all gets all of it too.
    """
    flow = f"flow {5 if is_full else 100} 0.01 {PADDING}"
    with Succession(tmp_path / "with") as place, stuck_readers(place, STUCK) as stuck:
        passed = pass_by(place, STUCK, flow)
        assert passed.growth < MOST_GROWTH
        check_whole(read_on(place, stuck.pop(), passed.last), passed.last)
        if is_full:
            check_cut(place, stuck, passed.last)
    if is_full:
        with Succession(tmp_path / "without") as place:
            alone = pass_by(place, 0, flow)
        for name, each in ((f"beside {STUCK} that never read", passed), ("without them", alone)):
            tell(
                capsys,
                f"{name}: p50 {each.percentile(0.5):.2f} ms, p99 {each.percentile(0.99):.2f} ms, "
                f"memory grew by {each.growth / 2**20:.1f} MiB",
            )
        assert passed.percentile(0.99) <= 2 * alone.percentile(0.99)


def check_cut(place: Succession, stuck: Sequence[PlainReader], last: str) -> None:
    """After a while they are cut, and whoever comes back goes on where it was."""
    waiting = {reader.socket.fileno(): reader for reader in stuck}
    watch = select.poll()
    for descriptor in waiting:
        watch.register(descriptor, 0)  # errors and hang-ups are told in any case
    while waiting:
        gone = watch.poll(2 * TIMEOUT * 1000)
        assert gone
        for descriptor, _ in gone:
            watch.unregister(descriptor)
            del waiting[descriptor]
    for reader in stuck[:3]:
        check_whole(read_on(place, reader, last), last)
