"""The open tasks of all sessions."""

from __future__ import annotations

import attrs
import hypothesis.strategies as st
import msgspec
from hypothesis import given

from loki_twisted.model.sessions import Session, SessionStatus
from loki_twisted.model.task_ranks import priority_rank
from loki_twisted.model.tasks import OpenTasks, Task, TaskPage, TaskStatus
from loki_twisted.sessions.open_tasks import OpenTasksOfAll
from loki_twisted.sessions.state import SessionState

TIME = "2026-11-23T22:43:11.042Z"


def session(name: str, status: SessionStatus = SessionStatus.RUNNING) -> Session:
    return Session(
        id=name,
        status=status,
        provider="demo",
        project_dir="/p",
        started_at=TIME,
        updated_at=TIME,
    )


def task(name: str, session_id: str, **values: object) -> Task:
    made = Task(id=name, session_id=session_id, title=name, status=TaskStatus.PENDING)
    return msgspec.structs.replace(made, **values)


@st.composite
def states(draw: st.DrawFn) -> SessionState:
    name = draw(st.sampled_from("abc"))
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(TaskStatus),
                st.sampled_from([None, "high", "low", 7]),
                st.sampled_from([None, "2026-01", "2026-02"]),
            ),
            max_size=6,
        )
    )
    made = [
        task(f"t{number}", name, status=status, priority=priority, created_at=at)
        for number, (status, priority, at) in enumerate(rows)
    ]
    status = draw(st.sampled_from([SessionStatus.RUNNING, SessionStatus.FAILED]))
    return SessionState(session(name, status), {each.id: each for each in made})


def expected(known: dict[str, SessionState], wanted: OpenTasks) -> list[Task]:
    """The slow and plain way."""
    found = [
        each
        for name in sorted(known, reverse=True)
        if not known[name].session.status.is_final
        for each in known[name].tasks.values()
        if each.status in wanted.value
    ]
    found.sort(key=lambda each: each.created_at or "", reverse=True)
    if wanted is OpenTasks.WAITING:
        found.sort(key=lambda each: -priority_rank(each.priority))
    return found


@given(st.lists(states(), max_size=8), st.sampled_from(OpenTasks), st.none() | st.integers(1, 8))
def test_whatever_becomes_of_sessions(
    steps: list[SessionState], wanted: OpenTasks, limit: int | None
) -> None:
    """Each time, they are what filtering and sorting all tasks gives."""
    board, known = OpenTasksOfAll(), {}
    for state in steps:
        known[state.session.id] = state
        right = expected(known, wanted)
        page = board.first(known.values(), wanted, limit)
        assert page == TaskPage(tuple(right[:limit]), len(right))


def test_what_has_not_changed_is_not_sorted_again() -> None:
    """A session is looked through once for each time that its tasks change."""
    looks = 0

    class Watched(dict[str, Task]):
        def values(self):  # type: ignore[no-untyped-def]  # as of any dict
            nonlocal looks
            looks += 1
            return super().values()

    one = SessionState(session("a"), Watched(t=task("t", "a")))
    board = OpenTasksOfAll()
    for kind in (*OpenTasks, *OpenTasks):
        board.first([one], kind, None)
    assert looks == 1
    assert board.first([], OpenTasks.WAITING, None).total == 0
    board.first([attrs.evolve(one, session=session("a"))], OpenTasks.WAITING, None)
    assert looks == 2
