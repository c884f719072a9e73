"""
The tasks of a run: one answer from a queue of several files.

=========================================  =====================================================
a task stands                              it is
=========================================  =====================================================
in one file                                what the entry says, or else what the file means
among the finished and at work too         at work if it was started later than it was finished:
                                           a later run counts its iterations from 1 again
among the finished and waiting too         finished
at work and waiting too                    at work
at work, where nobody works any more, or   skipped: it was left behind
from before this run
=========================================  =====================================================

Tasks that wait stay so after the run: Loki Mode never closes what it took from a PRD.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from loki_twisted.model.runs import ListedTask, RunTasks, Shelf
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.model.tasks import Task, TaskStatus
from loki_twisted.sessions.run_files import Run, RunFiles

_PRECEDENCE: Final = (
    Shelf.PENDING,
    Shelf.CURRENT,
    Shelf.IN_PROGRESS,
    Shelf.DEAD_LETTER,
    Shelf.FAILED,
    Shelf.COMPLETED,
)
"""What stands later counts more."""

_FINISHED: Final = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.SKIPPED})


def tasks_of(files: RunFiles, run: Run, status: SessionStatus, session_id: str) -> Sequence[Task]:
    """
    Say which tasks there are.

    :param status: Where the run stands.
    """
    shelves = {shelf.shelf: shelf.tasks for shelf in files.all(RunTasks)}
    chosen: dict[str, ListedTask] = {}
    for shelf in _PRECEDENCE:
        for task in shelves.get(shelf, ()):
            before = chosen.get(task.id)
            if before is None or not _is_later(before, task):
                chosen[task.id] = task
    return [_task(_settled(task, run, status), session_id) for task in chosen.values()]


def _is_later(working: ListedTask, finished: ListedTask) -> bool:
    """Whether work on a task began after it was finished."""
    if working.status in _FINISHED or finished.status not in _FINISHED:
        return False
    began, ended = working.started_at, finished.completed_at
    return began is not None and ended is not None and began > ended


def _settled(task: ListedTask, run: Run, status: SessionStatus) -> ListedTask:
    """Say what becomes of a task that nobody works on."""
    if task.status is not TaskStatus.RUNNING or _is_worked_on(task, run, status):
        return task
    return attrs.evolve(task, status=TaskStatus.SKIPPED)


def _is_worked_on(task: ListedTask, run: Run, status: SessionStatus) -> bool:
    if status.is_final:
        return False
    if task.started_at is not None and run.began_at is not None:
        return task.started_at >= run.began_at
    return run.progress is not None or run.began_at is None


def has_begun_after(files: RunFiles, moment: str) -> bool:
    """Whether work on any task began after a moment."""
    return any(
        task.status is TaskStatus.RUNNING and (task.started_at or "") > moment
        for shelf in files.all(RunTasks)
        if shelf.shelf in {Shelf.CURRENT, Shelf.IN_PROGRESS}
        for task in shelf.tasks
    )


def _task(task: ListedTask, session_id: str) -> Task:
    return Task(
        id=task.id,
        session_id=session_id,
        title=task.title,
        status=task.status,
        description=task.description,
        priority=task.priority,
        created_at=task.created_at,
        started_at=task.started_at,
        completed_at=task.completed_at,
        agent=task.agent,
        output=task.output,
        error=task.error,
    )
