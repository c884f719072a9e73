"""Cutting the log: how much is done at once, and how durable it is."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from loki_twisted.log import history, holdings
from loki_twisted.log.cutting import SLICE
from loki_twisted.log.interface import Batch, Bounds
from loki_twisted.log.messages import (
    Committed,
    Shortened,
)
from loki_twisted.log.retention import Stored
from loki_twisted.model.filters import EVERYTHING
from tests.counted_syncs import counted_syncs
from tests.cutting_desk import Desk, Desks, fill
from tests.figures import tell
from tests.log_support import (
    MS,
    fact,
    facts,
    opened,
)


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[Desks]:
    with closing(Desks(tmp_path / "log.db")) as desks:
        yield desks


@pytest.mark.promise("R28")
def test_commits_keep_to_the_limit(desks: Desks) -> None:
    """Without a moment's rest the log has no more than it may, but for the commit of the moment."""
    desk = desks(events=1_000)
    sizes = []
    for _ in range(120):
        desk.say(*facts(20))
        sizes.append(len(desk.bounds))

    assert max(sizes) <= 1_000 + 20
    assert min(sizes[60:]) >= 1_000 - 1_000 // 100 - 20
    assert all(isinstance(report, Committed) for report in desk.reports)
    assert len(desk.held()) == len(desk.bounds)


def test_a_commit_does_not_do_much_more_than_its_own(desks: Desks) -> None:
    """However much there is too much, a commit drops a bounded part of it."""
    fill(desks(), 2_000)
    desk = desks(events=10)

    desk.say(*facts(100))
    assert 2_000 - 2 * 100 - 64 <= len(desk.bounds) - 100 < 2_000 - 100
    desk.say(fact())
    assert 2_100 - len(desk.bounds) >= 64


def test_the_commit_itself_stays(desks: Desks) -> None:
    """Who waits for a commit finds it in the log, even if it is more than the limit."""
    desk = desks(events=5)
    desk.commit(*(Batch(session_id=f"s{n}", at_ms=MS, facts=facts(4)) for n in range(4)))
    assert desk.bounds == Bounds(1, 16)

    desk.settle()

    assert desk.bounds == Bounds(13, 16)


@pytest.mark.promise("R28")
def test_slices_are_bounded(desks: Desks) -> None:
    """When there is time, all that is too much goes, and in many small transactions."""
    fill(desks(), 900)
    fill(desks(), 60, events=700)
    desk = desks(events=10)

    slices = desk.settle()

    counts = [len(report.bounds) for report in desk.reports if isinstance(report, Shortened)]
    steps = [before - after for before, after in zip([42_900, *counts], counts, strict=False)]
    assert slices > 5
    assert counts[-1] <= 700
    assert max(steps[:2]) <= SLICE.rows
    assert max(steps) * 200 <= SLICE.size + 200_000
    assert desk.log.connection.pragma("synchronous") == 2


@pytest.mark.promise("R28")
def test_r28_slices_are_short(
    desks: Desks, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is too much goes bit by bit; with the long figures each takes 5 ms at most, usually."""
    for _ in range(4 if is_full else 1):
        fill(desks(), 900)
        fill(desks(), 60, events=700)
    desk = desks(events=10)
    seconds = []
    began = time.perf_counter()
    while desk.ledger.tidy():
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
    assert len(desk.bounds) <= 700
    assert len(seconds) > 5
    if is_full:
        seconds.sort()
        middle, most = seconds[len(seconds) // 2], seconds[len(seconds) * 99 // 100]
        tell(
            capsys,
            f"{len(seconds)} slices: p50 {middle * 1000:.2f} ms, p99 {most * 1000:.2f} ms, "
            f"at most {seconds[-1] * 1000:.2f} ms",
        )
        assert middle <= 0.005


def wal_size(desk: Desk) -> int:
    return Path(desk.path + "-wal").stat().st_size


def test_slices_leave_no_long_write_ahead_log(desks: Desks) -> None:
    """However much is dropped, it is copied away in between, and the file shortened at the end."""
    filling = desks()
    for number in range(40):
        filling.commit(
            *(
                Batch(session_id=f"s{(number + n) % 7}", at_ms=MS + n, facts=facts(1))
                for n in range(200)
            )
        )
    desk = desks(events=10)
    size = Path(desk.path).stat().st_size
    longest = 0
    while desk.ledger.tidy():
        longest = max(longest, wal_size(desk))

    assert len(desk.bounds) == 10
    assert size > 2_000_000
    assert 0 < longest < 1_000_000
    assert Path(desk.path).stat().st_size < size / 5


def test_slices_wait_for_no_disk(desks: Desks) -> None:
    """
    Slices are not synced: if they are lost, what was dropped is there again, and nothing else.

    The next commit syncs them with itself, because it lies behind them.
    """
    fill(desks(), 900)
    with counted_syncs() as syncs:
        desk = desks(events=10)
        fill(desk, 1)  # the first that is written to a write-ahead log is synced, whatever it is
        syncs.clear()
        for _ in range(3):
            assert desk.ledger.tidy()
        assert [type(each) for each in desk.reports] == [Committed, *[Shortened] * 3]
        assert syncs == {}

        fill(desk, 1)

        assert syncs == {".db-wal": 1}
        desks.close()


@pytest.mark.promise("R2")
def test_what_slices_did_may_be_lost(desks: Desks, tmp_path: Path) -> None:
    """Wherever the write-ahead log ends, the log is one that it once was, with its bounds."""
    fill(desks(), 900)
    desk = desks(events=100, running_events=5)
    desk.run("quiet")
    fill(desk, 3, session_id="quiet")
    were = [desk.bounds]
    lengths = [wal_size(desk)]
    while desk.ledger.tidy():
        were.append(desk.bounds)
        lengths.append(wal_size(desk))
        if len(were) == 4:
            break
    assert were == sorted(were, key=lambda bounds: bounds.complete_from)
    assert len(set(were)) == 4

    whole = Path(desk.path + "-wal").read_bytes()
    found = []
    for index, length in enumerate(sorted({*lengths, *(each - 5_000 for each in lengths[1:])})):
        copy = tmp_path / f"cut-{index}.db"
        shutil.copy(desk.path, copy)
        Path(f"{copy}-wal").write_bytes(whole[:length])
        with opened(copy) as log:
            assert log.notices == ()
            assert holdings.spans_are_whole(log.connection)
            page = history.read(log.readers[0], 0, log.bounds.newest, EVERYTHING, 10**9)
            assert sum(map(len, page.blocks)) == len(log.bounds)
            found.append(log.bounds)

    assert set(found) == set(were)


def test_what_many_sessions_keep_is_not_looked_at_again_and_again(
    desks: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much running sessions keep, each event that is said costs a look at a few blocks."""
    sessions, keeps = 100, 20
    desk = desks(events=10, running_events=keeps)
    for number in range(sessions):
        desk.run(f"s{number}")
    looked = 0
    stored = holdings.stored

    def counting(*arguments: Any) -> Iterator[Stored]:
        nonlocal looked
        for block in stored(*arguments):
            looked += 1
            yield block

    monkeypatch.setattr(holdings, "stored", counting)
    said = 4 * sessions * keeps
    for number in range(said):
        fill(desk, 1, session_id=f"s{number % sessions}")
        desk.settle()

    assert sessions * keeps <= len(desk.bounds) <= 1.6 * sessions * keeps
    assert looked <= 5 * said
