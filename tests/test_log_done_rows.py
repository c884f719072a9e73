"""What was done under a key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from loki_twisted.log.changes import changes_of, merged
from loki_twisted.log.done_rows import done_once
from loki_twisted.log.interface import Batch
from loki_twisted.log.opening import Opened
from loki_twisted.model.idempotency import KEPT_MS, CompletedRequest
from tests.log_support import MS, commit, done, opened, put, session


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "log.db") as log:
        log.connection.pragma("synchronous", "off")  # only the outcome matters here
        yield log


def put_done(log: Opened, *several: CompletedRequest) -> None:
    """Put several into one transaction."""
    batches = [Batch(session_id="s", at_ms=each.at_ms, done_once=each) for each in several]
    commit(log.connection, [], merged(map(changes_of, batches)))


def keys(log: Opened) -> list[str]:
    rows = log.connection.execute("SELECT key FROM done_once ORDER BY at_ms, key")
    return [str(key) for (key,) in rows]


def test_it_is_found_by_its_key(log: Opened) -> None:
    """What was done under a key is known with all that there is to it, and nothing else is."""
    one = done("an/é key", operation="answerInput", fingerprint="0f", target="input_1_aa")
    put_done(log, one, done("other"))

    assert done_once(log.readers[0], "an/é key") == one
    assert done_once(log.readers[0], "an/e key") is None


def test_the_last_one_counts(log: Opened) -> None:
    """A key that was used again after its time stands for the later request."""
    put_done(log, done("k", target="before"))
    later = done("k", MS + KEPT_MS + 1, target="after")
    put_done(log, later)

    assert done_once(log.readers[0], "k") == later


def test_it_outlives_its_session(log: Opened) -> None:
    """A start that comes again after its session was deleted is known to have been carried out."""
    started = done("k", session_id="session_1", target="session_1")
    start = Batch(session_id="session_1", at_ms=MS, session=session(), done_once=started)
    put(log, start)
    put(log, Batch(session_id="session_1", at_ms=MS, forget=True))

    assert done_once(log.readers[0], "k") == started


def test_what_is_a_day_old_stays(log: Opened) -> None:
    """Nothing is dropped before its time."""
    put_done(log, done("old", MS))
    put_done(log, done("new", MS + KEPT_MS))

    assert keys(log) == ["old", "new"]


def test_old_ones_are_dropped_little_by_little(log: Opened) -> None:
    """Each that comes takes two old ones with it, the oldest first, until there are none."""
    put_done(log, *(done(f"old {number}", MS + number) for number in range(9)))
    late = MS + 2 * KEPT_MS

    put_done(log, done("a", late), done("b", late))
    assert keys(log) == [*(f"old {number}" for number in range(4, 9)), "a", "b"]
    for name in "cdef":
        put_done(log, done(name, late))
    assert keys(log) == list("abcdef")


def test_dropping_looks_at_no_others(log: Opened) -> None:
    """What is too old is found by an index, however many keys there are."""
    plans: list[str] = []

    def note(_: object, statement: str, values: object) -> bool:
        if statement.startswith("DELETE FROM done_once"):
            log.connection.exec_trace = None
            steps = log.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)  # type: ignore[arg-type]
            plans.extend(str(step[3]) for step in steps)
        return True

    log.connection.exec_trace = note
    put_done(log, done())

    of_table = [step for step in plans if " done_once " in step]
    assert len(of_table) == 2
    assert all(step.startswith("SEARCH") for step in of_table)
