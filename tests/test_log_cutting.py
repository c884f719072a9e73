"""Cutting the log: what stays is what must, what goes is no more than may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count as counted
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.defer import Deferred

from loki_twisted.log import cutting, history, holdings
from loki_twisted.log.changes import changes_of
from loki_twisted.log.cutting import SLICE
from loki_twisted.log.interface import Batch, Bounds
from loki_twisted.log.ledger import Ledger
from loki_twisted.log.messages import (
    Committed,
    Entry,
    Failed,
    Recovered,
    Report,
    Shortened,
    Unshortened,
)
from loki_twisted.log.opening import Opened, open_log
from loki_twisted.log.retention import Retention
from loki_twisted.log.rows import new_block
from loki_twisted.model.blocks import Block, block_of_facts
from loki_twisted.model.events import Fact
from loki_twisted.model.filters import EVERYTHING, EventFilter
from loki_twisted.model.sessions import SessionStatus
from tests.log_support import (
    MS,
    Happened,
    fact,
    facts,
    filters,
    frames,
    remembered,
    session,
    some_facts,
    wanted_of,
)

NAMES = ("session_1", "session_2", "café")


class Desk:
    """
    A ledger that shortens its log, and what it reported.

    :ivar now_ms: The wall clock.
    """

    def __init__(self, path: Path | str, retention: Retention) -> None:
        self.path = str(path)
        self.retention = retention
        self.now_ms = MS
        self.reports: list[Report] = []
        self.told: list[Block] = []
        self.open()

    def open(self) -> None:
        self.log: Opened = open_log(self.path, lambda: MS)
        self.bounds = self.log.bounds
        self.ledger = Ledger(
            self.path, self.log, self._reported, self.retention, lambda: self.now_ms
        )

    def _reported(self, report: Report) -> None:
        self.reports.append(report)
        if isinstance(report, Committed):
            self.told += report.blocks
        if isinstance(report, Committed | Shortened):
            self.bounds = report.bounds

    @property
    def reader(self) -> apsw.Connection:
        return self.log.readers[0]

    def commit(self, *batches: Batch) -> Report:
        entries, seq = [], self.bounds.newest + 1
        for batch in batches:
            blocks = []
            if batch.facts:
                made = block_of_facts(seq, batch.at_ms, batch.session_id, batch.facts)
                blocks.append(new_block(made, batch.at_ms))
                seq += len(made)
            entries.append(Entry(blocks, changes_of(batch), 0, Deferred()))
        self.ledger.commit(entries, lambda: False)
        return self.reports[-1]

    def say(self, *some: Fact, session_id: str = "session_1") -> Report:
        return self.commit(Batch(session_id=session_id, at_ms=self.now_ms, facts=some))

    def run(self, session_id: str, status: SessionStatus = SessionStatus.RUNNING) -> None:
        row = session(session_id, status)
        self.commit(Batch(session_id=session_id, at_ms=self.now_ms, session=row))

    def settle(self) -> int:
        """Tidy up until there is no more to do; gives in how many slices."""
        for slices in counted(1):
            if not self.ledger.tidy():
                return slices
        raise AssertionError

    def read(self, wanted: EventFilter = EVERYTHING, after: int = 0, size: int = 10**9) -> list:
        found: list[bytes] = []
        while after < self.bounds.newest:
            page = history.read(self.reader, after, self.bounds.newest, wanted, size)
            assert after < page.reached <= self.bounds.newest
            assert page.complete_from == max(1, self.bounds.complete_from)
            found += frames(page.blocks, wanted, after)
            after = page.reached
        return found

    def held(self) -> list[Happened]:
        """The events that are in the log."""
        there = set(self.read())
        return [event for event in remembered(self.told) if event.frame in there]


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[Any]:
    made = []

    def make(**limits: Any) -> Desk:
        """The log, opened with other limits than before."""
        if made:
            made[-1].ledger.close()
        made.append(Desk(tmp_path / "log.db", Retention(**limits)))
        return made[-1]

    yield make
    for desk in made:
        desk.ledger.close()


class Log(RuleBasedStateMachine):
    """A log that is shortened, and a list that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()

    @initialize(
        events=st.sampled_from([None, 1, 3, 5, 10]),
        age_ms=st.sampled_from([None, None, 10]),
        size=st.sampled_from([None, None, 80_000, 120_000]),
        running_events=st.sampled_from([1, 2, 5]),
    )
    def begin(
        self, events: int | None, age_ms: int | None, size: int | None, running_events: int
    ) -> None:
        retention = Retention(
            events=events, age_ms=age_ms, size=size, running_events=running_events
        )
        self.desk = Desk(Path(self.directory.name, "log.db"), retention)
        self.running: set[str] = set()
        self.gone: set[int] = set()

    @rule(
        batches=st.lists(st.tuples(st.sampled_from(NAMES), some_facts), min_size=1, max_size=4),
        large=st.booleans(),
    )
    def append(self, batches: list[tuple[str, list[Fact]]], large: bool) -> None:
        """Some events come."""
        extra = [fact("x" * 9_000)] if large else []
        self.desk.commit(
            *(
                Batch(session_id=name, at_ms=self.desk.now_ms, facts=[*some, *extra])
                for name, some in batches
            )
        )

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=5, max_size=15))
    def talk(self, names: list[str]) -> None:
        """Each says one thing at a time."""
        for name in names:
            self.desk.say(fact(), session_id=name)

    @rule(name=st.sampled_from(NAMES), runs=st.sampled_from([True, True, False]))
    def set_running(self, name: str, runs: bool) -> None:
        """A session begins or ends."""
        if name not in self.running:
            # What has gone while it did not run it cannot keep.
            held = {event.seq for event in self.desk.held()}
            self.gone |= {
                event.seq
                for event in remembered(self.desk.told)
                if event.session_id == name and event.seq not in held
            }
        self.desk.run(name, SessionStatus.RUNNING if runs else SessionStatus.STOPPED)
        (self.running.add if runs else self.running.discard)(name)

    @rule(name=st.sampled_from(NAMES))
    def forget(self, name: str) -> None:
        """A session's record is deleted."""
        self.desk.commit(Batch(session_id=name, at_ms=self.desk.now_ms, forget=True))
        self.running.discard(name)

    @rule()
    def tidy(self) -> None:
        """There is a moment without work."""
        self.desk.ledger.tidy()

    @rule(milliseconds=st.integers(1, 9))
    def grow_older(self, milliseconds: int) -> None:
        """Time passes, and it is looked at."""
        self.desk.now_ms += milliseconds
        self.desk.ledger.look()

    @rule()
    def settle(self) -> None:
        """There is nothing to do for long; then no limit is exceeded."""
        desk = self.desk
        desk.ledger.look()
        desk.settle()
        spared = self.spared()
        newest_block = holdings.newest_block(desk.reader)
        for event in desk.held():
            if event.seq < desk.bounds.complete_from:
                assert event.session_id in self.running
        others = [e for e in desk.held() if e.seq not in spared and e.seq < newest_block]
        limit = desk.retention.events
        if limit is not None and len(desk.bounds) > limit:
            assert {event.session_id for event in others} <= self.running
            keeps = desk.retention.running_events
            # The block that the last of them begin in, and an eighth that is not looked for.
            assert len(others) <= len(self.running) * (keeps + 10)

    @rule()
    def restart(self) -> None:
        """The log is closed and opened again, and holds what it held."""
        before = self.desk.bounds
        self.desk.ledger.close()
        self.desk.open()
        assert self.desk.bounds == before

    @rule(wanted=filters, after=st.integers(0, 200), size=st.sampled_from([0, 900, 10**9]))
    def read(self, wanted: EventFilter, after: int, size: int) -> None:
        """What is read forwards by any filter is what the filter wants of what is there."""
        assert self.desk.read(wanted, after, size) == wanted_of(self.desk.held(), wanted, after)

    @rule(wanted=filters, back=st.integers(0, 200), count=st.integers(1, 9))
    def count_back(self, wanted: EventFilter, back: int, count: int) -> None:
        """And what is counted backwards."""
        before = max(1, self.desk.bounds.newest + 1 - back)
        earlier = [event for event in self.desk.held() if event.seq < before]
        behind = history.behind_last(self.desk.reader, before, wanted, count)
        assert wanted_of(earlier, wanted, behind) == wanted_of(earlier, wanted)[-count:]

    @invariant()
    def the_bounds_are_true(self) -> None:
        """Nothing is missing that must be there, and the bounds say what there is."""
        if not hasattr(self, "desk"):
            return
        desk, bounds = self.desk, self.desk.bounds
        held = desk.held()
        numbers = [event.seq for event in held]
        assert numbers == sorted(set(numbers))
        assert len(held) == len(bounds)
        assert bounds.oldest == (numbers[0] if numbers else bounds.newest + 1)
        complete = set(range(bounds.complete_from, bounds.newest + 1))
        assert complete <= set(numbers)
        assert sum(number < bounds.complete_from for number in numbers) == bounds.kept
        assert self.spared() <= set(numbers)
        if numbers:
            assert bounds.newest in numbers
        known = [n for n in range(1, bounds.newest + 1) if history.time_of(desk.reader, n)]
        assert set(known) - {bounds.complete_from - 1} == set(numbers) - {bounds.complete_from - 1}
        if bounds.complete_from > 1:
            assert bounds.complete_from - 1 in known
        assert holdings.spans_are_whole(desk.reader)

    def spared(self) -> set[int]:
        """The numbers of the last events of running sessions."""
        keeps = self.desk.retention.running_events
        return {
            event.seq
            for name in self.running
            for event in [e for e in remembered(self.desk.told) if e.session_id == name][-keeps:]
        } - self.gone

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.desk.ledger.close()
        self.directory.cleanup()


TestLog = Log.TestCase
TestLog.settings = settings(
    stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def fill(desk: Desk, blocks: int, events: int = 1, session_id: str = "session_1") -> None:
    """Append as many blocks, each in a commit of its own."""
    for _ in range(blocks):
        desk.say(*facts(events), session_id=session_id)


def test_nothing_goes_without_a_limit(desks: Any) -> None:
    """Where all is kept, nothing is dropped, whatever its age."""
    desk = desks()
    fill(desk, 30)
    desk.now_ms += 10**12
    desk.ledger.look()

    assert desk.settle() == 1
    assert desk.bounds == Bounds(1, 30)


def test_commits_keep_to_the_limit(desks: Any) -> None:
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


def test_a_commit_does_not_do_much_more_than_its_own(desks: Any) -> None:
    """However much there is too much, a commit drops a bounded part of it."""
    fill(desks(), 2_000)
    desk = desks(events=10)

    desk.say(*facts(100))
    assert 2_000 - 2 * 100 - 64 <= len(desk.bounds) - 100 < 2_000 - 100
    desk.say(fact())
    assert 2_100 - len(desk.bounds) >= 64


def test_the_commit_itself_stays(desks: Any) -> None:
    """Who waits for a commit finds it in the log, even if it is more than the limit."""
    desk = desks(events=5)
    desk.commit(*(Batch(session_id=f"s{n}", at_ms=MS, facts=facts(4)) for n in range(4)))
    assert desk.bounds == Bounds(1, 16)

    desk.settle()

    assert desk.bounds == Bounds(13, 16)


def test_slices_are_bounded(desks: Any) -> None:
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


def test_by_age(desks: Any) -> None:
    """What has become too old goes when it is looked at, and nothing younger."""
    desk = desks(age_ms=1_000)
    for _ in range(10):
        desk.say(fact())
        desk.now_ms += 200
    desk.settle()
    assert desk.bounds.oldest == 1

    desk.ledger.look()
    desk.settle()

    assert desk.bounds.oldest == 6
    desk.now_ms += 10**6
    desk.ledger.look()
    desk.settle()
    assert desk.bounds == Bounds(10, 10)


def test_at_once_after_a_start(desks: Any) -> None:
    """What is too much when the log is opened goes without a commit."""
    fill(desks(), 50)
    desk = desks(events=10)

    desk.settle()

    assert desk.bounds == Bounds(41, 50)


def test_by_size(desks: Any) -> None:
    """The pages in use are no more than may be, and the file follows, when there is time."""
    desk = desks(size=2_000_000)
    sizes = []
    for _ in range(150):
        desk.say(*facts(100, 200))
        sizes.append(Path(desk.path).stat().st_size)
    assert max(sizes) <= 2_400_000
    desk.ledger.close()

    desk = desks(size=400_000)
    desk.settle()
    desk.ledger.close()

    assert 320_000 <= Path(desk.path).stat().st_size <= 480_000


def test_a_file_that_cannot_shrink(tmp_path: Path, desks: Any) -> None:
    """A file that was made without the means for it is shortened too, and keeps its size."""
    desk = desks()
    fill(desk, 40, events=100)
    desk.ledger.close()
    connection = apsw.Connection(desk.path)
    connection.pragma("auto_vacuum", 0)
    connection.execute("VACUUM")
    connection.close()
    size = Path(desk.path).stat().st_size

    desk = desks(events=100)
    desk.settle()

    assert len(desk.bounds) == 100
    desk.ledger.close()
    assert Path(desk.path).stat().st_size == size


def test_running_sessions_keep_their_last(desks: Any) -> None:
    """A quiet session keeps what it said last as long as it runs, and no longer."""
    desk = desks(events=20, running_events=5)
    desk.run("quiet")
    for _ in range(8):
        desk.say(fact(), session_id="quiet")
    fill(desk, 100)
    desk.settle()

    assert [e.seq for e in desk.held() if e.session_id == "quiet"] == [4, 5, 6, 7, 8]
    assert desk.bounds.kept == 5
    assert len(desk.bounds) <= 20

    desk.run("quiet", SessionStatus.COMPLETED)
    desk.settle()

    assert desk.bounds.kept == 0
    assert desk.bounds.oldest == desk.bounds.complete_from


def test_a_deleted_session_keeps_nothing(desks: Any) -> None:
    """What it kept goes with its record."""
    desk = desks(events=20, running_events=5)
    desk.run("quiet")
    desk.say(*facts(3), session_id="quiet")
    fill(desk, 50)
    assert desk.bounds.kept == 3

    desk.commit(Batch(session_id="quiet", at_ms=MS, forget=True))
    desk.settle()

    assert desk.bounds.kept == 0


def test_a_running_session_that_says_more_keeps_less_of_its_past(desks: Any) -> None:
    """What a session kept behind a hole goes when it has said enough since."""
    desk = desks(events=30, running_events=10)
    desk.run("quiet")
    fill(desk, 10, session_id="quiet")
    for _ in range(20):
        fill(desk, 10)
        fill(desk, 1, session_id="quiet")
        desk.settle()

    seqs = [event.seq for event in desk.held() if event.session_id == "quiet"]
    assert seqs[0] > 10
    assert 10 <= len(seqs) <= 15


def break_block(desk: Desk, seq: int) -> None:
    """Have a block say of itself what cannot be."""
    desk.log.connection.execute(
        "UPDATE blocks SET session_id = CAST(x'ff' AS TEXT) WHERE first_seq = ?", (seq,)
    )


def test_damage_is_met_in_a_commit(desks: Any) -> None:
    """A damaged old block stays, with all the others; what comes is written; it is told once."""
    desk = desks(events=10)
    fill(desk, 9)
    break_block(desk, 1)

    fill(desk, 6)
    assert not desk.ledger.tidy()

    assert [type(each) for each in desk.reports].count(Unshortened) == 1
    assert [type(each) for each in desk.reports].count(Committed) == 15
    assert desk.bounds == Bounds(1, 15)
    assert Path(desk.path + ".suspect").exists()


def test_damage_is_met_in_a_slice(desks: Any) -> None:
    """The same when there was time to drop what is too much."""
    desk = desks()
    fill(desk, 15)
    break_block(desk, 1)
    desk.ledger.close()

    desk = desks(events=10)
    assert not desk.ledger.tidy()
    fill(desk, 1)

    assert [type(each) for each in desk.reports] == [Unshortened, Committed]
    assert desk.bounds == Bounds(1, 16)
    assert Path(desk.path + ".suspect").exists()


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("with_commit", [True, False])
def test_no_room_to_drop(desks: Any, monkeypatch: pytest.MonkeyPatch, with_commit: bool) -> None:
    """Where there is no room for dropping, commits go on; it is tried again at the next look."""
    fill(desks(), 20)
    desk = desks(events=10)
    with monkeypatch.context() as patch:
        patch.setattr(holdings, "drop", failing(apsw.FullError("database or disk is full")))
        if with_commit:
            fill(desk, 1)
        assert not desk.ledger.tidy()
        fill(desk, 2)
    assert {type(report) for report in desk.reports} == {Committed}
    assert not desk.ledger.tidy()
    assert desk.bounds.oldest == 1

    desk.ledger.look()
    desk.settle()

    assert len(desk.bounds) == 10
    assert len(desk.held()) == 2 + with_commit  # of those that were told here


@pytest.mark.parametrize("with_commit", [True, False])
def test_a_disk_that_fails(desks: Any, monkeypatch: pytest.MonkeyPatch, with_commit: bool) -> None:
    """An error of the disk is reported as one of a commit's, and the log comes back like then."""
    fill(desks(), 20)
    desk = desks(events=10)
    with monkeypatch.context() as patch:
        patch.setattr(holdings, "drop", failing(apsw.IOError("disk I/O error")))
        if with_commit:
            fill(desk, 1)
        else:
            assert not desk.ledger.tidy()
    failed = desk.reports[-1]
    assert isinstance(failed, Failed)
    assert failed.is_passing
    assert len(failed.entries) == with_commit

    desk.ledger.probe()

    recovered = desk.reports[-1]
    assert isinstance(recovered, Recovered)
    assert recovered.bounds == Bounds(1, 20)
    desk.settle()
    assert desk.bounds == Bounds(11, 20)


def test_a_fault_of_ours_ends_nothing_but_the_dropping(
    desks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong in it, the log is written to."""
    fill(desks(), 20)
    desk = desks(events=10)
    monkeypatch.setattr(cutting, "choose", failing(ZeroDivisionError()))

    assert not desk.ledger.tidy()
    fill(desk, 1)

    assert [type(report) for report in desk.reports] == [Unshortened, Committed]


def test_what_is_written_of_holes_is_checked(tmp_path: Path, desks: Any) -> None:
    """A log that says of its holes what cannot be is damaged, and is put aside."""
    desk = desks(events=10)
    fill(desk, 20)
    desk.log.connection.execute("UPDATE meta SET value = '[17]' WHERE name = 'held'")
    desk.ledger.close()

    desk = desks()

    assert desk.bounds == Bounds(1, 0)
    assert "a row is not what was written" in desk.log.notices[0]
