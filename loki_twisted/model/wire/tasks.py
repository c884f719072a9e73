"""What is answered about tasks."""

from __future__ import annotations

from loki_twisted.model.tasks import Task
from loki_twisted.model.wire.shapes import Pagination, Shape


class TaskSummary(Shape, frozen=True, kw_only=True):
    """Counts of tasks by status; pending has the queued ones in it."""

    pending: int
    running: int
    completed: int
    failed: int


class SessionTasks(Shape, frozen=True, kw_only=True):
    """A page of one session's tasks."""

    tasks: list[Task]
    pagination: Pagination
    summary: TaskSummary


class TaskList(Shape, frozen=True, kw_only=True):
    """A page of the tasks of all sessions, newest first."""

    tasks: list[Task]
    pagination: Pagination


class TaskSelection(Shape, frozen=True, kw_only=True):
    """Tasks of one kind, all or the first of them; ``count`` is how many there are in all."""

    tasks: list[Task]
    count: int


class TaskDetail(Shape, frozen=True, kw_only=True):
    """One task."""

    task: Task
