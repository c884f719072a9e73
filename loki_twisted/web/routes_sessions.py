"""Routes of sessions that there are: list, read, steer and delete them."""

from __future__ import annotations

from typing import Final

from loki_twisted.model.errors import (
    SessionNotFound,
)
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.model.wire import (
    SessionDetail,
    SessionList,
    SessionMessage,
    SessionOrder,
    SessionSummary,
)
from loki_twisted.sessions.interface import ISessions, SessionQuery
from loki_twisted.web.operations import operation
from loki_twisted.web.parameters import MOST_OFFSET, MOST_PER_PAGE, integer, some_of, text
from loki_twisted.web.session_orders import STEERING, known, ordered

_TAG: Final = "sessions"


class SessionRoutes:
    """
    The routes of sessions that there are.

    :param sessions: Does what is asked for.
    """

    def __init__(self, sessions: ISessions) -> None:
        self._sessions = sessions

    @operation(
        "GET",
        "/api/sessions",
        tag=_TAG,
        answer=SessionList,
        links={"getSession": {"sessionId": "sessions/0/id"}},
        parameters=(
            some_of("status", "Only sessions that stand there.", SessionStatus),
            text(
                "provider",
                "Only sessions of this provider.",
                pattern="[a-z][a-z0-9_-]{0,31}",
                expected="the name of a provider",
            ),
            integer("limit", "How many to list; all by default.", least=1, most=MOST_PER_PAGE),
            integer("offset", "How many to skip.", least=0, most=MOST_OFFSET, default=0),
        ),
    )
    def list_sessions(
        self,
        status: frozenset[SessionStatus] | None,
        provider: str | None,
        limit: int | None,
        offset: int,
    ) -> SessionList:
        """
        List sessions, newest first.

        Asked for alone, those that are queued come in the order in which they will be started.
        """
        page = self._sessions.list(
            SessionQuery(statuses=status, provider=provider, limit=limit, offset=offset)
        )
        return SessionList(sessions=list(page.sessions), total=page.total, running=page.running)

    @operation(
        "GET",
        "/api/sessions/{sessionId}",
        tag=_TAG,
        answer=SessionDetail,
        errors=(SessionNotFound,),
    )
    async def get_session(self, session_id: str) -> SessionDetail:
        """Read one session, with the counts of its tasks and agents."""
        session = self._sessions.get(known(session_id))
        counts = await self._sessions.task_counts(session_id)
        summary = SessionSummary(
            total=counts.total,
            pending=counts.pending,
            running=counts.running,
            completed=counts.completed,
            failed=counts.failed,
        )
        return SessionDetail(session=session, tasks=summary, agents=session.agents)

    @operation(
        "POST",
        "/api/sessions/{sessionId}/stop",
        tag=_TAG,
        answer=SessionOrder,
        errors=STEERING,
    )
    async def stop_session(self, session_id: str) -> SessionOrder:
        """
        Stop a session.

        The answer comes at once; that it has stopped is told by an event. A run of Loki Mode that
        this server did not start is asked to end before its next iteration, and stays as it is
        until then.
        """
        return ordered(await self._sessions.stop(known(session_id)), "The session stops.")

    @operation(
        "POST",
        "/api/sessions/{sessionId}/pause",
        tag=_TAG,
        answer=SessionOrder,
        errors=STEERING,
    )
    async def pause_session(self, session_id: str) -> SessionOrder:
        """
        Halt a running session.

        A run of Loki Mode (``steeredBy`` is ``files``) is only asked to: it stays ``running``
        until it pauses, before its next iteration, which is told by an event. It is refused where
        Loki Mode would ignore it.
        """
        return ordered(await self._sessions.pause(known(session_id)), "The session is paused.")

    @operation(
        "POST",
        "/api/sessions/{sessionId}/resume",
        tag=_TAG,
        answer=SessionOrder,
        errors=STEERING,
    )
    async def resume_session(self, session_id: str) -> SessionOrder:
        """
        Let a paused session go on.

        A run of Loki Mode stays ``paused`` until it goes on, a second or two later. A request to
        pause that it has not taken yet is taken back. It is refused where it would pause again.
        """
        return ordered(await self._sessions.resume(known(session_id)), "The session goes on.")

    @operation(
        "POST",
        "/api/sessions/{sessionId}/interrupt",
        tag=_TAG,
        answer=SessionOrder,
        errors=STEERING,
    )
    async def interrupt_session(self, session_id: str) -> SessionOrder:
        """Let the agent of a session leave off what it is doing, and stay, where it can."""
        session = await self._sessions.interrupt(known(session_id))
        return ordered(session, "The agent is told to leave off.")

    @operation(
        "DELETE",
        "/api/sessions/{sessionId}",
        tag=_TAG,
        answer=SessionMessage,
        errors=STEERING,
    )
    async def delete_session(self, session_id: str) -> SessionMessage:
        """
        Delete the record of a session that has ended.

        Its events stay in the log as long as any others.
        """
        await self._sessions.delete(known(session_id))
        return SessionMessage(session_id=session_id, message="The session's record is deleted.")
