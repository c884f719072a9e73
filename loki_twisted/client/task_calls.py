"""The methods of the client that are about tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred

from loki_twisted.client.questions import Questions
from loki_twisted.client.task_pages import tasks_of_pages
from loki_twisted.model import wire
from loki_twisted.model.tasks import Task

_SESSIONS: Final = ("api", "sessions")
_TASKS: Final = ("api", "tasks")


class TaskCalls:
    """Those methods; a part of :class:`~loki_twisted.client.api.LokiClient`."""

    _questions: Questions

    def list_session_tasks(
        self,
        session_id: str,
        *,
        status: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        after: str | None = None,
    ) -> Deferred[wire.SessionTasks]:
        """A page of the tasks of one session, as :meth:`list_tasks` gives it."""
        query = (("status", status), ("limit", limit), ("offset", offset), ("after", after))
        return self._questions.get((*_SESSIONS, session_id, "tasks"), wire.SessionTasks, query)

    def get_task(self, session_id: str, task_id: str) -> Deferred[wire.TaskDetail]:
        """One task."""
        return self._questions.get((*_SESSIONS, session_id, "tasks", task_id), wire.TaskDetail)

    def list_tasks(
        self,
        *,
        status: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        after: str | None = None,
    ) -> Deferred[wire.TaskList]:
        """
        A page of the tasks of all sessions, newest first.

        :param status: Only tasks of this status, or of these, with commas.
        :param after: The ``next_cursor`` of the page before this one; not with an ``offset``.
        """
        query = (("status", status), ("limit", limit), ("offset", offset), ("after", after))
        return self._questions.get(_TASKS, wire.TaskList, query)

    def all_tasks(
        self, session_id: str | None = None, *, status: str | None = None
    ) -> AsyncIterator[Task]:
        """
        All tasks, newest first: an asynchronous iterator, which asks for a page after the other.

        A task that is there (and has the status) from the first page to the last comes once,
        whatever others do in the meantime.

        :param session_id: Only of this session.
        :param status: Only tasks of this status, or of these, with commas.
        """
        if session_id is None:
            return tasks_of_pages(partial(self.list_tasks, status=status))
        return tasks_of_pages(partial(self.list_session_tasks, session_id, status=status))

    def active_tasks(self, *, limit: int | None = None) -> Deferred[wire.TaskSelection]:
        """The tasks that are being worked on, the newest first."""
        return self._questions.get((*_TASKS, "active"), wire.TaskSelection, (("limit", limit),))

    def queued_tasks(self, *, limit: int | None = None) -> Deferred[wire.TaskSelection]:
        """The tasks that wait, the most urgent first."""
        return self._questions.get((*_TASKS, "queue"), wire.TaskSelection, (("limit", limit),))
