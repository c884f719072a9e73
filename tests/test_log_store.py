"""The event log on SQLite, from outside."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from loki_twisted.log import history, store
from loki_twisted.log.interface import Batch, Bounds, Ends, IEventLog, IRecords, Page
from loki_twisted.log.lanes import Lane
from loki_twisted.log.spending_sums import ledger
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.blocks import Block
from loki_twisted.model.errors import LokiError
from loki_twisted.model.events import Fact
from loki_twisted.model.filters import EVERYTHING, EventFilter
from loki_twisted.model.inputs import InputPage
from loki_twisted.model.ledger import Grouping, LedgerPage, LedgerQuery
from loki_twisted.model.messages import MessagePage
from loki_twisted.model.tasks import TaskCounts, TaskPage, TaskQuery
from tests.log_support import (
    MS,
    SESSIONS,
    TIMEOUT,
    asked,
    connect,
    done,
    entry,
    fact,
    facts,
    filters,
    frames,
    message,
    read_all,
    remembered,
    session,
    some_facts,
    task,
    wanted_of,
)
from tests.plain_ledger import plain_ledger
from tests.store_desk import Desk, new_desk


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
    with closing(connect(desk.path)) as other:
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
        inputs=[asked()],
        messages=[message()],
        spent=[entry()],
        done_once=done(),
    )
    desk.clock.result(desk.log.append(batch))

    log, result = desk.log, desk.clock.result
    assert result(log.sessions(10, 0)) == [session()]
    assert result(log.sessions(10, 1)) == result(log.sessions(0, 0)) == []
    assert result(log.tasks(TaskQuery())) == TaskPage((task("t1"),), 1)
    assert result(log.task("session_1", "t1")) == task("t1")
    assert result(log.task_counts("session_1")) == TaskCounts(total=1, pending=1)
    assert result(log.cursors("session_1/")) == {"session_1/out": "1"}
    assert result(log.cursors("", "/out")) == {"session_1/out": "1"}
    assert result(log.cursors("", "/in")) == {}
    [waiting] = result(log.open_inputs())
    assert waiting == result(log.input("session_1", "i1"))
    assert result(log.inputs("session_1", 1, 0)) == InputPage((waiting,), 1)
    assert waiting.prompt == asked().prompt
    assert result(log.queued_messages()) == [message()]
    assert result(log.messages("session_1", 1, 0)) == MessagePage((message(),), 1)
    query = LedgerQuery(by=Grouping.TURN)
    assert result(log.ledger(query)) == plain_ledger([entry()], query)
    assert result(log.done_once("k1")) == done()


BY_TYPES = EventFilter(mask=1)
BY_LOG = EventFilter.of(None, ["log:*"])

BY_SESSION = EventFilter("session_1")


@pytest.mark.parametrize(
    ("ask", "lane"),
    [
        (lambda log: log.time_of(1), Lane.SHORT),
        (lambda log: log.ends(), Lane.SHORT),
        (lambda log: log.last_before(MS), Lane.SHORT),
        (lambda log: log.behind_last(2, EVERYTHING, 100), Lane.SHORT),
        (lambda log: log.behind_last(2, BY_SESSION, 10_000), Lane.PAGES),
        (lambda log: log.tasks(TaskQuery()), Lane.PAGES),
        (lambda log: log.open_inputs(), Lane.PAGES),
        (lambda log: log.inputs("s", 10, 0), Lane.PAGES),
        (lambda log: log.input("s", "i"), Lane.SHORT),
        (lambda log: log.queued_messages(), Lane.PAGES),
        (lambda log: log.messages("s", 10, 0), Lane.PAGES),
        (lambda log: log.done_once("k"), Lane.SHORT),
        (lambda log: log.ledger(LedgerQuery(by=Grouping.TURN, session_id="s")), Lane.PAGES),
        (lambda log: log.ledger(LedgerQuery(by=Grouping.DAY)), Lane.SCANS),
        (lambda log: log.behind_last(2, BY_TYPES, 1), Lane.SCANS),
        (lambda log: log.read(0, EVERYTHING, 32_768), Lane.SHORT),
        (lambda log: log.read(0, BY_SESSION, 32_769), Lane.PAGES),
        (lambda log: log.read(0, BY_TYPES, 1), Lane.SCANS),
    ],
)
def test_what_is_asked_waits_with_its_like(
    desk: Desk, ask: Callable[[SQLiteEventLog], Deferred[object]], lane: Lane
) -> None:
    """While all threads are busy and something waits in the other lanes, it stands in its own."""
    desk.append(fact())
    readers = desk.log._readers
    gate = threading.Event()
    before = [readers.ask(lambda _: gate.wait(TIMEOUT), each) for each in Lane for _ in range(2)]

    asked = ask(desk.log)

    assert {each: len(queue.waiting) for each, queue in readers._lanes._queues.items()} == {
        each: (0 if each is Lane.SHORT else 2) + (each is lane) for each in Lane
    }
    gate.set()
    for each in (*before, asked):
        desk.clock.result(each)


def test_a_count_lets_others_have_their_turn(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """While all threads count back over many blocks, what is short is answered in between."""
    monkeypatch.setattr(history, "MAX_ROWS", 8)
    for _ in range(100):
        desk.append(fact())
    order: list[str] = []
    counts = [desk.log.behind_last(101, BY_LOG, 90) for _ in range(2)]
    time = desk.log.time_of(1)
    for name, each in (("count", counts[0]), ("count", counts[1]), ("time", time)):
        each.addCallback(lambda found, name=name: (order.append(name), found)[1])

    assert [desk.clock.result(each) for each in (*counts, time)] == [10, 10, MS]
    assert order == ["time", "count", "count"]


def test_sums_leave_a_thread_to_others(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask for sums of the whole ledger, what is short is answered meanwhile."""
    gate = threading.Event()
    began: list[LedgerQuery] = []

    def slow(connection: apsw.Connection, query: LedgerQuery) -> LedgerPage:
        began.append(query)
        gate.wait(TIMEOUT)
        return ledger(connection, query)

    monkeypatch.setattr(store, "ledger", slow)
    query = LedgerQuery(by=Grouping.DAY)
    sums = [desk.log.ledger(query) for _ in range(5)]

    assert desk.clock.result(desk.log.done_once("k")) is None
    assert len(began) <= 1
    gate.set()
    assert [desk.clock.result(each) for each in sums] == [plain_ledger([], query)] * 5
    assert len(began) == 5


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
