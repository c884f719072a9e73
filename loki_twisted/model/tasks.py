"""A task: one piece of a session's work."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, StrEnum
from typing import Any

import attrs
import msgspec

from loki_twisted.model.task_places import TaskPlace


class TaskStatus(StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Task(msgspec.Struct, frozen=True, rename="camel", kw_only=True, gc=False):
    """
    One task, as it is stored and as it is on the wire.

    A task is named by its session and its id together. There may be very many of them, so the
    garbage collector does not look at them, or it would hold everything up for as long as that
    takes: what is in a task comes from JSON, and refers to no task.

    :ivar priority: A number (higher is more urgent), or the agent's own word.
    :ivar created_at: ISO 8601 UTC with milliseconds, as are the other times.
    """

    id: str
    session_id: str
    title: str
    status: TaskStatus
    description: str | None = None
    priority: int | str | None = None
    created_at: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    agent: str | None = None
    output: Any = None
    error: Any = None


class OpenTasks(Enum):
    """Which tasks of the sessions that have not ended: each member by the statuses of its tasks."""

    ACTIVE = (TaskStatus.RUNNING,)
    """Newest ``created_at`` first."""

    WAITING = (TaskStatus.PENDING, TaskStatus.QUEUED)
    """Falling priority first, then newest ``created_at``."""


@attrs.frozen(slots=True, kw_only=True)
class TaskQuery:
    """
    Which tasks, and which page of them, newest ``created_at`` first.

    :ivar session_id: None for the tasks of all sessions.
    :ivar statuses: None for tasks of every status.
    :ivar after: Only tasks behind this place.
    :ivar limit: None for all.
    """

    session_id: str | None = None
    statuses: frozenset[TaskStatus] | None = None
    after: TaskPlace | None = None
    limit: int | None = 100
    offset: int = 0


@attrs.frozen(slots=True)
class TaskPage:
    """
    A page of tasks, newest ``created_at`` first.

    :ivar total: How many there are in all, before the page and behind it too.
    :ivar end: The place of its last task; None if nothing is behind it.
    """

    tasks: tuple[Task, ...]
    total: int
    end: TaskPlace | None = None


@attrs.frozen(slots=True)
class EncodedTasks:
    """
    The first of some tasks, as they are on the wire.

    :ivar tasks: JSON of each :class:`Task`.
    :ivar total: How many there are in all.
    """

    tasks: Sequence[msgspec.Raw]
    total: int


@attrs.frozen(slots=True, kw_only=True)
class TaskCounts:
    """How many tasks there are by status; ``pending`` counts the queued ones too."""

    total: int = 0
    pending: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
