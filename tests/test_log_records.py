"""Reading the rows beside the events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.log import records
from loki_twisted.log.faults import Damaged
from loki_twisted.log.interface import Batch
from loki_twisted.log.opening import Opened
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.model.task_places import TaskPlace
from loki_twisted.model.tasks import Task, TaskCounts, TaskPage, TaskQuery, TaskStatus
from tests.log_support import MS, opened, put, session, task

STANDING = {
    "s_running": SessionStatus.RUNNING,
    "s_paused": SessionStatus.PAUSED,
    "s_ended": SessionStatus.COMPLETED,
    "s_unknown": None,
}
NOT_ENDED = {"s_running", "s_paused"}

tasks = st.lists(
    st.builds(
        task,
        st.sampled_from([f"t{n}" for n in range(20)]),
        st.sampled_from(sorted(STANDING)),
        status=st.sampled_from(TaskStatus),
        priority=st.none() | st.integers(0, 3) | st.sampled_from(["high", "low"]),
        created_at=st.none() | st.sampled_from(["2026-01", "2026-02", "2026-03"]),
    ),
    max_size=30,
    unique_by=lambda each: (each.session_id, each.id),
)
queries = st.builds(
    TaskQuery,
    session_id=st.none() | st.sampled_from([*STANDING, "s_nobody"]),
    statuses=st.none() | st.frozensets(st.sampled_from(TaskStatus)),
    limit=st.none() | st.integers(0, 10),
    offset=st.integers(0, 10),
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "log.db") as log:
        log.connection.pragma("synchronous", "off")  # only the outcome matters here
        for name, status in STANDING.items():
            if status is not None:
                put(log, Batch(session_id=name, at_ms=MS, session=session(name, status)))
        yield log


def expected(several: list[Task], query: TaskQuery) -> TaskPage:
    """What a query gives, the slow and plain way."""
    found = [
        each
        for each in several
        if query.session_id in (None, each.session_id)
        and (query.statuses is None or each.status in query.statuses)
    ]
    found.sort(key=lambda each: each.created_at or "", reverse=True)
    end = None if query.limit is None else query.offset + query.limit
    return TaskPage(tuple(found[query.offset : end]), len(found))


def test_any_query_gives_its_page(log: Opened) -> None:
    """A page of tasks is what filtering and sorting all of them gives, and its total and end."""

    @given(tasks, queries)
    def law(several: list[Task], query: TaskQuery) -> None:
        log.connection.execute("DELETE FROM tasks")
        put(log, Batch(session_id="s", at_ms=MS, tasks=several))
        page = records.tasks(log.readers[0], query)
        wanted = expected(several, query)
        assert (page.tasks, page.total) == (wanted.tasks, wanted.total)
        is_last = query.offset + len(page.tasks) >= page.total
        assert (page.end is None) == (is_last or not page.tasks)
        if page.end is not None:
            behind = attrs.evolve(query, after=page.end, offset=0)
            following = attrs.evolve(query, offset=query.offset + len(page.tasks))
            assert records.tasks(log.readers[0], behind) == records.tasks(log.readers[0], following)

    law()


def test_totals_are_kept(log: Opened) -> None:
    """However tasks come, change and go, it is known how many stand where."""
    several = st.lists(tasks, max_size=4)

    @given(several, st.sampled_from(sorted(STANDING)), st.lists(st.sampled_from(sorted(STANDING))))
    def law(batches: list[list[Task]], removed: str, forgotten: list[str]) -> None:
        log.connection.execute("DELETE FROM tasks")
        for batch in batches:
            put(log, Batch(session_id="s", at_ms=MS, tasks=batch))
        names = [f"t{n}" for n in range(0, 20, 2)]
        put(log, Batch(session_id=removed, at_ms=MS, removed_tasks=names))
        for name in forgotten:
            put(log, Batch(session_id=name, at_ms=MS, forget=True))
        assert records.totals_are_whole(log.connection)

    law()


@pytest.mark.parametrize(
    "query",
    [
        TaskQuery(),
        TaskQuery(statuses=frozenset({TaskStatus.RUNNING, TaskStatus.FAILED})),
        TaskQuery(session_id="s_running"),
        TaskQuery(session_id="s_running", statuses=frozenset({TaskStatus.RUNNING})),
        TaskQuery(session_id="s_running", statuses=frozenset()),
        TaskQuery(after=TaskPlace("2026-02", 5)),
        TaskQuery(after=TaskPlace("2026-02", 5), statuses=frozenset({TaskStatus.SKIPPED})),
        TaskQuery(after=TaskPlace("2026-02", 5), session_id="s_running"),
    ],
)
def test_newest_first_needs_no_sorting(log: Opened, query: TaskQuery) -> None:
    """The order of a page comes out of indexes; only rows of the page are read and sorted."""
    plan = plan_of(log, query)

    start = plan.index("MATERIALIZE page") + 1
    of_page = plan[start : plan.index("SCAN page", start)]
    assert not any("TEMP B-TREE" in step for step in of_page)
    behind_page = plan[start + len(of_page) :]
    assert any("SEARCH tasks USING INTEGER PRIMARY KEY" in step for step in behind_page)
    of_tasks = [step for step in plan if " tasks" in step and "PRIMARY KEY" not in step]
    assert of_tasks
    assert all("COVERING INDEX" in step for step in of_tasks)


@pytest.mark.parametrize("after", [None, TaskPlace("2026-02", 5)])
@pytest.mark.parametrize("session_id", [None, "s_running"])
def test_only_what_is_wanted_is_looked_at(
    log: Opened, session_id: str | None, after: TaskPlace | None
) -> None:
    """Tasks of other statuses, of other sessions, or before a place, cost nothing."""
    wanted = frozenset({TaskStatus.RUNNING, TaskStatus.FAILED})
    query = TaskQuery(session_id=session_id, statuses=wanted, after=after)

    of_tasks = [step for step in plan_of(log, query) if " tasks" in step]

    assert of_tasks
    assert all(step.startswith("SEARCH tasks") for step in of_tasks)
    # Of one session they are counted too; of all the totals are known.
    assert sum("status=?" in step for step in of_tasks) == (4 if session_id else 2)
    assert sum("created_at" in step for step in of_tasks) == (0 if after is None else 2)


def plan_of(log: Opened, query: TaskQuery) -> list[str]:
    """What SQLite makes of a query, step by step."""
    return steps_of(log, *records._statement(query))


def steps_of(log: Opened, statement: str, values: Mapping[str, int | str]) -> list[str]:
    steps = log.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    return [str(step[3]) for step in steps]


def test_sessions_are_oldest_first(tmp_path: Path) -> None:
    """Sessions come in the order of their start, those of the same time by id."""
    with opened(tmp_path / "log.db") as log:
        for name, at in (("c", "2026-01"), ("a", "2026-02"), ("b", "2026-01")):
            put(log, Batch(session_id=name, at_ms=MS, session=session(name, at=at)))

        assert [each.id for each in records.sessions(log.readers[0], 10, 0)] == ["b", "c", "a"]


def test_some_sessions_at_a_time(tmp_path: Path) -> None:
    """Read some at a time, each session comes once, in the same order; behind them is nothing."""
    with opened(tmp_path / "log.db") as log:
        for number in range(7):
            at = f"2026-0{1 + number // 3}"
            put(log, Batch(session_id=f"s{number}", at_ms=MS, session=session(f"s{number}", at=at)))

        pages = [records.sessions(log.readers[0], 3, offset) for offset in (0, 3, 6, 7)]

    assert [[each.id for each in page] for page in pages] == [
        ["s0", "s1", "s2"],
        ["s3", "s4", "s5"],
        ["s6"],
        [],
    ]


def test_nothing_is_there_at_first(tmp_path: Path) -> None:
    """An empty log answers every question."""
    with opened(tmp_path / "log.db") as log:
        reader = log.readers[0]
        assert records.sessions(reader, 10, 0) == []
        assert records.tasks(reader, TaskQuery()) == TaskPage((), 0)
        assert records.task(reader, "s", "t") is None
        assert records.task_counts(reader, "s") == TaskCounts()
        assert records.cursors(reader, "") == {}


def test_one_task(log: Opened) -> None:
    """A task is found by its session and its id together."""
    one = task("t", "s_running", output={"deep": [1, None, "ü"]}, error="x", priority="high")
    put(log, Batch(session_id="s_running", at_ms=MS, tasks=[one, task("t", "s_ended")]))

    assert records.task(log.readers[0], "s_running", "t") == one
    assert records.task(log.readers[0], "s_running", "u") is None


def test_counts_by_status(log: Opened) -> None:
    """Counts are those of one session; the queued are counted as pending."""
    statuses = [*TaskStatus, TaskStatus.RUNNING]
    several = [task(f"t{n}", "s_running", status=status) for n, status in enumerate(statuses)]
    put(log, Batch(session_id="s", at_ms=MS, tasks=[*several, task("other", "s_ended")]))

    assert records.task_counts(log.readers[0], "s_running") == TaskCounts(
        total=7, pending=2, running=2, completed=1, failed=1
    )


def test_cursors_of_a_prefix(log: Opened) -> None:
    """A prefix gives the cursors whose names begin with it and no others."""
    names = ["a", "a/", "a/x", "a/y", "a0", "b", "ä/x"]
    put(log, Batch(session_id="s", at_ms=MS, cursors={name: name.upper() for name in names}))

    assert records.cursors(log.readers[0], "a/") == {n: n.upper() for n in ("a/", "a/x", "a/y")}
    assert sorted(records.cursors(log.readers[0], "")) == sorted(names)


def test_cursors_with_a_part(log: Opened) -> None:
    """A part may stand anywhere in a name, as it is written, and goes together with a prefix."""
    names = ["a/gap", "a/gapless", "b/gap", "b/GAP", "b/g_p", "a/é%/x", "/gap", "a/deadline"]
    put(log, Batch(session_id="s", at_ms=MS, cursors={name: name.upper() for name in names}))

    def found(prefix: str, part: str) -> set[str]:
        cursors = records.cursors(log.readers[0], prefix, part)
        assert all(text == name.upper() for name, text in cursors.items())
        return {*cursors}

    assert found("", "/gap") == {"a/gap", "a/gapless", "b/gap", "/gap"}
    assert found("a/", "/gap") == {"a/gap", "a/gapless"}
    assert found("", "/g_p") == {"b/g_p"}  # it is no pattern
    assert found("", "é%") == {"a/é%/x"}
    assert found("", "nowhere") == set()
    assert found("a/", "") == {"a/gap", "a/gapless", "a/é%/x", "a/deadline"}


def test_a_damaged_row_is_told(log: Opened) -> None:
    """A row that is no session is damage, not an error of ours."""
    log.connection.execute("UPDATE sessions SET body = '{}'")

    with pytest.raises(Damaged):
        records.sessions(log.readers[0], 10, 0)
