"""Routes that start sessions: new ones, and those that go on with the conversation of another."""

from __future__ import annotations

from typing import Final

from loki_twisted.model.errors import (
    AgentNotStarted,
    Conflict,
    ProviderNotAvailable,
    SessionAlreadyRunning,
    SessionNotFound,
    TooManySessions,
    Unavailable,
)
from loki_twisted.model.idempotency import CompletedRequest, IdempotencyKey
from loki_twisted.model.sessions import Session, SessionStatus
from loki_twisted.model.wire import ContinueSession, SessionOrder, StartSession
from loki_twisted.sessions.interface import ISessions
from loki_twisted.web.operations import operation
from loki_twisted.web.repetitions import IDEMPOTENCY_KEY, Repetitions
from loki_twisted.web.session_orders import STORAGE, known, ordered

_TAG: Final = "sessions"
_STARTING: Final = (
    Conflict,
    SessionAlreadyRunning,
    TooManySessions,
    ProviderNotAvailable,
    AgentNotStarted,
    Unavailable,
    *STORAGE,
)
_LINKS: Final = {
    name: {"sessionId": "sessionId"}
    for name in (
        "getSession",
        "stopSession",
        "pauseSession",
        "resumeSession",
        "interruptSession",
        "deleteSession",
        "continueSession",
        "giveInput",
        "listInputs",
        "listMessages",
        "listSessionTasks",
        "readOutput",
    )
}


class StartRoutes:
    """
    The routes that start sessions.

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
        examples={
            "the demo": {"provider": "demo", "prompt": "Build a page that tells the time."},
        },
        answer=SessionOrder,
        status=201,
        errors=_STARTING,
        parameters=(IDEMPOTENCY_KEY,),
        links=_LINKS,
    )
    async def start_session(self, body: StartSession, key: str | None) -> SessionOrder:
        """
        Start a session.

        The answer comes when the order is on record; what becomes of it is told by events.
        """

        async def act(once: IdempotencyKey | None) -> SessionOrder:
            return _started(await self._sessions.start(body, once))

        return await self._repetitions.once(key, "startSession", ("", body), act, self._again)

    @operation(
        "POST",
        "/api/sessions/{sessionId}/continue",
        tag=_TAG,
        body=ContinueSession,
        examples={"the next wish": {"message": "Now let it show the date as well."}},
        answer=SessionOrder,
        status=201,
        links=_LINKS,
        parameters=(IDEMPOTENCY_KEY,),
        errors=(SessionNotFound, *_STARTING),
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

        async def act(once: IdempotencyKey | None) -> SessionOrder:
            following = self._sessions.continue_session(known(session_id), wanted, once)
            return _started(await following)

        asked = (session_id, body)
        return await self._repetitions.once(key, "continueSession", asked, act, self._again)

    async def _again(self, done: CompletedRequest) -> SessionOrder:
        try:
            session = self._sessions.get(done.session_id)
        except SessionNotFound as error:
            msg = f"What was started under this key, {done.session_id}, was deleted since."
            raise Conflict(msg) from error
        return ordered(session, f"The session was started before; it is {session.status}.")


def _started(session: Session) -> SessionOrder:
    queued = session.status is SessionStatus.QUEUED
    return ordered(session, "The session waits for a place." if queued else "The session starts.")
