"""The log as its writer works with it: commits, failures, probes, and the end."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from loki_twisted.log import history, ledger, records
from loki_twisted.log.changes import NOTHING, Changes
from loki_twisted.log.interface import Bounds
from loki_twisted.log.ledger import Ledger
from loki_twisted.log.messages import Closed, Committed, Entry, Failed, Recovered, Report
from loki_twisted.log.opening import Opened, connect_writer, open_log
from loki_twisted.log.retention import KEEP_ALL
from loki_twisted.log.rows import NewBlock, new_block
from loki_twisted.model.blocks import block_of_facts
from loki_twisted.model.errors import StorageFailed, StorageFull
from loki_twisted.model.filters import EVERYTHING
from tests.log_support import MS, SESSIONS, block, commit, facts, opened, remembered, some_facts


def idle() -> bool:
    return True


def busy() -> bool:
    return False


def entry(*blocks: NewBlock, changes: Changes = NOTHING) -> Entry:
    return Entry(blocks, changes, 0, Deferred())


def line(seq: int, text: str = "hello", at_ms: int = MS) -> Entry:
    return entry(new_block(block(seq, [text]), at_ms))


class Desk:
    """A ledger, what it works with, and what it reported."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.log: Opened = open_log(self.path, lambda: MS)
        self.reports: list[Report] = []
        self.ledger = Ledger(self.path, self.log, self.reports.append, KEEP_ALL, lambda: MS)

    def commit(self, *entries: Entry, is_idle: Callable[[], bool] = idle) -> Report:
        self.ledger.commit(entries, is_idle)
        return self.reports[-1]

    def frames(self) -> list[bytes]:
        page = history.read(self.log.readers[0], 0, 10**9, EVERYTHING, 10**9)
        return [event.frame for event in remembered(page.blocks)]

    def wal_size(self) -> int:
        return Path(self.path + "-wal").stat().st_size

    def fill_up(self) -> None:
        """Leave SQLite no room."""
        [(pages,)] = self.log.connection.execute("PRAGMA page_count").fetchall()
        self.log.connection.pragma("max_page_count", pages)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "log.db")
    yield desk
    desk.ledger.close()


def test_what_is_reported_is_what_is_on_disk(tmp_path: Path) -> None:
    """Appended in any portions, the log holds the reported blocks: the same bytes and numbers."""
    numbers = itertools.count()
    portions = st.lists(
        st.lists(st.tuples(st.sampled_from(SESSIONS), some_facts), max_size=4), max_size=5
    )

    @settings(max_examples=25)
    @given(portions)
    def law(wanted: list[list[tuple[str, list]]]) -> None:
        desk = Desk(tmp_path / f"{next(numbers)}.db")
        desk.log.connection.pragma("synchronous", "off")  # only the outcome matters here
        expected = []
        for portion in wanted:
            entries = []
            for session_id, some in portion:
                made = block_of_facts(len(expected) + 1, MS, session_id, some)
                expected += remembered([made])
                entries.append(entry(new_block(made, MS)))
            desk.commit(*entries)
        told = [each for report in desk.reports for each in report.blocks]
        assert remembered(told) == expected
        desk.ledger.close()
        with opened(desk.path) as again:
            page = history.read(again.readers[0], 0, 10**9, EVERYTHING, 10**9)
            assert remembered(page.blocks) == expected
            assert again.bounds.newest == len(expected)

    law()


def test_a_commit_without_events(desk: Desk) -> None:
    """Entries of nothing but rows are written, and reported without blocks."""
    one = entry(changes=Changes(cursors={"a": "1"}))

    assert desk.commit(one) == Committed((one,), [], Bounds(1, 0))
    assert records.cursors(desk.log.readers[0], "") == {"a": "1"}


@pytest.mark.promise("R15")
def test_no_room(desk: Desk) -> None:
    """Where there is no room none of the entries is in, and all are told so."""
    desk.commit(line(1))
    desk.fill_up()
    small, large = line(2), line(3, "x" * 100_000)

    report = desk.commit(small, large)

    assert isinstance(report, Failed)
    assert report.entries == (small, large)
    assert isinstance(report.error, StorageFull)
    assert report.is_passing
    assert len(desk.frames()) == 1


@pytest.mark.promise("R3")
def test_after_a_failure_nothing_is_tried(desk: Desk) -> None:
    """Until a probe has succeeded entries fail as the first did, without a try."""
    desk.fill_up()
    first = desk.commit(line(1, "x" * 100_000))
    assert isinstance(first, Failed)
    late = line(2)

    second = desk.commit(late)

    assert isinstance(second, Failed)
    assert second.entries == (late,)
    assert second.error is first.error
    assert desk.frames() == []


@pytest.mark.promise("R3")
def test_a_probe_brings_it_back(desk: Desk) -> None:
    """A probe opens another connection; numbers go on without a hole."""
    desk.commit(line(1))
    desk.fill_up()
    desk.commit(line(2, "x" * 100_000))

    desk.ledger.probe()

    assert isinstance(desk.reports[-1], Recovered)
    assert isinstance(desk.commit(line(2, "again")), Committed)
    assert [frame.split(b"_")[1] for frame in desk.frames()] == [b"1", b"2"]


def test_a_probe_that_is_not_needed(desk: Desk) -> None:
    """A probe of a log that can be written says nothing."""
    desk.ledger.probe()

    assert desk.reports == []


def test_a_probe_that_fails(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the cause lasts each probe tells the failure, and may be repeated."""

    def out_of_order(path: str) -> apsw.Connection:
        raise apsw.IOError("disk I/O error")

    desk.fill_up()
    desk.commit(line(1, "x" * 100_000))
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "connect_writer", out_of_order)
        desk.ledger.probe()
        report = desk.reports[-1]
        assert isinstance(report, Failed)
        assert report.entries == ()
        assert str(report.error) == "The log could not be written: disk I/O error."
        assert isinstance(desk.commit(line(1)), Failed)

    desk.ledger.probe()

    assert isinstance(desk.reports[-1], Recovered)


def fail_with_frames_left(desk: Desk, monkeypatch: pytest.MonkeyPatch, lost: Entry) -> None:
    """Fail as a commit whose sync fails: it is in the write-ahead log, but does not count."""
    with closing(connect_writer(str(crashed(desk)))) as copy:
        commit(copy, [new.row for new in lost.blocks], NOTHING)
        whole = Path(copy.filename + "-wal").read_bytes()

    def unsynced(*_: object) -> None:
        before = Path(desk.path + "-wal").read_bytes()
        assert whole.startswith(before)
        assert len(whole) > len(before)
        with open(desk.path + "-wal", "ab") as file:
            file.write(whole[len(before) :])
        raise apsw.IOError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_write", unsynced)
        assert isinstance(desk.commit(lost), Failed)


def crashed(desk: Desk) -> Path:
    """What a crash at this moment would leave."""
    copy = Path(desk.path).with_name("crashed.db")
    for ending in ("", "-wal"):
        shutil.copy(desk.path + ending, f"{copy}{ending}")
    Path(f"{copy}-shm").unlink(missing_ok=True)
    return copy


@pytest.mark.promise("R3")
@pytest.mark.parametrize("has_room", [True, False])
def test_a_failed_commit_is_not_found_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, has_room: bool
) -> None:
    """What the write-ahead log holds of a commit that failed is gone with the next probe."""
    desk.commit(line(1))
    lost = entry(new_block(block(2, ["lost"] * 200), MS))
    fail_with_frames_left(desk, monkeypatch, lost)
    with opened(crashed(desk)) as now:
        assert now.bounds.newest == 201  # this is why the probe has to write
    if not has_room:
        monkeypatch.setattr(ledger, "copy_all", lambda connection: None)

    desk.ledger.probe()

    assert isinstance(desk.reports[-1], Recovered)
    with opened(crashed(desk)) as now:
        assert now.bounds.newest == 1
    assert isinstance(desk.commit(line(2)), Committed)
    assert len(desk.frames()) == 2


def test_no_room_to_checkpoint(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is room for commits, but none for copying them, commits go on."""
    monkeypatch.setattr(ledger, "_CHECKPOINT_PAGES", 1)
    asked: list[int] = []

    class Cramped:
        """A connection, but for its room."""

        def __init__(self, connection: apsw.Connection) -> None:
            self.connection = connection

        def __getattr__(self, name: str) -> object:
            return getattr(self.connection, name)

        def wal_checkpoint(self, mode: int) -> None:
            asked.append(mode)
            raise apsw.FullError("database or disk is full")

    desk.ledger._connection = Cramped(desk.log.connection)  # type: ignore[assignment]

    assert isinstance(desk.commit(line(1)), Committed)
    assert isinstance(desk.commit(line(2)), Committed)
    assert len(asked) == 2


@pytest.mark.promise("R3")
def test_a_log_that_holds_more_than_was_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that failed and is there all the same keeps the log closed until a restart."""
    real = Ledger._write

    def doubtful(*arguments: Any) -> None:
        real(*arguments)
        raise apsw.IOError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_write", doubtful)
        desk.commit(line(1))

    desk.ledger.probe()

    report = desk.reports[-1]
    assert isinstance(report, Failed)
    assert "its newest event is number 1, not 0" in str(report.error)
    assert not report.is_passing


def test_damage_is_not_probed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged log fails for good, and is marked to be checked at the next start."""

    def corrupt(*_: object) -> None:
        raise apsw.CorruptError("database disk image is malformed")

    monkeypatch.setattr(ledger, "write", corrupt)

    report = desk.commit(line(1))

    assert isinstance(report, Failed)
    assert not report.is_passing
    assert Path(desk.path + ".suspect").exists()


def test_an_error_of_ours_reaches_who_waits(desk: Desk) -> None:
    """Even a value that no database takes is told, and does not end the writer."""
    wrong = entry(changes=Changes(cursors={"a": object()}))  # type: ignore[dict-item]

    report = desk.commit(wrong)

    assert isinstance(report, Failed)
    assert type(report.error) is StorageFailed
    desk.ledger.probe()
    assert isinstance(desk.commit(line(1)), Committed)


def fill_in_portions(desk: Desk, is_idle: Callable[[], bool]) -> int:
    """Write much; gives the longest write-ahead log that there was."""
    longest = 0
    for number in range(60):
        made = new_block(block_of_facts(1 + 500 * number, MS, "s", facts(500, 300)), MS)
        assert isinstance(desk.commit(entry(made), is_idle=is_idle), Committed)
        longest = max(longest, desk.wal_size())
    return longest


def test_the_write_ahead_log_stays_short(desk: Desk) -> None:
    """When there is time it is copied away every few megabytes."""
    desk.log.connection.pragma("synchronous", "off")  # only the outcome matters here

    assert fill_in_portions(desk, idle) < 6_000_000


def test_the_write_ahead_log_stays_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when there is never time, and when somebody always reads."""
    monkeypatch.setattr(ledger, "_OVERLONG_PAGES", 3_000)
    monkeypatch.setattr(ledger, "_OVERDUE_PAGES", 1_500)
    desk.log.connection.pragma("synchronous", "off")  # only the outcome matters here
    reading = desk.log.readers[1].execute("SELECT name FROM meta, (VALUES (1), (2))")
    next(reading)

    longest = fill_in_portions(desk, busy)
    assert longest > 6_000_000
    reading.close()
    fill_again = new_block(block_of_facts(30_001, MS, "s", facts(10_000, 300)), MS)
    desk.commit(entry(fill_again), is_idle=busy)
    desk.commit(line(40_001), is_idle=busy)

    assert desk.wal_size() < longest


def test_a_clean_end_leaves_one_file(tmp_path: Path) -> None:
    """After the end everything is in a single file that can be copied."""
    desk = Desk(tmp_path / "log.db")
    desk.commit(line(1))

    assert desk.ledger.close() == Closed(None)

    assert [path.name for path in tmp_path.iterdir()] == ["log.db"]
    with opened(tmp_path / "log.db") as again:
        assert again.bounds.newest == 1


def test_an_end_after_a_failure(tmp_path: Path) -> None:
    """A log that cannot be written is closed all the same."""
    desk = Desk(tmp_path / "log.db")
    desk.commit(line(1))
    desk.fill_up()
    desk.commit(line(2, "x" * 100_000))

    assert desk.ledger.close() == Closed(None)

    with opened(tmp_path / "log.db") as again:
        assert again.bounds.newest == 1
