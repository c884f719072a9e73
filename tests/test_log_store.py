"""The event log on SQLite, from outside."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from loki_twisted.log.interface import Batch, Bounds, Ends, IEventLog, IRecords, Page
from loki_twisted.log.retention import Retention
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.blocks import Block
from loki_twisted.model.errors import LokiError, StorageFailed, StorageRefused, Unavailable
from loki_twisted.model.events import Fact
from loki_twisted.model.filters import EVERYTHING, EventFilter
from loki_twisted.model.tasks import TaskCounts, TaskPage, TaskQuery
from tests.log_support import (
    MS,
    SESSIONS,
    ThreadedClock,
    fact,
    facts,
    filters,
    frames,
    read_all,
    remembered,
    session,
    some_facts,
    task,
    wanted_of,
)


@attrs.frozen
class Desk:
    """A log and the clock that it works with."""

    clock: ThreadedClock
    path: Path
    log: SQLiteEventLog

    def start(self) -> None:
        self.clock.result(self.log.start())

    def stop(self) -> None:
        self.clock.result(self.log.stop())

    def append(self, *some: Fact, session_id: str = "session_1") -> Bounds:
        return self.clock.result(
            self.log.append(Batch(session_id=session_id, at_ms=MS, facts=some))
        )


def new_desk(path: Path) -> Desk:
    clock = ThreadedClock()
    return Desk(clock, path, SQLiteEventLog(clock, str(path), now_ms=lambda: MS))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = new_desk(tmp_path / "log.db")
    desk.start()
    yield desk
    desk.stop()


def test_it_is_what_it_says(desk: Desk) -> None:
    """It is an event log, and it has the records."""
    assert verifyObject(IEventLog, desk.log)
    assert verifyObject(IRecords, desk.log)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    """In any portions, read by any filter: what was told is what is read, after a restart too."""
    numbers = iter(range(10**6))
    portions = st.lists(
        st.lists(st.tuples(st.sampled_from(SESSIONS), some_facts), max_size=4), max_size=4
    )

    @settings(max_examples=25)
    @given(portions, filters, st.integers(0, 20), st.sampled_from([0, 500, 10**9]))
    def law(
        wanted: list[list[tuple[str, list[Fact]]]], chosen: EventFilter, after: int, size: int
    ) -> None:
        path = tmp_path / f"{next(numbers)}.db"
        desk = new_desk(path)
        desk.start()
        told: list[Block] = []
        desk.log.observe(told.extend)
        for portion in wanted:
            waiting = [
                desk.log.append(Batch(session_id=name, at_ms=MS, facts=some))
                for name, some in portion
            ]
            for each in waiting:
                desk.clock.result(each)
        events = remembered(told)
        count = sum(len(some) for portion in wanted for _, some in portion)
        assert [event.seq for event in events] == list(range(1, count + 1))
        expected = wanted_of(events, chosen, after)
        assert read_all(desk.clock, desk.log, chosen, after, size) == expected
        desk.stop()

        again = new_desk(path)
        again.start()
        assert again.log.bounds == Bounds(1, count)
        assert read_all(again.clock, again.log, chosen, after, size) == expected
        behind = again.clock.result(again.log.behind_last(count + 1, chosen, 3))
        assert wanted_of(events, chosen, behind) == wanted_of(events, chosen)[-3:]
        again.stop()

    law()


def test_what_was_not_told_is_not_read(desk: Desk) -> None:
    """What is on disk, and of which the observers do not know yet, is not read."""
    desk.append(fact("one"))
    waiting = desk.log.append(Batch(session_id="s", at_ms=MS, facts=[fact("two")]))
    tell = desk.clock.take()
    with closing(apsw.Connection(str(desk.path))) as other:
        assert other.execute("SELECT count(*) FROM blocks").fetchall() == [(2,)]

    before = desk.clock.result(desk.log.read(0, EVERYTHING, 10**6))
    back = desk.clock.result(desk.log.behind_last(99, EVERYTHING, 1))
    ends = desk.clock.result(desk.log.ends())
    time = desk.clock.result(desk.log.time_of(2))
    tell()

    assert len(frames(before.blocks, EVERYTHING)) == 1
    assert (before.reached, back, time) == (1, 0, None)
    assert ends == Ends(f"evt_1_{MS}", f"evt_1_{MS}")
    assert desk.clock.result(waiting) == Bounds(1, 2)
    assert len(read_all(desk.clock, desk.log)) == 2


def test_an_observer_may_read_what_it_is_told(desk: Desk) -> None:
    """From within an observer the log already holds what that is told."""
    pages = []
    desk.log.observe(lambda blocks: pages.append(desk.log.read(0, EVERYTHING, 10**6)))

    desk.append(fact())

    assert len(frames(desk.clock.result(pages[0]).blocks, EVERYTHING)) == 1


def test_nothing_more_to_read(desk: Desk) -> None:
    """At the end of the log, and behind it, a page is empty and does not fall back."""
    desk.append(fact())

    assert desk.clock.result(desk.log.read(1, EVERYTHING, 10)) == Page((), 1)
    assert desk.clock.result(desk.log.read(7, EVERYTHING, 10)) == Page((), 7)


def test_reading_up_to_a_number(desk: Desk) -> None:
    """No block that begins with the number or behind it is read."""
    for number in range(3):
        desk.append(*facts(2), session_id=f"s{number}")

    page = desk.clock.result(desk.log.read(0, EVERYTHING, 10**6, 5))
    assert [block.first_seq for block in page.blocks] == [1, 3]
    assert page.reached == 4
    page = desk.clock.result(desk.log.read(1, EVERYTHING, 10**6, 4))
    assert [block.first_seq for block in page.blocks] == [1, 3]
    assert page.reached >= 3
    assert desk.clock.result(desk.log.read(4, EVERYTHING, 10**6, 5)) == Page((), 4)
    assert desk.clock.result(desk.log.read(0, EVERYTHING, 10**6, 99)).reached == 6


def test_an_observer_that_has_left(desk: Desk) -> None:
    """Who has left is told nothing more."""
    told: list[Block] = []
    leave = desk.log.observe(told.extend)
    desk.append(fact())
    leave()

    desk.append(fact())

    assert len(told) == 1


def test_times(desk: Desk) -> None:
    """An event's time is found by its number."""
    desk.append(fact())

    times = [desk.clock.result(desk.log.time_of(seq)) for seq in (0, 1, 2)]

    assert times == [None, MS, None]


def test_rows_are_there_when_an_append_fires(desk: Desk) -> None:
    """Rows and cursors of a batch can be read as soon as its append has fired."""
    batch = Batch(
        session_id="session_1",
        at_ms=MS,
        facts=[fact()],
        session=session(),
        tasks=[task("t1")],
        cursors={"session_1/out": "1"},
    )
    desk.clock.result(desk.log.append(batch))

    log, result = desk.log, desk.clock.result
    assert result(log.sessions()) == [session()]
    assert result(log.tasks(TaskQuery())) == TaskPage((task("t1"),), 1)
    assert result(log.task("session_1", "t1")) == task("t1")
    assert result(log.task_counts("session_1")) == TaskCounts(total=1, pending=1)
    assert result(log.cursors("session_1/")) == {"session_1/out": "1"}


def test_the_id_of_a_log(tmp_path: Path) -> None:
    """A log keeps its id over restarts; another log has another one."""
    ids = []
    for name in ("one.db", "one.db", "two.db"):
        desk = new_desk(tmp_path / name)
        assert desk.log.log_id == ""
        desk.start()
        ids.append(desk.log.log_id)
        desk.stop()

    assert ids[0] == ids[1] != ids[2]


def test_nothing_works_outside_its_life(tmp_path: Path) -> None:
    """Before the start and after the stop whatever is asked for fails in a sentence."""
    desk = new_desk(tmp_path / "log.db")
    log = desk.log
    asked: list[Callable] = [
        lambda: log.append(Batch(session_id="s", at_ms=MS, facts=[fact()])),
        lambda: log.behind_last(1, EVERYTHING, 1),
        log.sessions,
        lambda: log.cursors(""),
    ]
    for ask in asked:
        with pytest.raises(Unavailable):
            desk.clock.result(ask())
    desk.start()
    desk.append(fact())
    desk.stop()
    desk.stop()
    for ask in (*asked, lambda: log.read(0, EVERYTHING, 1), lambda: log.time_of(1)):
        with pytest.raises(Unavailable):
            desk.clock.result(ask())


def test_a_stop_during_the_start(tmp_path: Path) -> None:
    """A server that is ended while it starts ends."""
    desk = new_desk(tmp_path / "log.db")
    starting = desk.log.start()

    desk.stop()

    desk.clock.result(starting)
    assert [path.name for path in tmp_path.iterdir()] == ["log.db"]
    assert desk.clock.getDelayedCalls() == []


def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    """What belongs to another program is left alone, and the log does not start."""
    with closing(apsw.Connection(str(tmp_path / "log.db"))) as connection:
        connection.execute("CREATE TABLE theirs(x)")
    before = (tmp_path / "log.db").read_bytes()
    desk = new_desk(tmp_path / "log.db")

    with pytest.raises(StorageRefused, match="another program"):
        desk.start()

    desk.stop()
    assert (tmp_path / "log.db").read_bytes() == before


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    """A log that cannot be made says so as storage does."""
    desk = new_desk(tmp_path / "missing" / "log.db")

    with pytest.raises(StorageFailed, match=r"could not be opened: .*No such file"):
        desk.start()

    desk.stop()


def test_a_damaged_log_is_told_loudly(tmp_path: Path) -> None:
    """That a log was put aside is in the notices, and in the operator's log."""
    (tmp_path / "log.db").write_text("Dear diary")
    desk = new_desk(tmp_path / "log.db")

    with capturedLogs() as captured:
        desk.start()

    assert f"log.db.corrupt-{MS}; a new log was begun." in desk.log.notices[0]
    assert [e["notice"] for e in captured if e["log_level"].name == "critical"] == desk.log.notices
    assert desk.append(fact()) == Bounds(1, 1)
    desk.stop()


def test_damage_that_is_met_later(tmp_path: Path) -> None:
    """A read that meets damage fails; others go on; the next start puts the log aside."""
    desk = new_desk(tmp_path / "log.db")
    desk.start()
    for number in range(9):
        desk.append(fact("x" * 500), session_id=f"s{number}")
    desk.stop()
    with closing(apsw.Connection(str(desk.path))) as connection:
        connection.execute("UPDATE blocks SET sum = 1 WHERE first_seq = 2")

    damaged = new_desk(tmp_path / "log.db")
    damaged.start()
    with pytest.raises(StorageFailed, match="it is damaged"):
        damaged.clock.result(damaged.log.read(0, EVERYTHING, 10**6))
    assert damaged.clock.result(damaged.log.read(2, EVERYTHING, 10**6)).reached == 9
    assert damaged.append(fact()) == Bounds(1, 10)
    damaged.stop()

    fresh = new_desk(tmp_path / "log.db")
    fresh.start()
    assert fresh.log.bounds == Bounds(1, 0)
    fresh.stop()


def retaining(path: Path, **limits: int) -> Desk:
    """A log that does not keep all, and whose clock goes with that of the reactor."""
    clock = ThreadedClock()
    log = SQLiteEventLog(
        clock,
        str(path),
        now_ms=lambda: MS + int(clock.seconds() * 1000),
        retention=Retention(**limits),
    )
    return Desk(clock, path, log)


def test_what_is_dropped_is_no_longer_there(tmp_path: Path) -> None:
    """The bounds follow what is dropped; ids of what is gone are not known, but for the last."""
    desk = retaining(tmp_path / "log.db", events=10, running_events=2)
    desk.start()
    running = Batch(session_id="quiet", at_ms=MS, facts=facts(2), session=session("quiet"))
    desk.clock.result(desk.log.append(running))
    for number in range(30):
        desk.append(fact(), session_id=f"s{number}")

    assert desk.log.bounds == Bounds(1, 32, complete_from=25, kept=2)
    assert len(desk.log.bounds) == 10
    numbers = [int(frame.split(b"_")[1]) for frame in read_all(desk.clock, desk.log)]
    assert numbers == [1, 2, *range(25, 33)]
    known = [n for n in range(34) if desk.clock.result(desk.log.time_of(n)) is not None]
    assert known == [1, 2, *range(24, 33)]
    assert desk.clock.result(desk.log.ends()) == Ends(f"evt_1_{MS}", f"evt_32_{MS}")
    assert desk.clock.result(desk.log.behind_last(33, EVERYTHING, 9)) == 1
    page = desk.clock.result(desk.log.read(2, EVERYTHING, 10**6))
    assert (page.reached, page.complete_from) == (32, 25)
    desk.stop()

    again = new_desk(tmp_path / "log.db")
    again.start()
    assert again.log.bounds == Bounds(1, 32, complete_from=25, kept=2)
    again.stop()


def test_what_is_too_old_goes_by_itself(tmp_path: Path) -> None:
    """Without a commit, as time passes."""
    desk = retaining(tmp_path / "log.db", age_ms=1_000_000)
    desk.start()
    for _ in range(3):
        desk.append(fact())
    assert desk.log.bounds.oldest == 1

    desk.clock.pump([10.0] * 101)
    while desk.log.bounds.oldest == 1:
        desk.clock.turn()

    assert desk.log.bounds == Bounds(3, 3)
    desk.stop()


def test_what_cannot_be_dropped_is_told(tmp_path: Path) -> None:
    """That the log keeps everything is in the operator's log, and in the notices."""
    desk = new_desk(tmp_path / "log.db")
    desk.start()
    for number in range(9):
        desk.append(fact(), session_id=f"s{number}")
    desk.stop()
    with closing(apsw.Connection(str(desk.path))) as connection:
        connection.execute("UPDATE blocks SET session_id = CAST(x'ff' AS TEXT) WHERE first_seq = 2")

    desk = retaining(tmp_path / "log.db", events=5)
    with capturedLogs() as captured:
        desk.start()
        desk.append(fact())
        desk.append(fact())

    assert desk.log.failure is None
    assert len(desk.log.notices) == 1
    assert "keeps everything until the server is started again" in desk.log.notices[0]
    critical = [e["notice"] for e in captured if e["log_level"].name == "critical"]
    assert critical == desk.log.notices
    assert desk.log.bounds.newest == 11
    desk.stop()


class RealReactorTests(TestCase):
    """The same with the reactor that a server has."""

    def setUp(self) -> None:
        directory = tempfile.mkdtemp(prefix="log-")
        self.addCleanup(shutil.rmtree, directory)
        self.path = str(Path(directory) / "log.db")
        self.threads = set(threading.enumerate())

    def tearDown(self) -> Deferred[None]:
        # Trial turns the reactor when a test ends. In the midst of a call from a thread that
        # would run the same call again.
        return deferLater(reactor, 0)

    async def test_a_life(self) -> None:
        """Many append at once, one observes, one reads; at the end no thread is left."""
        log = SQLiteEventLog(reactor, self.path)
        await log.start()
        told: list[Block] = []
        log.observe(told.extend)

        bounds = await gatherResults(
            [
                log.append(Batch(session_id=f"s{n % 7}", at_ms=MS + n // 50, facts=facts(n % 4)))
                for n in range(200)
            ]
        )

        page = await log.read(0, EVERYTHING, 10**9)
        assert bounds[-1] == log.bounds == Bounds(1, 300)
        assert frames(page.blocks, EVERYTHING) == frames(told, EVERYTHING)
        assert page.reached == 300
        await log.stop()
        assert set(threading.enumerate()) == self.threads

    async def test_a_refusal(self) -> None:
        """What fails in a thread fails here, and can be stopped all the same."""
        Path(self.path).mkdir()
        log = SQLiteEventLog(reactor, self.path)
        with pytest.raises(LokiError):
            await log.start()
        await log.stop()
        assert set(threading.enumerate()) == self.threads
