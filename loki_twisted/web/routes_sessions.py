"""Routes of sessions: start, list, read, steer and delete them."""

from __future__ import annotations

from typing import Final

from loki_twisted.model.errors import (
    AgentNotStarted,
    Conflict,
    ProviderNotAvailable,
    SessionAlreadyRunning,
    SessionNotFound,
    StorageFailed,
    StorageFull,
    TooManySessions,
    Unavailable,
)
from loki_twisted.model.identifiers import SESSION_ID
from loki_twisted.model.sessions import Origin, Session, SessionStatus, Steering
from loki_twisted.model.wire import (
    GiveInput,
    SessionDetail,
    SessionList,
    SessionMessage,
    SessionOrder,
    SessionSummary,
    StartSession,
)
from loki_twisted.sessions.interface import ISessions, SessionQuery
from loki_twisted.web.operations import operation
from loki_twisted.web.parameters import MOST_OFFSET, MOST_PER_PAGE, integer, some_of, text

_TAG: Final = "sessions"
_INPUT_WAITS: Final = "The input waits for Loki Mode, which reads it before its next iteration."
_STORAGE: Final = (StorageFailed, StorageFull)
_STEERING: Final = (SessionNotFound, Conflict, Unavailable, *_STORAGE)
_LINKS: Final = {
    name: {"sessionId": "sessionId"}
    for name in ("getSession", "stopSession", "giveInput", "deleteSession", "listSessionTasks")
}


class SessionRoutes:
    """
    The routes under ``/api/sessions``.

    :param sessions: Does what is asked for.
    """

    def __init__(self, sessions: ISessions) -> None:
        self._sessions = sessions

    @operation(
        "POST",
        "/api/sessions",
        tag=_TAG,
        body=StartSession,
        answer=SessionOrder,
        status=201,
        errors=(
            SessionAlreadyRunning,
            TooManySessions,
            ProviderNotAvailable,
            AgentNotStarted,
            Unavailable,
            *_STORAGE,
        ),
        links=_LINKS,
    )
    async def start_session(self, body: StartSession) -> SessionOrder:
        """
        Start a session.

        The answer comes when the order is on record; what becomes of it is told by events.
        """
        session = await self._sessions.start(body)
        queued = session.status is SessionStatus.QUEUED
        message = "The session waits for a place." if queued else "The session starts."
        return SessionOrder(session_id=session.id, status=session.status, message=message)

    @operation(
        "GET",
        "/api/sessions",
        tag=_TAG,
        answer=SessionList,
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
        errors=_STEERING,
    )
    async def stop_session(self, session_id: str) -> SessionOrder:
        """
        Stop a session.

        The answer comes at once; that it has stopped is told by an event. A run of Loki Mode that
        this server did not start is asked to end before its next iteration, and stays as it is
        until then.
        """
        return _ordered(await self._sessions.stop(known(session_id)), "The session stops.")

    @operation(
        "POST",
        "/api/sessions/{sessionId}/pause",
        tag=_TAG,
        answer=SessionOrder,
        errors=_STEERING,
    )
    async def pause_session(self, session_id: str) -> SessionOrder:
        """
        Halt a running session.

        A run of Loki Mode (``steeredBy`` is ``files``) is only asked to: it stays ``running``
        until it pauses, before its next iteration, which is told by an event. It is refused where
        Loki Mode would ignore it.
        """
        return _ordered(await self._sessions.pause(known(session_id)), "The session is paused.")

    @operation(
        "POST",
        "/api/sessions/{sessionId}/resume",
        tag=_TAG,
        answer=SessionOrder,
        errors=_STEERING,
    )
    async def resume_session(self, session_id: str) -> SessionOrder:
        """
        Let a paused session go on.

        A run of Loki Mode stays ``paused`` until it goes on, a second or two later. A request to
        pause that it has not taken yet is taken back. It is refused where it would pause again.
        """
        return _ordered(await self._sessions.resume(known(session_id)), "The session goes on.")

    @operation(
        "POST",
        "/api/sessions/{sessionId}/input",
        tag=_TAG,
        body=GiveInput,
        answer=SessionMessage,
        errors=_STEERING,
    )
    async def give_input(self, session_id: str, body: GiveInput) -> SessionMessage:
        """
        Send text to the agent of a session.

        A run of Loki Mode reads it before its next iteration, one at a time; an event of its log
        tells whether it took or rejected it.
        """
        given = await self._sessions.give_input(known(session_id), body.input, body.context)
        session = given.session
        is_read_later = session.steered_by is Steering.FILES or session.origin is Origin.OBSERVED
        message = _INPUT_WAITS if is_read_later else "The input was handed over."
        return SessionMessage(session_id=session.id, message=message)

    @operation(
        "DELETE",
        "/api/sessions/{sessionId}",
        tag=_TAG,
        answer=SessionMessage,
        errors=_STEERING,
    )
    async def delete_session(self, session_id: str) -> SessionMessage:
        """
        Delete the record of a session that has ended.

        Its events stay in the log as long as any others.
        """
        await self._sessions.delete(known(session_id))
        return SessionMessage(session_id=session_id, message="The session's record is deleted.")


def _ordered(session: Session, message: str) -> SessionOrder:
    """Say that an order was given; where it was only asked for, the session's reason says so."""
    return SessionOrder(
        session_id=session.id, status=session.status, message=session.reason or message
    )


def known(session_id: str) -> str:
    """
    Let an id through that a session may have.

    :raises SessionNotFound: if no session can be called that.
    """
    if SESSION_ID.fullmatch(session_id) is None:
        raise SessionNotFound.of(session_id)
    return session_id
