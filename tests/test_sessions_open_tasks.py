"""The open tasks of all sessions."""

from __future__ import annotations

import random

import attrs
import hypothesis.strategies as st
import msgspec
from hypothesis import given

from loki_twisted.model.sessions import Session, SessionStatus
from loki_twisted.model.task_ranks import priority_rank
from loki_twisted.model.tasks import OpenTasks, Task, TaskStatus
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


def given_out(board: OpenTasksOfAll, known: list[SessionState], *what: object) -> list[bytes]:
    """What a board gives, and the total as the last of it."""
    page = board.first(known, *what)  # type: ignore[arg-type]  # as they were drawn
    return [*map(bytes, page.tasks), b"%d" % page.total]


@given(
    st.lists(st.lists(states(), min_size=1, max_size=3), max_size=8),
    st.sampled_from(OpenTasks),
    st.none() | st.integers(1, 8),
    st.sampled_from([0, 300, 1_000_000]),
)
def test_whatever_becomes_of_sessions(
    steps: list[list[SessionState]], wanted: OpenTasks, limit: int | None, kept_bytes: int
) -> None:
    """Each time, they are what filtering, sorting and encoding all tasks gives."""
    board, known = OpenTasksOfAll(kept_bytes), {}
    for changed in steps:
        known |= {state.session.id: state for state in changed}
        right = expected(known, wanted)
        encoded = [msgspec.json.encode(each) for each in right[:limit]]
        for _ in range(2):
            found = given_out(board, list(known.values()), wanted, limit)
            assert found == [*encoded, b"%d" % len(right)]


def test_many_sessions_that_come_and_go_at_once() -> None:
    """However many change between two answers, the next one is what sorting all gives."""
    board, chance = OpenTasksOfAll(), random.Random(7)
    known: dict[str, SessionState] = {}
    for count in (200, 3, 120, 1, 40, 0, 200):
        for number in chance.sample(range(200), count):
            name, status = f"s{number}", chance.choice([*TaskStatus][:3])
            at, urgent = f"2026-0{chance.randint(1, 9)}", chance.choice([None, "high", 7])
            values = {"status": status, "created_at": at, "priority": urgent}
            known[name] = SessionState(session(name), {"t": task("t", name, **values)})
        for name in chance.sample(sorted(known), count // 4):
            del known[name]
        for kind in OpenTasks:
            right = [msgspec.json.encode(each) for each in expected(known, kind)]
            found = given_out(board, list(known.values()), kind, None)
            assert found == [*right, b"%d" % len(right)]


def test_a_task_that_stays_is_encoded_once() -> None:
    """What is asked for again is given as it was kept; only a task that is another is encoded."""
    one, other = task("t", "a"), task("u", "a")
    board = OpenTasksOfAll()
    state = SessionState(session("a"), {"t": one, "u": other})
    first = board.first([state], OpenTasks.WAITING, None).tasks
    changed = attrs.evolve(state, tasks={"t": one, "u": task("u", "a", title="new")})
    again = board.first([changed], OpenTasks.WAITING, None).tasks
    assert again[0] is first[0]
    assert msgspec.json.decode(again[1])["title"] == "new"


def test_what_is_kept_has_a_limit() -> None:
    """What there is no room for is encoded each time; what goes makes room."""
    small, large = task("t", "b"), task("u", "a", title="x" * 1000)
    board = OpenTasksOfAll(kept_bytes=len(msgspec.json.encode(large)))
    here = [SessionState(session(each.session_id), {each.id: each}) for each in (small, large)]

    def kept() -> list[bool]:
        once, twice = (board.first(here, OpenTasks.WAITING, None).tasks for _ in range(2))
        return [a is b for a, b in zip(once, twice, strict=True)]

    assert kept() == [True, False]
    del here[1:]
    assert kept() == [True]
    here[:] = [SessionState(session("a"), {"u": large})]
    assert kept() == [True]


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
