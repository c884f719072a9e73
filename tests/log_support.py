"""What the tests of the log share: small values, and strategies for them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import apsw
import attrs
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from loki_twisted.log import history
from loki_twisted.log.changes import NOTHING, Changes, changes_of
from loki_twisted.log.interface import Batch
from loki_twisted.log.opening import Opened, open_log
from loki_twisted.log.page_sums import way_to_logs
from loki_twisted.log.rows import BlockRow, Head, NewBlock, new_block
from loki_twisted.log.statements import write
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.blocks import Block, block_of_facts
from loki_twisted.model.events import EVENT_TYPES, KIND_OF_TYPE, Fact
from loki_twisted.model.filters import EVERY_KIND, EVERYTHING, EventFilter
from loki_twisted.model.idempotency import CompletedRequest
from loki_twisted.model.inputs import Input, InputKind
from loki_twisted.model.ledger import LedgerEntry
from loki_twisted.model.messages import Message
from loki_twisted.model.sessions import Session, SessionStatus
from loki_twisted.model.spending import CostOrigin, Spending
from loki_twisted.model.tasks import Task, TaskStatus

Value = TypeVar("Value")

TIMEOUT = 60
MS = 1_790_000_000_000
SESSIONS = ("", "session_1", "session_2", "café")


@contextlib.contextmanager
def no_threads() -> Iterator[None]:
    """Let no thread be started: each wants more memory than any system has addresses for."""
    usual = threading.stack_size(2**60)
    try:
        yield
    finally:
        threading.stack_size(usual)


def connect(path: Path | str) -> apsw.Connection:
    """Connect to a log as the log itself does, so that its pages keep their sums."""
    return apsw.Connection(str(path), vfs=way_to_logs())


def fact(text: str = "hello", kind: str = "log:info") -> Fact:
    """An event to be."""
    return Fact(kind, {"level": "info", "message": text})


def facts(count: int, size: int = 100) -> list[Fact]:
    """Several that differ."""
    return [fact(f"{number} {'x' * size}") for number in range(count)]


def session(
    session_id: str = "session_1", status: SessionStatus = SessionStatus.RUNNING, at: str = "a"
) -> Session:
    """A session's row."""
    return Session(
        id=session_id,
        status=status,
        provider="demo",
        project_dir="/project",
        started_at=at,
        updated_at=at,
    )


def task(task_id: str = "t1", session_id: str = "session_1", **fields: object) -> Task:
    """A task's row."""
    given = {"title": task_id, "status": TaskStatus.PENDING, **fields}
    return Task(id=task_id, session_id=session_id, **given)  # type: ignore[arg-type]


def asked(input_id: str = "i1", session_id: str = "session_1", **fields: object) -> Input:
    """Something that an agent asks for."""
    given = {"kind": InputKind.PERMISSION, "prompt": "May I?", "created_at": "a", **fields}
    return Input(id=input_id, session_id=session_id, **given)  # type: ignore[arg-type]


def message(message_id: str = "m1", session_id: str = "session_1", **fields: object) -> Message:
    """Something that an agent is told."""
    given = {"text": "Go on.", "created_at": "a", **fields}
    return Message(id=message_id, session_id=session_id, **given)  # type: ignore[arg-type]


def entry(session_id: str = "session_1", turn: int = 1, **fields: object) -> LedgerEntry:
    """Something that was spent."""
    given = {
        "at_ms": MS,
        "project_dir": "/project",
        "provider": "demo",
        "spending": Spending(input_tokens=2, cost=0.5),
        "origin": CostOrigin.REPORTED,
        **fields,
    }
    return LedgerEntry(session_id=session_id, turn=turn, **given)  # type: ignore[arg-type]


def done(key: str = "k1", at_ms: int = MS, **fields: str) -> CompletedRequest:
    """A request that was carried out."""
    given = {
        "operation": "startSession",
        "fingerprint": "f",
        "session_id": "session_1",
        "target": "session_1",
        **fields,
    }
    return CompletedRequest(key=key, at_ms=at_ms, **given)


# What is a sum of powers of two is added up exactly, in whatever order.
spendings = st.builds(
    Spending,
    input_tokens=st.integers(0, 1000),
    output_tokens=st.integers(0, 1000),
    cache_read_tokens=st.integers(0, 1000),
    cache_write_tokens=st.integers(0, 1000),
    reasoning_tokens=st.integers(0, 1000),
    other_tokens=st.integers(0, 1000),
    api_calls=st.integers(0, 3),
    cost=st.integers(0, 4096).map(lambda part: part / 1024),
)


def entries(session_ids: st.SearchStrategy[str]) -> st.SearchStrategy[list[LedgerEntry]]:
    """Entries, several of the same line among them."""
    return st.lists(
        st.builds(
            LedgerEntry,
            session_id=session_ids,
            turn=st.integers(0, 3),
            at_ms=st.integers(0, 5).map(lambda halves: MS + halves * 43_200_000),
            project_dir=st.sampled_from(["/a", "/b"]),
            provider=st.sampled_from(["claude", "codex"]),
            spending=spendings,
            origin=st.sampled_from(CostOrigin),
            model=st.sampled_from(["", "gpt-5", "café"]),
        ),
        max_size=6,
    )


def block(first_seq: int, texts: Sequence[str], session_id: str = "session_1") -> Block:
    """A block of log lines."""
    return block_of_facts(first_seq, MS, session_id, [fact(text) for text in texts])


@contextlib.contextmanager
def opened(path: Path | str) -> Iterator[Opened]:
    """A log, opened, and closed again as a crash would close it."""
    log = open_log(str(path), lambda: MS)
    try:
        yield log
    finally:
        for connection in (log.connection, *log.readers):
            connection.close(force=True)


def commit(connection: apsw.Connection, rows: Sequence[BlockRow], changes: Changes) -> None:
    """Write in one transaction, and drop nothing."""
    connection.execute("BEGIN IMMEDIATE")
    write(connection, rows, changes)
    connection.execute("COMMIT")


def put(log: Opened, batch: Batch) -> Block | None:
    """Commit a batch by itself, behind what there is, and give its block."""
    blocks = []
    if batch.facts:
        newest = newest_of(log)
        new = new_block(
            block_of_facts(newest + 1, batch.at_ms, batch.session_id, batch.facts), batch.at_ms
        )
        blocks.append(new)
    commit(log.connection, [new.row for new in blocks], changes_of(batch))
    return blocks[0].block if blocks else None


def put_blocks(log: Opened, blocks: Sequence[NewBlock]) -> None:
    """Commit blocks in one transaction."""
    commit(log.connection, [new.row for new in blocks], NOTHING)


def behind_last(connection: apsw.Connection, before: int, wanted: EventFilter, count: int) -> int:
    """Count backwards to the end, stretch by stretch."""
    counting = history.Count(before, count)
    while not counting.is_over:
        counting = history.count_on(connection, counting, wanted)
    return counting.behind


@contextlib.contextmanager
def counted_queries(connection: apsw.Connection) -> Iterator[list[int]]:
    """Note of each query that is made meanwhile how many rows it wants, by its ``:rows``."""
    rows: list[int] = []

    def note(_: object, __: str, values: apsw.Bindings | None) -> bool:
        rows.append(values["rows"])  # type: ignore[call-overload, index]
        return True

    connection.exec_trace = note
    try:
        yield rows
    finally:
        connection.exec_trace = None


def columns_of(blocks: Sequence[NewBlock]) -> tuple[list[Head], bytes, bytes, bytes]:
    """What a query gives for some rows."""
    rows = [new.row for new in blocks]
    return (
        [Head(row[0], row[3], len(row[6]), len(row[8]), row[5]) for row in rows],
        b"".join(row[6] for row in rows),
        b"".join(row[7] for row in rows),
        b"".join(row[8] for row in rows),
    )


def newest_of(log: Opened) -> int:
    """The number of the newest event."""
    [(newest,)] = log.connection.execute("SELECT max(last_seq) FROM blocks").fetchall()
    return newest or 0


@attrs.frozen
class Happened:
    """An event as the tests remember it."""

    seq: int
    session_id: str
    kind: int
    frame: bytes


def remembered(blocks: Sequence[Block]) -> list[Happened]:
    """All events of some blocks."""
    return [
        Happened(each.first_seq + index, each.session_id, each.kinds[index], each.frame(index))
        for each in blocks
        for index in range(len(each))
    ]


def wanted_of(events: Sequence[Happened], wanted: EventFilter, after: int = 0) -> list[bytes]:
    """The frames that a filter wants, the slow and plain way."""
    return [
        event.frame
        for event in events
        if event.seq > after and wanted.wants(event.session_id, event.kind)
    ]


def frames(blocks: Sequence[Block], wanted: EventFilter, after: int = 0) -> list[bytes]:
    """The frames that a filter wants, as those take them who read the log."""
    return [each.frame(i) for each in blocks for i in each.wanted(wanted, after)]


some_facts = st.lists(
    st.builds(
        fact,
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.sampled_from(EVENT_TYPES),
    ),
    min_size=1,
    max_size=6,
)


@st.composite
def histories(draw: st.DrawFn) -> list[NewBlock]:
    """Blocks that follow one another, each of some session, numbered from 1."""
    blocks: list[NewBlock] = []
    seq = 1
    for number, (session_id, some) in enumerate(
        draw(st.lists(st.tuples(st.sampled_from(SESSIONS), some_facts), max_size=12))
    ):
        at_ms = MS + number // 3
        blocks.append(new_block(block_of_facts(seq, at_ms, session_id, some), at_ms))
        seq += len(some)
    return blocks


filters = st.builds(
    EventFilter,
    st.none() | st.sampled_from((*SESSIONS, "session_nobody")),
    st.just(EVERY_KIND)
    | st.sets(st.sampled_from(EVENT_TYPES)).map(
        lambda types: sum(1 << KIND_OF_TYPE[each] for each in types)
    ),
)


@implementer(IReactorFromThreads)
class ThreadedClock(Clock):
    """A clock whose calls from threads wait until the test runs them: threads without chance."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def callFromThread(self, f: Callable[..., object], *args: object, **kwargs: object) -> None:  # noqa: N802
        """Have a function called by :meth:`turn`."""
        self._calls.put(partial(f, *args, **kwargs))

    def take(self) -> Callable[[], object]:
        """Wait for the next call from a thread, and give it to the test."""
        return self._calls.get(timeout=TIMEOUT)

    def turn(self) -> None:
        """Wait for the next call from a thread, and run it."""
        self.take()()

    def result(self, deferred: Deferred[Value]) -> Value:
        """Run calls from threads until a Deferred has fired; gives its result or raises."""
        outcome: list[Value | Failure] = []
        deferred.addBoth(outcome.append)
        while not outcome:
            self.turn()
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return outcome[0]


def read_all(
    clock: ThreadedClock,
    log: SQLiteEventLog,
    wanted: EventFilter = EVERYTHING,
    after: int = 0,
    max_bytes: int = 10**9,
) -> list[bytes]:
    """All that a reader gets who goes on from what was reached."""
    found: list[bytes] = []
    while after < log.bounds.newest:
        page = clock.result(log.read(after, wanted, max_bytes))
        found += frames(page.blocks, wanted, after)
        after = page.reached
    return found
