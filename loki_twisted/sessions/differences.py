"""
What is new about what a state file says: the difference to what was known.

A status that stays is nothing. Steps that were skipped between two looks are told in
their order, so that whoever counts starts and ends counts right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import attrs
import msgspec

from loki_twisted.model.events import Fact
from loki_twisted.model.tasks import Task, TaskStatus
from loki_twisted.model.timestamps import ms_from_iso
from loki_twisted.state.interface import AgentSeen

_EVENT_OF_STATUS: Final[Mapping[TaskStatus, str]] = {
    TaskStatus.PENDING: "task:progress",
    TaskStatus.QUEUED: "task:progress",
    TaskStatus.RUNNING: "task:started",
    TaskStatus.COMPLETED: "task:completed",
    TaskStatus.FAILED: "task:failed",
    TaskStatus.SKIPPED: "task:completed",
}
"""There is no event of its own for going back to the queue or being skipped; ``status`` tells."""

_WAITING: Final = frozenset({TaskStatus.PENDING, TaskStatus.QUEUED})
_WORKED_ON: Final = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED})


@attrs.frozen(slots=True)
class TaskDifference:
    """
    What a list of tasks changes.

    :ivar facts: The ``task:*`` events that the change means, in order.
    :ivar changed: Tasks whose rows are new or different.
    :ivar gone: Ids of tasks that are no longer listed.
    :ivar rest: The place in the list where to go on; None if all of it was compared.
    """

    facts: Sequence[Fact]
    changed: Sequence[Task]
    gone: Sequence[str]
    rest: int | None = None


def task_difference(
    known: Mapping[str, Task],
    seen: Sequence[Task],
    at: str,
    start: int = 0,
    most: int | None = None,
) -> TaskDifference:
    """
    Compare the tasks that are known with all that a file lists now.

    :param at: When it was seen, ISO 8601; for tasks that bring no times of their own.
    :param start: The place in the list where to begin.
    :param most: Stop after so many tasks that are new or different, at least 1. What is gone is
        said with the last of the list.
    """
    facts: list[Fact] = []
    changed: list[Task] = []
    for place, listed in enumerate(islice(seen, start, None), start):
        if len(changed) == most:
            return TaskDifference(facts, changed, (), place)
        before = known.get(listed.id)
        if listed == before:
            continue
        task = _with_times(before, listed, at)
        if task == before:
            continue
        changed.append(task)
        facts += _facts_of_task(before, task)
    listed_ids = {task.id for task in seen}
    return TaskDifference(facts, changed, [name for name in known if name not in listed_ids])


def _with_times(before: Task | None, task: Task, at: str) -> Task:
    """Keep times that a file does not repeat, and note those that it never tells."""
    changes: dict[str, Any] = {}
    known = before.created_at if before else None
    if task.created_at is None:
        changes["created_at"] = known or at
    if task.started_at is None:
        is_running = task.status is TaskStatus.RUNNING
        changes["started_at"] = (before and before.started_at) or (at if is_running else None)
    if task.completed_at is None and task.status in _WORKED_ON | {TaskStatus.SKIPPED}:
        changes["completed_at"] = (before and before.completed_at) or at
    return msgspec.structs.replace(task, **changes)


def _facts_of_task(before: Task | None, task: Task) -> Iterator[Fact]:
    status = before.status if before else TaskStatus.PENDING
    if before is None:
        yield Fact("task:created", _task_data(task, TaskStatus.PENDING))
    if status is task.status:
        return
    if status in _WAITING and task.status in _WORKED_ON:
        yield Fact("task:started", _task_data(task, TaskStatus.RUNNING))
    if before is None and task.status in _WAITING:
        return  # A task that is created waiting has had no second step.
    yield Fact(_EVENT_OF_STATUS[task.status], _task_data(task, task.status))


def _task_data(task: Task, status: TaskStatus) -> dict[str, Any]:
    data: dict[str, Any] = {"taskId": task.id, "title": task.title, "status": str(status)}
    if task.description is not None:
        data["description"] = task.description
    if status in _WORKED_ON:
        data |= {
            name: value
            for name, value in (("output", task.output), ("error", task.error))
            if value is not None
        }
        duration = _duration(task)
        if duration is not None:
            data["duration"] = duration
    return data


def _duration(task: Task) -> int | None:
    """Milliseconds from start to end, where both are known."""
    if task.started_at is None or task.completed_at is None:
        return None
    return max(0, ms_from_iso(task.completed_at) - ms_from_iso(task.started_at))


def agent_facts(known: Mapping[str, str], active: Sequence[AgentSeen]) -> list[Fact]:
    """
    Compare the agents that were at work (id and type) with those that are now.

    :returns: ``agent:completed`` for those who left, then ``agent:spawned`` for those who came.
    """
    now = {agent.id: agent for agent in active}
    facts = [
        Fact("agent:completed", {"agentId": name, "type": known[name]})
        for name in sorted(known)
        if name not in now
    ]
    for agent in now.values():
        if agent.id in known:
            continue
        data: dict[str, Any] = {"agentId": agent.id, "type": agent.type}
        if agent.model is not None:
            data["model"] = agent.model
        if agent.task is not None:
            data["task"] = agent.task
        facts.append(Fact("agent:spawned", data))
    return facts


def phase_facts(
    known: str | None, phase: str, previous: str | None, progress: float | None
) -> list[Fact]:
    """Compare the phase that is known with the one that a file names now."""
    if phase == known:
        return []
    data: dict[str, Any] = {"phase": phase}
    before = previous if previous is not None else known
    if before is not None:
        data["previousPhase"] = before
    if progress is not None:
        data["progress"] = progress
    return [Fact("phase:started", data)]
