"""What batches change in the rows beside the events."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from loki_twisted.log.changes import NOTHING, behind_prefix, changes_of, merged
from loki_twisted.log.interface import Batch
from loki_twisted.log.opening import Opened
from loki_twisted.model.inputs import InputStatus
from loki_twisted.model.messages import MessageStatus
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.model.tasks import TaskStatus
from tests.log_support import (
    MS,
    asked,
    commit,
    done,
    entries,
    entry,
    fact,
    message,
    opened,
    session,
    task,
)

TABLES = {
    "sessions": "id, started_at, final, body",
    "tasks": "session_id, id, status, created_at, body",
    "cursors": "name, value",
    "inputs": "session_id, id, open, created_at, body",
    "messages": "session_id, id, queued, created_at, body",
    "spenders": "*",
    "spendings": "*",
    "spending_days": "*",
    "done_once": "*",
}

names = st.sampled_from(["s1", "s2"])
batches = names.flatmap(
    lambda name: st.builds(
        Batch,
        session_id=st.just(name),
        at_ms=st.just(MS),
        session=st.none() | st.builds(session, st.just(name), st.sampled_from(SessionStatus)),
        tasks=st.lists(
            st.builds(
                task,
                st.sampled_from(["t1", "t2", "t3"]),
                st.just(name),
                status=st.sampled_from(TaskStatus),
                priority=st.none() | st.integers(0, 9),
            ),
            max_size=3,
        ),
        removed_tasks=st.lists(st.sampled_from(["t1", "t2", "t3"]), max_size=2),
        cursors=st.dictionaries(
            st.sampled_from([f"{name}/a", f"{name}/b", "s1", "other"]),
            st.none() | st.sampled_from("12"),
            max_size=3,
        ),
        inputs=st.lists(
            st.builds(
                asked,
                st.sampled_from(["i1", "i2"]),
                st.just(name),
                status=st.sampled_from(InputStatus),
                created_at=st.sampled_from("ab"),
            ),
            max_size=2,
        ),
        messages=st.lists(
            st.builds(
                message,
                st.sampled_from(["m1", "m2"]),
                st.just(name),
                status=st.sampled_from(MessageStatus),
                created_at=st.sampled_from("ab"),
            ),
            max_size=2,
        ),
        spent=entries(st.sampled_from([name, "s3"])),
        done_once=st.none()
        | st.builds(done, st.sampled_from(["k1", "k2"]), target=st.sampled_from("ab")),
        forget=st.booleans(),
    )
)


def tables(log: Opened) -> dict[str, list[object]]:
    found = {
        table: sorted(log.connection.execute(f"SELECT {columns} FROM {table}").fetchall(), key=repr)
        for table, columns in TABLES.items()
    }
    for table in ("inputs", "messages"):
        places = f"SELECT session_id, id FROM {table} ORDER BY number"
        found[f"{table} as they came"] = log.connection.execute(places).fetchall()
    return found


def test_many_are_as_one_after_another(tmp_path: Path) -> None:
    """What batches do in one transaction is what they do one by one."""
    with opened(tmp_path / "one.db") as one, opened(tmp_path / "all.db") as together:
        for log in (one, together):
            log.connection.pragma("synchronous", "off")  # only the outcome matters here

        @settings(max_examples=50)
        @given(st.lists(batches, max_size=8))
        def law(several: list[Batch]) -> None:
            changes = [changes_of(batch) for batch in several]
            for each in changes:
                commit(one.connection, [], each)
            commit(together.connection, [], merged(changes))
            assert tables(one) == tables(together)

        law()


def test_only_events() -> None:
    """A batch of nothing but events changes no rows."""
    assert changes_of(Batch(session_id="s", at_ms=MS, facts=[fact()])) is NOTHING


def test_the_size_is_counted() -> None:
    """A large row counts, so that the queue is bounded by bytes."""
    batch = Batch(session_id="s", at_ms=MS, tasks=[task(output="x" * 100_000)], cursors={"a": "b"})

    assert changes_of(batch).size > 100_000


def test_what_is_no_text_counts_too() -> None:
    """Many lines of the ledger, or keys, fill the queue as well."""
    spent = [entry(turn=turn) for turn in range(1000)]

    assert changes_of(Batch(session_id="s", at_ms=MS, spent=spent)).size > 100_000
    assert changes_of(Batch(session_id="s", at_ms=MS, done_once=done())).size > 100


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
edges = st.text(st.sampled_from("a/0\x7f\ud7ff\ue000\U0010ffff"), max_size=4)


@given(texts | edges, texts | edges)
def test_the_names_of_a_prefix_are_a_range(prefix: str, name: str) -> None:
    """A name begins with a prefix exactly if it lies between the prefix and what is behind it."""
    behind = behind_prefix(prefix)

    assert name.startswith(prefix) == (prefix <= name and (behind is None or name < behind))
