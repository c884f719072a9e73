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
from loki_twisted.model.messages import MessageStatus
from loki_twisted.model.repetitions import DoneOnce, OnceKey
from loki_twisted.model.sessions import Session, SessionStatus
from loki_twisted.model.wire import (
    ContinueSession,
    GiveInput,
    InputGiven,
    SessionDetail,
    SessionList,
    SessionMessage,
    SessionOrder,
    SessionSummary,
    StartSession,
)
from loki_twisted.sessions.interface import GivenInput, ISessions, SessionQuery
from loki_twisted.web.operations import operation
from loki_twisted.web.parameters import MOST_OFFSET, MOST_PER_PAGE, integer, some_of, text
from loki_twisted.web.repetitions import IDEMPOTENCY_KEY, Repetitions

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
    :param repetitions: Sees to it that what has a key is done once.
    """

    def __init__(self, sessions: ISessions, repetitions: Repetitions) -> None:
        self._sessions = sessions
        self._repetitions = repetitions

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
        parameters=(IDEMPOTENCY_KEY,),
        links=_LINKS,
    )
    async def start_session(self, body: StartSession, key: str | None) -> SessionOrder:
        """
        Start a session.

        The answer comes when the order is on record; what becomes of it is told by events.
        """

        async def act(once: OnceKey | None) -> SessionOrder:
            return _started(await self._sessions.start(body, once))

        return await self._repetitions.once(key, "startSession", ("", body), act, self._again)

    async def _again(self, done: DoneOnce) -> SessionOrder:
        session = self._sessions.get(done.session_id)
        return _ordered(session, f"The session was started before; it is {session.status}.")

    @operation(
        "POST",
        "/api/sessions/{sessionId}/continue",
        tag=_TAG,
        body=ContinueSession,
        answer=SessionOrder,
        status=201,
        parameters=(IDEMPOTENCY_KEY,),
        errors=(
            SessionNotFound,
            Conflict,
            SessionAlreadyRunning,
            TooManySessions,
            ProviderNotAvailable,
            AgentNotStarted,
            Unavailable,
            *_STORAGE,
        ),
    )
    async def continue_session(
        self, session_id: str, body: ContinueSession, key: str | None
    ) -> SessionOrder:
        """
        Go on with the conversation of a session that has ended, in a new session.

        Where the provider cannot, or never named the conversation, that is a conflict.
        """
        wanted = StartSession(
            prompt=body.message, model=body.model, options=body.options, queue=body.queue
        )

        async def act(once: OnceKey | None) -> SessionOrder:
            following = self._sessions.continue_session(known(session_id), wanted, once)
            return _started(await following)

        asked = (session_id, body)
        return await self._repetitions.once(key, "continueSession", asked, act, self._again)

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
        answer=InputGiven,
        parameters=(IDEMPOTENCY_KEY,),
        errors=_STEERING,
    )
    async def give_input(self, session_id: str, body: GiveInput, key: str | None) -> InputGiven:
        """
        Send text to the agent of a session.

        If the agent has asked exactly one thing it is the answer to that, else it is the next
        message. A run of Loki Mode reads it before its next iteration, one at a time; an event of
        its log tells whether it took or rejected it.
        """

        async def act(once: OnceKey | None) -> InputGiven:
            given = self._sessions.give_input(
                known(session_id),
                body.input,
                body.context,
                delivery=body.delivery,
                once=once,
            )
            return _given(await given)

        async def again(done: DoneOnce) -> InputGiven:
            is_message = done.target.startswith("message_")
            return InputGiven(
                session_id=done.session_id,
                message="It was given before.",
                message_id=done.target if is_message else None,
                input_id=None if is_message or not done.target else done.target,
            )

        asked = (session_id, body)
        return await self._repetitions.once(key, "giveInput", asked, act, again)

    @operation(
        "POST",
        "/api/sessions/{sessionId}/interrupt",
        tag=_TAG,
        answer=SessionOrder,
        errors=_STEERING,
    )
    async def interrupt_session(self, session_id: str) -> SessionOrder:
        """Let the agent of a session leave off what it is doing, and stay, where it can."""
        session = await self._sessions.interrupt(known(session_id))
        return _ordered(session, "The agent is told to leave off.")

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


def _started(session: Session) -> SessionOrder:
    queued = session.status is SessionStatus.QUEUED
    return _ordered(session, "The session waits for a place." if queued else "The session starts.")


def _given(given: GivenInput) -> InputGiven:
    session = given.session
    if given.answered is not None:
        words = "The question is answered."
        return InputGiven(session_id=session.id, message=words, input_id=given.answered.id)
    if given.message is None:
        return InputGiven(session_id=session.id, message=_INPUT_WAITS)
    return InputGiven(
        session_id=session.id,
        message=_WORDS_OF_MESSAGE[given.message.status],
        message_id=given.message.id,
        delivery=given.message.delivery,
        status=given.message.status,
    )


_WORDS_OF_MESSAGE: Final = {
    MessageStatus.DELIVERED: "The input was handed over.",
    MessageStatus.QUEUED: "The input waits until the agent takes it.",
    MessageStatus.DROPPED: "The agent will not take it.",
}


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
