"""R16: files of the log that are damaged, or others' in their place, opened by the real code."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest

from loki_twisted.log import history
from loki_twisted.log.faults import DAMAGE
from loki_twisted.log.interface import Batch
from loki_twisted.log.opening import Opened
from loki_twisted.model.errors import StorageRefused
from loki_twisted.model.events import KIND_OF_TYPE
from loki_twisted.model.filters import EVERY_KIND, EVERYTHING, EventFilter
from tests.figures import tell
from tests.log_support import MS, fact, facts, frames, opened, put, session
from tests.mutants import DAMAGES, REFUSED

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
            put(log, Batch(session_id=name, at_ms=MS, facts=said, session=session(name)))
    return path


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


def judged(path: Path, right: Mapping[str, list[bytes]]) -> str:
    """
    Open it, read all of it, and say what became of it. Wrong events fail the test.

    What is found by an index only may be left out where that is damaged: it has no sum.
    """
    with opened(path) as log:
        if log.notices:
            assert list(path.parent.glob("log.db.corrupt-*"))
            assert log.bounds.newest == 0
            return "put aside"
        newest = log.bounds.newest
        read = told_of(log)
    there = {
        name: [each for each in events if int(each.split(b"_")[1]) <= newest]
        for name, events in right.items()
    }
    for name, told in read.items():
        assert told is None or is_part(told, there[name]), name
    assert read["all"] in (None, there["all"])
    if None in read.values():
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
    Whatever has happened to the file of a log, what is told of it is what was written: it is
    refused and left alone where it is not ours, put aside, or the damage is met when it is read.
    """
    with opened(shutil.copytree(whole.parent, tmp_path / "right") / "log.db") as log:
        right = told_of(log)
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
    assert became["left out"] * 100 <= became.total()
    assert min(became["refused"], became["put aside"], became["met when read"]) > 0
    if is_full:
        tell(capsys, f"{became.total()} mutants of a log: {dict(became)}; wrong events: 0")
