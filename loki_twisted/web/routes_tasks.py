"""Routes of tasks: those of one session, and those of all."""

from __future__ import annotations

from typing import Final

from loki_twisted.model.errors import NotFound, SessionNotFound
from loki_twisted.model.tasks import TaskPage, TaskQuery, TaskStatus
from loki_twisted.model.wire import (
    Pagination,
    SessionTasks,
    TaskDetail,
    TaskList,
    TaskSelection,
    TaskSummary,
)
from loki_twisted.sessions.interface import ISessions
from loki_twisted.web.operations import operation
from loki_twisted.web.parameters import MOST_OFFSET, MOST_PER_PAGE, integer, some_of
from loki_twisted.web.routes_sessions import known

_TAG: Final = "tasks"
_PAGE: Final = (
    some_of("status", "Only tasks that stand there.", TaskStatus),
    integer("limit", "How many to list.", least=1, most=MOST_PER_PAGE, default=100),
    integer("offset", "How many to skip.", least=0, most=MOST_OFFSET, default=0),
)


class TaskRoutes:
    """
    The routes that list tasks.

    :param sessions: Knows them.
    """

    def __init__(self, sessions: ISessions) -> None:
        self._sessions = sessions

    @operation(
        "GET",
        "/api/sessions/{sessionId}/tasks",
        tag=_TAG,
        answer=SessionTasks,
        parameters=_PAGE,
        errors=(SessionNotFound,),
    )
    async def list_session_tasks(
        self, session_id: str, status: frozenset[TaskStatus] | None, limit: int, offset: int
    ) -> SessionTasks:
        """List the tasks of a session, newest first."""
        query = TaskQuery(session_id=known(session_id), statuses=status, limit=limit, offset=offset)
        page = await self._sessions.tasks(query)
        counts = await self._sessions.task_counts(session_id)
        summary = TaskSummary(
            pending=counts.pending,
            running=counts.running,
            completed=counts.completed,
            failed=counts.failed,
        )
        return SessionTasks(
            tasks=list(page.tasks), pagination=_pagination(page, limit, offset), summary=summary
        )

    @operation(
        "GET",
        "/api/sessions/{sessionId}/tasks/{taskId}",
        tag=_TAG,
        answer=TaskDetail,
        errors=(SessionNotFound, NotFound),
    )
    async def get_task(self, session_id: str, task_id: str) -> TaskDetail:
        """
        Read one task.

        The id of a task is escaped as any part of a path; one that holds a slash cannot be
        asked for.
        """
        return TaskDetail(task=await self._sessions.task(known(session_id), task_id))

    @operation("GET", "/api/tasks", tag=_TAG, answer=TaskList, parameters=_PAGE)
    async def list_tasks(
        self, status: frozenset[TaskStatus] | None, limit: int, offset: int
    ) -> TaskList:
        """List the tasks of all sessions, newest first."""
        page = await self._sessions.tasks(TaskQuery(statuses=status, limit=limit, offset=offset))
        return TaskList(tasks=list(page.tasks), pagination=_pagination(page, limit, offset))

    @operation("GET", "/api/tasks/active", tag=_TAG, answer=TaskSelection)
    async def list_active_tasks(self) -> TaskSelection:
        """List the running tasks of the sessions that run."""
        query = TaskQuery(
            statuses=frozenset({TaskStatus.RUNNING}), running_sessions=True, limit=None
        )
        return _selection(await self._sessions.tasks(query))

    @operation("GET", "/api/tasks/queue", tag=_TAG, answer=TaskSelection)
    async def list_queued_tasks(self) -> TaskSelection:
        """List the waiting tasks of the sessions that run, most urgent first."""
        query = TaskQuery(
            statuses=frozenset({TaskStatus.PENDING, TaskStatus.QUEUED}),
            running_sessions=True,
            by_priority=True,
            limit=None,
        )
        return _selection(await self._sessions.tasks(query))


def _pagination(page: TaskPage, limit: int, offset: int) -> Pagination:
    more = offset + len(page.tasks) < page.total
    return Pagination(total=page.total, limit=limit, offset=offset, has_more=more)


def _selection(page: TaskPage) -> TaskSelection:
    return TaskSelection(tasks=list(page.tasks), count=len(page.tasks))
