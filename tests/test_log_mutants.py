"""R16: files of the log that are damaged, or others' in their place, opened by the real code."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest

from loki_twisted.log import history, input_rows, message_rows, records
from loki_twisted.log.done_rows import done_once
from loki_twisted.log.faults import DAMAGE
from loki_twisted.log.interface import Batch
from loki_twisted.log.opening import Opened
from loki_twisted.model.errors import StorageRefused
from loki_twisted.model.events import KIND_OF_TYPE
from loki_twisted.model.filters import EVERY_KIND, EVERYTHING, EventFilter
from loki_twisted.model.tasks import TaskQuery
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
from tests.mutants import DAMAGES, REFUSED

TABLES: Mapping[str, Callable[[apsw.Connection], Any]] = {
    "sessions": lambda connection: records.sessions(connection, 1_000, 0),
    "tasks": lambda connection: records.tasks(connection, TaskQuery(limit=None)).tasks,
    "tasks of a session": lambda connection: (
        records.tasks(connection, TaskQuery(session_id="session_1", limit=None)).tasks
    ),
    "task": lambda connection: [records.task(connection, "session_1", "t1")],
    "inputs": lambda connection: input_rows.inputs(connection, "session_1", 99, 0).inputs,
    "open inputs": input_rows.open_inputs,
    "input": lambda connection: [input_rows.input_of(connection, "session_1", "i7")],
    "messages": lambda connection: message_rows.messages(connection, "session_1", 99, 0).messages,
    "queued messages": message_rows.queued_messages,
    "cursors": lambda connection: records.cursors(connection, "").items(),
    "done": lambda connection: [done_once(connection, "k13")],
}
"""Reads of rows that are not events; what was spent is added up, and has no sums."""

READS = {
    "all": EVERYTHING,
    "session": EventFilter("session_1", EVERY_KIND),
    "errors": EventFilter(None, 1 << KIND_OF_TYPE["log:error"]),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of which half is still in the write-ahead log, as a crash leaves it."""
    path = tmp_path_factory.mktemp("whole") / "log.db"
    with opened(path) as log:
        for number in range(120):
            if number == 60:
                log.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            name = f"session_{number % 6}"
            said = [*facts(10), fact("wrong", "log:error")]
            batch = Batch(
                session_id=name,
                at_ms=MS,
                facts=said,
                session=session(name),
                tasks=[task(f"t{number}", name)],
                inputs=[asked(f"i{number}", name)],
                messages=[message(f"m{number}", name)],
                cursors={f"{name}/{number}": str(number)},
                done_once=done(f"k{number}"),
                spent=[entry(name, number)],
            )
            put(log, batch)
    return path


def rows_of(log: Opened) -> Mapping[str, list[Any] | None]:
    """What there is of each of the other tables; None where damage was met."""
    found: dict[str, list[Any] | None] = {}
    for name, read in TABLES.items():
        try:
            found[name] = [each for each in read(log.connection) if each is not None]
        except DAMAGE:
            found[name] = None
    return found


def told_of(log: Opened) -> Mapping[str, Any]:
    """What each of some reads gives; None where the damage was met."""
    return {name: _unless_damaged(log, wanted) for name, wanted in READS.items()}


def _unless_damaged(log: Opened, wanted: EventFilter) -> list[bytes] | None:
    found: list[bytes] = []
    after = 0
    try:
        while after < log.bounds.newest:
            page = history.read(log.connection, after, log.bounds.newest, wanted, 2**14)
            found += frames(page.blocks, wanted, after)
            after = page.reached
    except DAMAGE:
        return None
    return found


def judged(
    path: Path, right: Mapping[str, list[bytes]], rows: Mapping[str, list[Any] | None]
) -> str:
    """
    Open it, read all of it, and say what became of it. Wrong events, and rows, fail the test.

    What is found by an index only may be left out where that is damaged: it has no sum.
    """
    with opened(path) as log:
        if log.notices:
            assert list(path.parent.glob("log.db.corrupt-*"))
            assert log.bounds.newest == 0
            return "put aside"
        newest = log.bounds.newest
        read = told_of(log)
        others = rows_of(log)
    for name, found in others.items():
        assert all(each in (rows[name] or ()) for each in found or ()), name
    there = {
        name: [each for each in events if int(each.split(b"_")[1]) <= newest]
        for name, events in right.items()
    }
    for name, told in read.items():
        assert told is None or is_part(told, there[name]), name
    assert read["all"] in (None, there["all"])
    if None in (*read.values(), *others.values()):
        return "met when read"
    return "harmless" if read == there else "left out"


def is_part(some: Sequence[bytes], all_of_them: Sequence[bytes]) -> bool:
    """Whether the one is in the other, in its order."""
    rest = iter(all_of_them)
    return all(each in rest for each in some)


def contents(directory: Path) -> dict[str, bytes]:
    """All files of a log in a directory, but for what is in shared memory."""
    files = (path for path in directory.glob("log.db*") if path.is_file())
    return {path.name: path.read_bytes() for path in files if not path.name.endswith("-shm")}


@pytest.mark.promise("R16")
@pytest.mark.timeout(900)
def test_r16_wrong_events_are_never_told(
    whole: Path, tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Whatever has happened to the file of a log, what is told of it, events and rows, is what was
    written: it is refused and left alone where it is not ours, put aside, or the damage is met
    when it is read.
    """
    with opened(shutil.copytree(whole.parent, tmp_path / "right") / "log.db") as log:
        right, rows = told_of(log), rows_of(log)
    assert all(rows.values())
    chance = Random(16)
    became: Counter[str] = Counter()
    for number in range(2000 if is_full else 44):
        name = [*DAMAGES][number % len(DAMAGES)]
        path = shutil.copytree(whole.parent, tmp_path / "mutant") / "log.db"
        DAMAGES[name](path, chance)
        before = contents(path.parent)
        try:
            became[judged(path, right, rows)] += 1
            assert name not in REFUSED
        except StorageRefused:  # so is a header that says that it is another's
            assert contents(path.parent) == before
            became["refused"] += 1
        shutil.rmtree(path.parent)
    assert became["left out"] * 100 <= became.total()
    assert min(became["refused"], became["put aside"], became["met when read"]) > 0
    if is_full:
        tell(capsys, f"{became.total()} mutants of a log: {dict(became)}; wrong events or rows: 0")
