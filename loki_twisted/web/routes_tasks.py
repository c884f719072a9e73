"""Routes of tasks: those of one session, and those of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

import msgspec

from loki_twisted.model.errors import InvalidRequest, NotFound, SessionNotFound
from loki_twisted.model.task_places import PLACE_TEXT, TaskPlace
from loki_twisted.model.tasks import EncodedTasks, OpenTasks, TaskPage, TaskQuery, TaskStatus
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
from loki_twisted.web.parameters import MOST_OFFSET, MOST_PER_PAGE, cursor, integer, some_of
from loki_twisted.web.session_orders import known

_Statuses = frozenset[TaskStatus] | None

_TAG: Final = "tasks"
_PAGE: Final = (
    some_of("status", "Only tasks that stand there.", TaskStatus),
    integer("limit", "How many to list.", least=1, most=MOST_PER_PAGE, default=100),
    integer("offset", "How many to skip.", least=0, most=MOST_OFFSET, default=0),
    cursor(
        "after",
        "Only tasks behind the page that gave this as its nextCursor; without an offset.",
        TaskPlace.of_text,
        pattern=PLACE_TEXT,
    ),
)
_FIRST: Final = integer(
    "limit", "Only the first so many; all by default.", least=1, most=MOST_PER_PAGE
)


class EncodedSelection(msgspec.Struct, frozen=True):
    """A :class:`TaskSelection` of tasks that are encoded already: the same on the wire."""

    tasks: Sequence[msgspec.Raw]
    count: int

    @classmethod
    def of(cls, found: EncodedTasks) -> Self:
        """Answer with some tasks."""
        return cls(tasks=found.tasks, count=found.total)


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
        self, session_id: str, status: _Statuses, limit: int, offset: int, after: TaskPlace | None
    ) -> SessionTasks:
        """List the tasks of a session, newest first."""
        query = _query(known(session_id), status, limit, offset, after)
        page = await self._sessions.tasks(query)
        counts = await self._sessions.task_counts(session_id)
        summary = TaskSummary(
            pending=counts.pending,
            running=counts.running,
            completed=counts.completed,
            failed=counts.failed,
        )
        return SessionTasks(
            tasks=list(page.tasks), pagination=_pagination(page, query), summary=summary
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

    @operation(
        "GET",
        "/api/tasks",
        tag=_TAG,
        answer=TaskList,
        parameters=_PAGE,
        links={"getTask": {"sessionId": "tasks/0/sessionId", "taskId": "tasks/0/id"}},
    )
    async def list_tasks(
        self, status: _Statuses, limit: int, offset: int, after: TaskPlace | None
    ) -> TaskList:
        """List the tasks of all sessions, newest first."""
        query = _query(None, status, limit, offset, after)
        page = await self._sessions.tasks(query)
        return TaskList(tasks=list(page.tasks), pagination=_pagination(page, query))

    @operation("GET", "/api/tasks/active", tag=_TAG, answer=TaskSelection, parameters=(_FIRST,))
    async def list_active_tasks(self, limit: int | None) -> EncodedSelection:
        """List the running tasks of the sessions that run."""
        return EncodedSelection.of(self._sessions.open_tasks(OpenTasks.ACTIVE, limit))

    @operation("GET", "/api/tasks/queue", tag=_TAG, answer=TaskSelection, parameters=(_FIRST,))
    async def list_queued_tasks(self, limit: int | None) -> EncodedSelection:
        """List the waiting tasks of the sessions that run, most urgent first."""
        return EncodedSelection.of(self._sessions.open_tasks(OpenTasks.WAITING, limit))


def _query(
    session_id: str | None,
    statuses: _Statuses,
    limit: int,
    offset: int,
    after: TaskPlace | None,
) -> TaskQuery:
    if after is not None and offset:
        raise InvalidRequest.of([("offset", "cannot be given together with after")])
    return TaskQuery(
        session_id=session_id, statuses=statuses, limit=limit, offset=offset, after=after
    )


def _pagination(page: TaskPage, query: TaskQuery) -> Pagination:
    return Pagination(
        total=page.total,
        limit=query.limit or 0,
        offset=query.offset,
        has_more=page.end is not None,
        next_cursor=None if page.end is None else page.end.text,
    )
