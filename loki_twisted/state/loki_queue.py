"""
Tasks and agents as today's Loki Mode lists them.

=============================  ====================  ============================================
file                           field                 becomes
=============================  ====================  ============================================
queue/pending.json             a list, or ``tasks``  :class:`RunTasks`, each of them pending
queue/in-progress.json                               running
queue/completed.json                                 completed
queue/failed.json,                                   failed
queue/dead-letter.json
queue/current-task.json        an object             the one task, running; ``{}`` is none
  each task                    id                    absent: not understood
                               title, or subject     absent: the description's first line, or id
                               status                absent or unknown: what the file means
                               description
                               priority
                               createdAt, startedAt,
                               completedAt
                               agent, or provider
                               exitCode              of a failed task: its ``error``
                               output, error         up to 32 levels deep
state/agents.json              a list, or ``agents`` :class:`RunAgents`
  each agent                   tool_id, or agent_id  its id: agent ids are cut so short that
                                                     several agents have the same
                               agent_type            absent: ``agent``
                               model, current_task
                               status                ``completed`` and ``failed``: not at work
=============================  ====================  ============================================

In a file of finished tasks a status that says otherwise does not count. Of a file with more than
1,000 entries only so many are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from loki_twisted.model.runs import ListedAgent, ListedTask, RunAgents, RunTasks, Shelf
from loki_twisted.model.tasks import TaskStatus
from loki_twisted.state.fields import (
    NAME_LIMIT,
    TITLE_LIMIT,
    is_carriable,
    maybe_priority,
    maybe_task_status,
    maybe_text,
    maybe_time,
    maybe_whole,
    maybe_word,
)
from loki_twisted.state.layout import NotUnderstood, list_of

AGENTS_FILE: Final = "state/agents.json"
QUEUE_FILES: Final[Mapping[str, Shelf]] = {f"queue/{shelf}.json": shelf for shelf in Shelf}

_MEANT: Final[Mapping[Shelf, TaskStatus]] = {
    Shelf.PENDING: TaskStatus.PENDING,
    Shelf.IN_PROGRESS: TaskStatus.RUNNING,
    Shelf.CURRENT: TaskStatus.RUNNING,
    Shelf.COMPLETED: TaskStatus.COMPLETED,
    Shelf.FAILED: TaskStatus.FAILED,
    Shelf.DEAD_LETTER: TaskStatus.FAILED,
}
_ALLOWED: Final[Mapping[Shelf, frozenset[TaskStatus]]] = {
    Shelf.COMPLETED: frozenset({TaskStatus.COMPLETED, TaskStatus.SKIPPED}),
    Shelf.FAILED: frozenset({TaskStatus.FAILED, TaskStatus.SKIPPED}),
    Shelf.DEAD_LETTER: frozenset({TaskStatus.FAILED, TaskStatus.SKIPPED}),
}
_DONE: Final = frozenset({"completed", "complete", "done", "failed", "stopped", "terminated"})
_REASONS: Final = 3
_MOST: Final = 1_000
"""How many entries of one file are read. Loki Mode keeps 50 of what is finished."""

_Item = TypeVar("_Item", ListedTask, ListedAgent)


def tasks_of(shelf: Shelf, value: Any) -> tuple[RunTasks, Sequence[str]]:
    """
    Read a file of the queue.

    :returns: Also, in words, what of it is not understood.
    :raises NotUnderstood: if that is all of it.
    """
    if shelf is Shelf.CURRENT and isinstance(value, dict) and "tasks" not in value:
        items = [value] if value else []
    else:
        items = list_of(value, "tasks")
    tasks, reasons = _each(items, lambda item: _task(shelf, item))
    return RunTasks(shelf, tasks), reasons


def _task(shelf: Shelf, item: Mapping[str, Any]) -> ListedTask:
    task_id = maybe_text(item.get("id"), NAME_LIMIT)
    if task_id is None:
        raise NotUnderstood("has no id")
    description = maybe_text(item.get("description"))
    title = maybe_text(item.get("title"), TITLE_LIMIT) or maybe_text(
        item.get("subject"), TITLE_LIMIT
    )
    if title is None:
        title = description.strip().splitlines()[0][:TITLE_LIMIT] if description else task_id
    said = maybe_task_status(item.get("status"))
    allowed = _ALLOWED.get(shelf)
    status = _MEANT[shelf] if said is None or (allowed and said not in allowed) else said
    carried = {n: item[n] for n in ("output", "error") if n in item and is_carriable(item[n])}
    exit_code = maybe_whole(item.get("exitCode"))
    if status is TaskStatus.FAILED and carried.get("error") is None and exit_code is not None:
        carried["error"] = f"exit code {exit_code}"
    return ListedTask(
        id=task_id,
        title=title,
        status=status,
        description=description,
        priority=maybe_priority(item.get("priority")),
        created_at=maybe_time(item.get("createdAt")),
        started_at=maybe_time(item.get("startedAt")),
        completed_at=maybe_time(item.get("completedAt")),
        agent=maybe_text(item.get("agent"), NAME_LIMIT)
        or maybe_text(item.get("provider"), NAME_LIMIT),
        **carried,
    )


def agents_of(value: Any) -> tuple[RunAgents, Sequence[str]]:
    """Read the list of agents; see :func:`tasks_of`."""
    agents, reasons = _each(list_of(value, "agents"), _agent)
    return RunAgents(agents), reasons


def _agent(item: Mapping[str, Any]) -> ListedAgent:
    names = (item.get(name) for name in ("tool_id", "agent_id", "id"))
    agent_id = next((name for said in names if (name := maybe_text(said, NAME_LIMIT))), None)
    if agent_id is None:
        raise NotUnderstood("has no id")
    return ListedAgent(
        id=agent_id,
        type=maybe_text(item.get("agent_type"), NAME_LIMIT)
        or maybe_text(item.get("type"), NAME_LIMIT)
        or "agent",
        is_active=maybe_word(item.get("status")) not in _DONE,
        model=maybe_text(item.get("model"), NAME_LIMIT),
        task=maybe_text(item.get("current_task"), TITLE_LIMIT),
    )


def _each(
    items: Sequence[Any], read: Callable[[Mapping[str, Any]], _Item]
) -> tuple[Sequence[_Item], Sequence[str]]:
    """Read each item; of two with the same id the last counts."""
    found: dict[str, _Item] = {}
    reasons: list[str] = []
    if len(items) > _MOST:
        reasons.append(f"of {len(items)} entries the first {_MOST} are read")
    for place, item in enumerate(items[:_MOST], 1):
        if not isinstance(item, dict):
            reasons.append(f"number {place} is no object")
            continue
        try:
            said = read(item)
        except NotUnderstood as problem:
            reasons.append(f"number {place} {problem}")
        else:
            found[said.id] = said
    more = len(reasons) - _REASONS
    words = reasons[:_REASONS] + ([f"and {more} more"] if more > 0 else [])
    return tuple(found.values()), words
