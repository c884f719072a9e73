"""What is new about a list of tasks, agents, or a phase."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.tasks import Task, TaskStatus
from loki_twisted.sessions.differences import agent_facts, phase_facts, task_difference
from loki_twisted.state.interface import AgentSeen

AT = "2026-11-24T00:00:00.000Z"
LATER = "2026-11-24T00:00:02.500Z"


def a_task(name: str, status: TaskStatus = TaskStatus.PENDING) -> Task:
    return Task(id=name, session_id="s", title=name.upper(), status=status)


tasks = st.lists(
    st.builds(a_task, st.sampled_from("abcd"), st.sampled_from(TaskStatus)),
    unique_by=lambda task: task.id,
)


def after(known: dict[str, Task], seen: list[Task]) -> tuple[dict[str, Task], list[str]]:
    difference = task_difference(known, seen, AT)
    rows = {**known, **{task.id: task for task in difference.changed}}
    for name in difference.gone:
        del rows[name]
    return rows, [f"{fact.type} {fact.data['taskId']}" for fact in difference.facts]


@given(tasks, tasks)
def test_the_difference_leads_to_what_was_seen(first: list[Task], second: list[Task]) -> None:
    """Whatever was known, the rows are then those of the file."""
    rows, _ = after(after({}, first)[0], second)
    assert {name: task.status for name, task in rows.items()} == {t.id: t.status for t in second}


@given(tasks)
def test_what_stays_is_nothing(seen: list[Task]) -> None:
    """The same file again changes nothing and tells nothing."""
    rows, _ = after({}, seen)
    again = task_difference(rows, seen, LATER)
    assert (list(again.facts), list(again.changed), list(again.gone)) == ([], [], [])


@given(tasks, tasks, st.integers(1, 3))
def test_parts_come_to_the_same_as_the_whole(
    first: list[Task], second: list[Task], most: int
) -> None:
    """Compared in parts, each bounded, a list makes the same rows and tells the same."""
    before, _ = after({}, first)
    rows, told = dict(before), []
    rest: int | None = 0
    while rest is not None:
        part = task_difference(rows, second, AT, rest, most)
        assert len(part.changed) <= most
        told += [f"{fact.type} {fact.data['taskId']}" for fact in part.facts]
        rows |= {task.id: task for task in part.changed}
        rows = {name: task for name, task in rows.items() if name not in part.gone}
        rest = part.rest
    assert (rows, told) == after(before, second)


@given(st.lists(tasks, max_size=5))
def test_starts_and_ends_are_balanced(looks: list[list[Task]]) -> None:
    """A task is created once while it is listed, and completes or fails only after a start."""
    rows: dict[str, Task] = {}
    started: set[str] = set()
    for seen in looks:
        known = set(rows)
        rows, told = after(rows, seen)
        for line in told:
            name, task_id = line.split()
            if name == "task:created":
                assert task_id not in known
                known.add(task_id)
                started.discard(task_id)
            elif name == "task:started":
                started.add(task_id)
            elif name == "task:failed":
                assert task_id in started or rows[task_id].status is TaskStatus.FAILED


@pytest.mark.promise("R20")
def test_a_step_between_two_looks_is_told_in_order() -> None:
    """From waiting to completed there was a start."""
    rows, told = after({}, [a_task("a")])
    assert told == ["task:created a"]
    _, told = after(rows, [a_task("a", TaskStatus.COMPLETED)])
    assert told == ["task:started a", "task:completed a"]


def test_a_task_that_is_new_and_waits_is_only_created() -> None:
    """A queued task that appears has had no second step."""
    assert after({}, [a_task("a", TaskStatus.QUEUED)])[1] == ["task:created a"]


def test_a_completed_task_tells_its_duration_in_milliseconds() -> None:
    """The time from start to end is part of the event."""
    rows, _ = after({}, [a_task("a", TaskStatus.RUNNING)])
    assert rows["a"].started_at == AT
    done = msgspec.structs.replace(a_task("a", TaskStatus.COMPLETED), output="ok")
    (fact,) = task_difference(rows, [done], LATER).facts
    assert fact.data == {
        "taskId": "a",
        "title": "A",
        "status": "completed",
        "output": "ok",
        "duration": 2500,
    }


def test_agents_come_and_go_once() -> None:
    """One that stays is not told again; one that left has completed."""
    both = [AgentSeen("1", "planner"), AgentSeen("2", "coder", model="m", task="t")]
    assert [fact.type for fact in agent_facts({}, both)] == ["agent:spawned"] * 2
    assert agent_facts({"1": "planner", "2": "coder"}, both) == []
    left, came = agent_facts({"0": "scout", "1": "planner"}, both)
    assert (left.type, dict(left.data)) == (
        "agent:completed",
        {"agentId": "0", "type": "scout"},
    )
    assert dict(came.data) == {"agentId": "2", "type": "coder", "model": "m", "task": "t"}


def test_a_phase_is_told_when_it_changes() -> None:
    """The same phase again is nothing; another one names the one before."""
    assert phase_facts("testing", "testing", None, 0.5) == []
    (fact,) = phase_facts("development", "testing", None, 0.5)
    assert dict(fact.data) == {
        "phase": "testing",
        "previousPhase": "development",
        "progress": 0.5,
    }
