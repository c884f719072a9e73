"""One transaction: all of it or nothing."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.log import history, input_rows, message_rows, records
from loki_twisted.log.changes import changes_of
from loki_twisted.log.interface import Batch
from loki_twisted.log.rows import new_block
from loki_twisted.log.statements import parts
from loki_twisted.model.filters import EVERYTHING
from loki_twisted.model.tasks import TaskQuery
from tests.log_support import (
    MS,
    asked,
    block,
    commit,
    fact,
    facts,
    message,
    opened,
    put,
    session,
    task,
)


@given(st.lists(st.integers(), max_size=300))
def test_parts_are_of_few_lengths(numbers: list[int]) -> None:
    """The parts are all the rows in order, and their lengths are powers of two."""
    rows = [(number,) for number in numbers]
    cut = list(parts(rows))

    assert [row for part in cut for row in part] == rows
    assert {len(part) for part in cut} <= {1, 2, 4, 8, 16, 32, 64}
    assert len(cut) <= len(rows) // 64 + 6


def test_a_batch_is_all_there(tmp_path: Path) -> None:
    """Events, rows and cursors of a batch are in the log together."""
    with opened(tmp_path / "log.db") as log:
        put(
            log,
            Batch(
                session_id="session_1",
                at_ms=MS,
                facts=facts(3),
                session=session(),
                tasks=[task("t1"), task("t2")],
                cursors={"session_1/out": "17"},
            ),
        )
        reader = log.readers[0]

        assert history.time_of(reader, 3) == MS
        assert records.sessions(reader, 10, 0) == [session()]
        assert records.tasks(reader, TaskQuery()).tasks == (task("t1"), task("t2"))
        assert records.cursors(reader, "") == {"session_1/out": "17"}


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    """When one row cannot be written, none of its batch is."""
    with opened(tmp_path / "log.db") as log:
        put(log, Batch(session_id="s", at_ms=MS, facts=[fact()]))
        twice = new_block(block(1, ["again"]), MS)

        with pytest.raises(apsw.ConstraintError):
            commit(
                log.connection,
                [new_block(block(2, ["new"]), MS).row, twice.row],
                changes_of(Batch(session_id="s", at_ms=MS, cursors={"a": "1"})),
            )
        log.connection.execute("ROLLBACK")

        assert len(history.read(log.readers[0], 0, 9, EVERYTHING, 9).blocks) == 1
        assert records.cursors(log.readers[0], "") == {}


def test_forgetting_a_session(tmp_path: Path) -> None:
    """All rows of the session go; what is new stays, and what is of others."""
    with opened(tmp_path / "log.db") as log:
        for name in ("session_1", "session_2"):
            put(
                log,
                Batch(
                    session_id=name,
                    at_ms=MS,
                    facts=[fact()],
                    session=session(name),
                    tasks=[task("t1", name)],
                    cursors={f"{name}/a": "1", f"{name}0": "near", "session_1": "too"},
                    inputs=[asked("i1", name)],
                    messages=[message("m1", name)],
                ),
            )
        forget = Batch(
            session_id="session_1",
            at_ms=MS,
            facts=[fact()],
            cursors={"session_1/new": "2"},
            messages=[message("m2")],
            forget=True,
        )
        put(log, forget)
        reader = log.readers[0]

        assert records.sessions(reader, 10, 0) == [session("session_2")]
        assert records.tasks(reader, TaskQuery()).tasks == (task("t1", "session_2"),)
        assert [each.id for each in input_rows.open_inputs(reader)] == ["i1"]
        assert input_rows.inputs(reader, "session_1", 9, 0).total == 0
        assert message_rows.queued_messages(reader) == [message("m1", "session_2"), message("m2")]
        assert records.cursors(reader, "") == {
            "session_1": "too",
            "session_1/new": "2",
            "session_10": "near",
            "session_2/a": "1",
            "session_20": "near",
        }
        assert sum(map(len, history.read(reader, 0, 9, EVERYTHING, 9999).blocks)) == 3


def test_a_task_keeps_its_place(tmp_path: Path) -> None:
    """A task that changes stays where it was among those of the same time."""
    with opened(tmp_path / "log.db") as log:
        first, second = task("t1", created_at="a"), task("t2", created_at="a")
        put(log, Batch(session_id="session_1", at_ms=MS, tasks=[first, second]))
        changed = task("t1", created_at="a", title="changed")
        put(log, Batch(session_id="session_1", at_ms=MS, tasks=[changed]))

        assert records.tasks(log.readers[0], TaskQuery()).tasks == (changed, second)


def test_rows_can_be_removed(tmp_path: Path) -> None:
    """Cursors without a value and removed tasks go, and others of the same name elsewhere stay."""
    with opened(tmp_path / "log.db") as log:
        put(
            log,
            Batch(
                session_id="session_1",
                at_ms=MS,
                tasks=[task("t1"), task("t2"), task("t1", "session_2")],
                cursors={"a": "1", "b": "2"},
            ),
        )
        put(
            log,
            Batch(
                session_id="session_1",
                at_ms=MS,
                removed_tasks=["t1", "t9"],
                cursors={"a": None, "z": None},
            ),
        )
        reader = log.readers[0]

        assert records.cursors(reader, "") == {"b": "2"}
        left = records.tasks(reader, TaskQuery()).tasks
        assert left == (task("t2"), task("t1", "session_2"))
