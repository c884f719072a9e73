"""Paging through tasks while they change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.log import records
from loki_twisted.log.interface import Batch
from loki_twisted.log.opening import Opened
from loki_twisted.model.tasks import Task, TaskQuery, TaskStatus
from tests.log_support import MS, opened, put, task

SESSIONS = ("s1", "s2")
Key = tuple[str, str]

keys = st.tuples(st.sampled_from(SESSIONS), st.sampled_from([f"t{n}" for n in range(12)]))
statuses = st.sampled_from([TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.FAILED])
times = st.none() | st.sampled_from(["2026-01", "2026-02", "2026-03"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), keys, statuses, times),
        st.tuples(st.just("remove"), keys, st.none(), st.none()),
        st.tuples(st.just("forget"), keys, st.none(), st.none()),
    ),
    max_size=6,
)
Step = tuple[str, Key, TaskStatus, str | None]
queries = st.builds(
    TaskQuery,
    session_id=st.none() | st.sampled_from(SESSIONS),
    statuses=st.none() | st.frozensets(statuses, min_size=1),
)


@attrs.define
class World:
    """
    The tasks of a log, and what was there all the time.

    :ivar tasks: Those that are there.
    :ivar steady: Those that were wanted from the beginning on, without a break.
    """

    log: Opened
    query: TaskQuery
    tasks: dict[Key, Task] = attrs.field(factory=dict)
    steady: set[Key] = attrs.field(factory=set)

    def begin(self) -> None:
        """From now on what is there counts."""
        self.steady = {key for key, each in self.tasks.items() if self._wants(each)}

    def take(self, step: Step) -> None:
        """Change something, as a batch does. A task that stays keeps its time."""
        what, key, status, at = step
        session_id, task_id = key
        if what == "put":
            known = self.tasks.get(key)
            at = known.created_at if known else at
            made = task(task_id, session_id, status=status, created_at=at)
            self.tasks[key] = made
            put(self.log, Batch(session_id=session_id, at_ms=MS, tasks=[made]))
        elif what == "remove":
            self.tasks.pop(key, None)
            put(self.log, Batch(session_id=session_id, at_ms=MS, removed_tasks=[task_id]))
        else:
            self.tasks = {each: at for each, at in self.tasks.items() if each[0] != session_id}
            put(self.log, Batch(session_id=session_id, at_ms=MS, forget=True))
        self.steady = {
            each for each in self.steady if each in self.tasks and self._wants(self.tasks[each])
        }

    def _wants(self, each: Task) -> bool:
        return self.query.session_id in (None, each.session_id) and (
            self.query.statuses is None or each.status in self.query.statuses
        )


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "log.db") as log:
        log.connection.pragma("synchronous", "off")  # only the outcome matters here
        yield log


def test_what_stays_comes_once(log: Opened) -> None:
    """
    Who pages through tasks while they come, change and go sees each that stays exactly once.

    The pages are in order, and tell truly whether there is another one.
    """

    @given(queries, steps, st.lists(st.tuples(st.integers(1, 4), steps), max_size=12))
    def law(query: TaskQuery, before: list[Step], between: list[tuple[int, list[Step]]]) -> None:
        log.connection.execute("DELETE FROM tasks")
        world = World(log, query)
        for name in range(8):
            key = (SESSIONS[name % 2], f"t{name}")
            world.take(("put", key, TaskStatus.PENDING, ["2026-01", "2026-02", None][name % 3]))
        for step in before:
            world.take(step)
        world.begin()
        found: list[Key] = []
        times: list[str] = []
        after = None
        for limit, changes in [*between, (1000, [])]:
            page = records.tasks(log.readers[0], attrs.evolve(query, after=after, limit=limit))
            found += [(each.session_id, each.id) for each in page.tasks]
            times += [each.created_at or "" for each in page.tasks]
            assert len(page.tasks) == limit or page.end is None
            after = page.end
            if after is None:
                break
            for step in changes:
                world.take(step)

        assert after is None
        assert sorted(key for key in found if key in world.steady) == sorted(world.steady)
        assert times == sorted(times, reverse=True)

    law()


def test_offsets_cannot_promise_that(log: Opened) -> None:
    """By offsets, a task that comes in front pushes one that was read onto the next page."""
    several = [task(f"t{n}", created_at=f"2026-0{n}") for n in range(1, 5)]
    put(log, Batch(session_id="session_1", at_ms=MS, tasks=several))
    first = records.tasks(log.readers[0], TaskQuery(limit=2))
    new = task("new", created_at="2026-09")
    put(log, Batch(session_id="session_1", at_ms=MS, tasks=[new]))

    by_offset = records.tasks(log.readers[0], TaskQuery(limit=2, offset=2))
    by_cursor = records.tasks(log.readers[0], TaskQuery(limit=2, after=first.end))

    assert [each.id for each in first.tasks] == ["t4", "t3"]
    assert [each.id for each in by_offset.tasks] == ["t3", "t2"]
    assert [each.id for each in by_cursor.tasks] == ["t2", "t1"]
