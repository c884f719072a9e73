"""The writer thread: what waits is committed together, in order."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from loki_twisted.log import writer as writer_module
from loki_twisted.log.changes import NOTHING
from loki_twisted.log.messages import (
    Closed,
    Committed,
    Entry,
    NotOpened,
    Order,
    Report,
    Shortened,
)
from loki_twisted.log.opening import Opened, open_log
from loki_twisted.log.retention import KEEP_ALL, Retention
from loki_twisted.log.rows import new_block
from loki_twisted.log.writer import Writer
from tests.log_support import MS, block, opened, put_blocks

TIMEOUT = 30


def line(seq: int, size: int = 0) -> Entry:
    return Entry([new_block(block(seq, ["hello"], f"s{seq}"), MS)], NOTHING, size, Deferred())


class Desk:
    """A writer whose opening waits until the test says so, and its reports."""

    def __init__(self, path: Path, retention: Retention = KEEP_ALL) -> None:
        self.path = str(path)
        self.now_ms = MS
        self.gate = threading.Event()
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self.writer = Writer(
            self.path, self._open, self.reports.put, retention, lambda: self.now_ms
        )

    def _open(self) -> Opened:
        self.gate.wait(TIMEOUT)
        return open_log(self.path, lambda: MS)

    def report(self) -> Report:
        return self.reports.get(timeout=TIMEOUT)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "log.db")
    desk.writer.start()
    yield desk
    desk.gate.set()
    desk.writer.submit(Order.STOP)
    desk.writer.join()


def test_what_waits_goes_together(desk: Desk) -> None:
    """Everything that waits is one commit, and one report."""
    entries = [line(seq) for seq in range(1, 51)]
    for entry in entries:
        desk.writer.submit(entry)
    desk.gate.set()

    assert isinstance(desk.report(), Opened)
    committed = desk.report()

    assert isinstance(committed, Committed)
    assert committed.entries == entries
    assert [each.first_seq for each in committed.blocks] == list(range(1, 51))


def test_a_commit_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not more than so many bytes, and not more than so many batches, go together."""
    monkeypatch.setattr(writer_module, "_COMMIT_BYTES", 100)
    monkeypatch.setattr(writer_module, "_COMMIT_BATCHES", 3)
    for seq, size in enumerate([60, 60, 60, 1, 1, 1, 1], start=1):
        desk.writer.submit(line(seq, size))
    desk.gate.set()

    assert isinstance(desk.report(), Opened)
    lengths = []
    while sum(lengths) < 7:
        committed = desk.report()
        assert isinstance(committed, Committed)
        lengths.append(len(committed.entries))

    assert lengths == [2, 3, 2]


def test_an_order_keeps_its_place(desk: Desk) -> None:
    """What was submitted before the order to stop is written, and what comes behind is not."""
    desk.writer.submit(line(1))
    desk.writer.submit(line(2))
    desk.writer.submit(Order.PROBE)
    desk.writer.submit(line(3))
    desk.writer.submit(Order.STOP)
    desk.writer.submit(line(4))
    desk.gate.set()

    assert isinstance(desk.report(), Opened)
    counts = []
    while isinstance(report := desk.report(), Committed):
        counts.append(len(report.entries))

    assert counts == [2, 1]
    assert report == Closed(None)
    desk.writer.join()
    with opened(desk.path) as log:
        assert log.bounds.newest == 3


@pytest.fixture
def aging(tmp_path: Path) -> Iterator[Desk]:
    """A log that keeps for a second what was said an hour ago."""
    with opened(tmp_path / "log.db") as log:
        put_blocks(log, [new_block(block(1 + n, ["hello"], f"s{n}"), MS) for n in range(2_000)])
    desk = Desk(tmp_path / "log.db", Retention(age_ms=1_000))
    desk.now_ms += 3_600_000
    desk.writer.start()
    yield desk
    desk.gate.set()
    desk.writer.submit(Order.STOP)
    desk.writer.join()


def test_time_is_used(aging: Desk) -> None:
    """What is too much is dropped while there is nothing else to do, a little at a time."""
    aging.gate.set()

    assert isinstance(aging.report(), Opened)
    oldest = [1]
    while oldest[-1] < 2_000:
        shortened = aging.report()
        assert isinstance(shortened, Shortened)
        oldest.append(shortened.bounds.oldest)

    assert oldest == sorted(oldest)
    assert len(oldest) > 4


def test_work_comes_first(aging: Desk) -> None:
    """As long as there is work nothing is dropped but with it, and nobody waits for that."""
    aging.writer.submit(line(2_001))
    aging.writer.submit(Order.STOP)
    aging.gate.set()

    assert isinstance(aging.report(), Opened)
    committed = aging.report()
    assert isinstance(committed, Committed)
    assert 1 < committed.bounds.oldest < 200
    assert aging.report() == Closed(None)


def test_it_is_told_that_time_has_passed(tmp_path: Path) -> None:
    """What becomes too old while there is no work is dropped when it is told to look."""
    desk = Desk(tmp_path / "log.db", Retention(age_ms=1_000))
    desk.gate.set()
    desk.writer.start()
    desk.writer.submit(line(1))
    desk.writer.submit(line(2))
    while not isinstance(report := desk.report(), Committed) or report.bounds.newest < 2:
        pass
    desk.now_ms += 1_001

    desk.writer.submit(Order.LOOK)

    shortened = desk.report()
    assert isinstance(shortened, Shortened)
    assert shortened.bounds.oldest == 2
    desk.writer.submit(Order.STOP)
    desk.writer.join()


def test_a_log_that_cannot_be_opened(tmp_path: Path) -> None:
    """Why it could not be opened is reported, and the thread ends."""
    desk = Desk(tmp_path / "missing" / "log.db")
    desk.gate.set()
    desk.writer.start()

    report = desk.report()
    desk.writer.join()

    assert isinstance(report, NotOpened)
    assert isinstance(report.error, FileNotFoundError)


def test_threads_take_turns_while_it_runs(tmp_path: Path) -> None:
    """While there is a writer, a busy thread lets others run after 0.1 ms; else, as before."""
    before = sys.getswitchinterval()
    desk = Desk(tmp_path / "log.db")
    desk.gate.set()

    desk.writer.start()
    during = sys.getswitchinterval()
    desk.writer.submit(Order.STOP)
    desk.writer.join()

    assert during == pytest.approx(0.0001)
    assert sys.getswitchinterval() == pytest.approx(before)
