"""R16: files of the log that are damaged, or others' in their place, opened by the real code."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import apsw
import attrs
import pytest

from loki_twisted.log import history, input_rows, message_rows, records
from loki_twisted.log.checking import bounds_of
from loki_twisted.log.connecting import copy_all
from loki_twisted.log.done_rows import done_once
from loki_twisted.log.faults import Damaged, is_damage
from loki_twisted.log.interface import Batch
from loki_twisted.log.opening import Opened
from loki_twisted.log.spending_sums import ledger
from loki_twisted.model.errors import StorageRefused
from loki_twisted.model.events import KIND_OF_TYPE
from loki_twisted.model.filters import EVERY_KIND, EVERYTHING, EventFilter
from loki_twisted.model.ledger import Grouping, LedgerQuery
from loki_twisted.model.tasks import TaskQuery, TaskStatus
from tests.figures import tell
from tests.log_support import (
    MS,
    asked,
    done,
    entry,
    fact,
    facts,
    frames,
    message,
    opened,
    put,
    session,
    task,
)
from tests.mutants import DAMAGES, PAGE, REFUSED


def _usage(by: Grouping, **asked_for: Any) -> Callable[[apsw.Connection], Any]:
    return lambda connection: ledger(connection, LedgerQuery(by=by, **asked_for))


READS: Mapping[str, Callable[[Opened], Any]] = {
    "all": lambda log: _told(log, EVERYTHING),
    "session": lambda log: _told(log, EventFilter("session_1", EVERY_KIND)),
    "errors": lambda log: _told(log, EventFilter(None, 1 << KIND_OF_TYPE["log:error"])),
    "errors of a session": lambda log: _told(
        log, EventFilter("session_1", 1 << KIND_OF_TYPE["log:error"])
    ),
    "sessions": lambda log: records.sessions(log.connection, 1_000, 0),
    "all tasks": lambda log: records.tasks(log.connection, TaskQuery(limit=None)),
    "tasks of a session": lambda log: records.tasks(
        log.connection, TaskQuery(session_id="session_1", limit=None)
    ),
    "tasks of a status": lambda log: records.tasks(
        log.connection, TaskQuery(statuses=frozenset({TaskStatus.PENDING}), limit=None)
    ),
    "task": lambda log: records.task(log.connection, "session_1", "t1"),
    "counts of tasks": lambda log: records.task_counts(log.connection, "session_1"),
    "inputs": lambda log: input_rows.inputs(log.connection, "session_1", 99, 0),
    "open inputs": lambda log: input_rows.open_inputs(log.connection),
    "input": lambda log: input_rows.input_of(log.connection, "session_1", "i7"),
    "messages": lambda log: message_rows.messages(log.connection, "session_1", 99, 0),
    "queued messages": lambda log: message_rows.queued_messages(log.connection),
    "cursors": lambda log: records.cursors(log.connection, ""),
    "done": lambda log: done_once(log.connection, "k13"),
    "usage by turn": lambda log: _usage(Grouping.TURN, session_id="session_1")(log.connection),
    "usage by day": lambda log: _usage(Grouping.DAY)(log.connection),
    "usage by project": lambda log: _usage(Grouping.PROJECT)(log.connection),
    "usage of a project": lambda log: _usage(Grouping.SESSION, project_dir="/1")(log.connection),
    "usage since": lambda log: _usage(Grouping.MODEL, since_ms=MS + 60)(log.connection),
}
"""All ways in which something is read."""


def add(log: Opened, number: int) -> None:
    """Put a little of everything into a log; eleven events of it."""
    name = f"session_{number % 6}"
    batch = Batch(
        session_id=name,
        at_ms=MS,
        facts=[*facts(10), fact("wrong", "log:error")],
        session=session(name),
        tasks=[task(f"t{number}", name)],
        inputs=[asked(f"i{number}", name)],
        messages=[message(f"m{number}", name)],
        cursors={f"{name}/{number}": str(number)},
        done_once=done(f"k{number}"),
        spent=[entry(name, number, at_ms=MS + number, project_dir=f"/{number % 6}")],
    )
    put(log, batch)


BATCHES = 120
EVENTS = 11


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of which half is still in the write-ahead log, as a crash leaves it."""
    path = tmp_path_factory.mktemp("whole") / "log.db"
    with opened(path) as log:
        for number in range(BATCHES):
            if number == BATCHES // 2:
                log.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            add(log, number)
    return path


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Mapping[str, Any]]:
    """What is read of a log that ends with an event: a crash may lose an end, and no more."""

    @cache
    def read(newest: int) -> Mapping[str, Any]:
        path = tmp_path_factory.mktemp("right") / "log.db"
        with opened(path) as log:
            for number in range(newest // EVENTS):
                add(log, number)
            bounds = bounds_of(log.connection)
            assert bounds.newest == newest
            return told_of(attrs.evolve(log, bounds=bounds))

    return read


def told_of(log: Opened) -> Mapping[str, Any]:
    """What each read gives; the damage where it was met."""
    return {name: _unless_damaged(log, read) for name, read in READS.items()}


def _unless_damaged(log: Opened, read: Callable[[Opened], Any]) -> Any:
    try:
        return read(log)
    except (Damaged, apsw.Error) as error:
        return Damaged if is_damage(error) else error


def _told(log: Opened, wanted: EventFilter) -> list[bytes]:
    found: list[bytes] = []
    after = 0
    while after < log.bounds.newest:
        page = history.read(log.connection, after, log.bounds.newest, wanted, 2**14)
        found += frames(page.blocks, wanted, after)
        after = page.reached
    return found


def judged(path: Path, right: Callable[[int], Mapping[str, Any]]) -> str:
    """Open it, read all of it, and say what became of it. Anything wrong fails the test."""
    with opened(path) as log:
        if log.bounds.newest == 0:
            assert log.notices
            assert list(path.parent.glob("log.db.corrupt-*"))
            return "put aside"
        read = told_of(log)
        expected = right(log.bounds.newest)
    for name, found in read.items():
        assert found is Damaged or found == expected[name], name
    if Damaged in read.values():
        return "met when read"
    return "found whole" if log.notices else "harmless"


def contents(directory: Path) -> dict[str, bytes]:
    """All files of a log in a directory, but for what is in shared memory."""
    files = (path for path in directory.glob("log.db*") if path.is_file())
    return {path.name: path.read_bytes() for path in files if not path.name.endswith("-shm")}


@pytest.mark.promise("R16")
@pytest.mark.timeout(900)
def test_r16_nothing_wrong_is_ever_told(
    whole: Path,
    right: Callable[[int], Mapping[str, Any]],
    tmp_path: Path,
    is_full: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """
    Whatever has happened to the file of a log, what is told of it is what was written, all of it
    up to some event: it is refused and left alone where it is not ours, put aside, or the damage
    is met when it is read.
    """
    chance = Random(16)
    became: Counter[str] = Counter()
    for number in range(2000 if is_full else 44):
        name = [*DAMAGES][number % len(DAMAGES)]
        path = shutil.copytree(whole.parent, tmp_path / "mutant") / "log.db"
        DAMAGES[name](path, chance)
        before = contents(path.parent)
        try:
            became[judged(path, right)] += 1
            assert name not in REFUSED
        except StorageRefused:  # so is a header that says that it is another's
            assert contents(path.parent) == before
            became["refused"] += 1
        shutil.rmtree(path.parent)
    assert min(became["refused"], became["put aside"]) > 0
    if is_full:
        tell(capsys, f"{became.total()} mutants of a log: {dict(became)}; nothing wrong was told")


@pytest.mark.promise("R16")
def test_each_page_is_checked(
    right: Callable[[int], Mapping[str, Any]], whole: Path, tmp_path: Path
) -> None:
    """A bit that is another one, in any page, is met by who reads it, or was not in use."""
    path = shutil.copytree(whole.parent, tmp_path / "settled") / "log.db"
    with opened(path) as log:
        copy_all(log.connection)
    pages = path.stat().st_size // PAGE
    met = 0
    for page in range(1, pages):
        mutant = shutil.copytree(path.parent, tmp_path / "mutant") / "log.db"
        data = bytearray(mutant.read_bytes())
        data[page * PAGE + 8 + page * 37 % (PAGE - 16)] ^= 1
        mutant.write_bytes(data)
        met += judged(mutant, right) != "harmless"
        shutil.rmtree(mutant.parent)
    assert met > pages // 2


def test_sums_that_are_wrong_themselves(whole: Path, tmp_path: Path) -> None:
    """They cost a read of all, and nothing that was right is put aside."""
    path = shutil.copytree(whole.parent, tmp_path / "sum") / "log.db"
    data = bytearray(path.read_bytes())
    for end in range(PAGE, len(data) + 1, PAGE):
        data[end - 1] ^= 1
    path.write_bytes(data)
    with opened(path) as log:
        assert log.bounds.newest == BATCHES * EVENTS
        [notice] = log.notices
        assert "All of it was read, and is right." in notice
    with opened(path) as log:
        assert log.notices == ()


def test_who_writes_around_the_sums(whole: Path, tmp_path: Path) -> None:
    """What another program has written is read, and kept if all of it is right."""
    path = shutil.copytree(whole.parent, tmp_path / "written") / "log.db"
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE INDEX mine ON blocks(at_ms)")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    for told in ("other sums than their own", None):
        with opened(path) as log:
            assert log.bounds.newest == BATCHES * EVENTS
            assert [told] * len(log.notices) == [told for each in log.notices if told in each]
            assert bool(log.notices) is bool(told)
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("UPDATE spendings SET input_tokens = input_tokens + 1")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    with opened(path) as log:
        assert log.bounds.newest == BATCHES * EVENTS
