"""The session service as the web and the commands know it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface

from loki_twisted.model.ledger import LedgerPage, LedgerQuery
from loki_twisted.model.sessions import Session, SessionStatus
from loki_twisted.model.tasks import OpenTasks, Task, TaskCounts, TaskPage, TaskQuery
from loki_twisted.model.wire import StartSession


@attrs.frozen(slots=True, kw_only=True)
class SessionQuery:
    """Which sessions, and which page of them. None is without limit."""

    statuses: frozenset[SessionStatus] | None = None
    provider: str | None = None
    limit: int | None = None
    offset: int = 0


@attrs.frozen(slots=True)
class SessionPage:
    """
    A page of sessions, newest first.

    :ivar total: How many match the query in all.
    :ivar running: How many sessions of all have not ended and are not queued.
    """

    sessions: Sequence[Session]
    total: int
    running: int


class ISessions(Interface):
    """Everything one can do with sessions. An order returns when it is on record."""

    def start(wanted: StartSession) -> Deferred[Session]:
        """
        Start a session.

        :returns: The session, ``starting`` or ``running`` (or ``queued``, if that was asked for).
        :raises InvalidRequest: for a path outside the allowed roots, or a file that is not there.
        :raises SessionAlreadyRunning: while one runs in the same project directory.
        :raises TooManySessions: while as many run as may.
        :raises ProviderNotAvailable: if the program is not installed.
        :raises AgentNotStarted: if it could not be started.
        :raises StorageFailed: if it could not be put on record; nothing was started then.
        :raises Unavailable: while the server shuts down.
        """

    def stop(session_id: str) -> Deferred[Session]:
        """
        Order a session to stop. The session's end is an event.

        :raises SessionNotFound: if there is none of that id.
        :raises Conflict: if it does not run, or is not ours.
        """

    def pause(session_id: str) -> Deferred[Session]:
        """Halt a running session. Raises as :meth:`stop` does."""

    def resume(session_id: str) -> Deferred[Session]:
        """Let a paused session go on. Raises as :meth:`stop` does."""

    def give_input(session_id: str, text: str, context: str | None) -> Deferred[Session]:
        """Send text to a session's agent. Raises as :meth:`stop`, or Conflict if it takes none."""

    def delete(session_id: str) -> Deferred[None]:
        """
        Remove a session's record. Its events stay in the log as long as any others.

        :raises SessionNotFound: if there is none of that id.
        :raises Conflict: while it runs.
        """

    def get(session_id: str) -> Session:
        """
        One session.

        :raises SessionNotFound: if there is none of that id.
        """

    def list(query: SessionQuery) -> SessionPage:
        """Some sessions."""

    def counts() -> dict[SessionStatus, int]:
        """How many sessions there are by status; statuses that none has are missing."""

    def active_session() -> str | None:
        """The session that was started last of those that run, or None."""

    def tasks(query: TaskQuery) -> Deferred[TaskPage]:
        """
        A page of tasks.

        :raises SessionNotFound: (through the Deferred) if the query names one that is not there.
        """

    def open_tasks(wanted: OpenTasks, limit: int | None) -> TaskPage:
        """
        Tasks of a kind, of the sessions that have not ended.

        :param limit: Only so many, the first ones; None for all.
        """

    def task(session_id: str, task_id: str) -> Deferred[Task]:
        """
        One task.

        :raises SessionNotFound: (through the Deferred) if there is no such session.
        :raises NotFound: (through the Deferred) if it has no such task.
        """

    def task_counts(session_id: str) -> Deferred[TaskCounts]:
        """Counts of a session's tasks. Raises as :meth:`tasks` does."""

    def usage(query: LedgerQuery) -> Deferred[LedgerPage]:
        """
        What was spent, added up, also by sessions that were deleted.

        :raises StorageFailed: (through the Deferred) if the log cannot be read.
        """
