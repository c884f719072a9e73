"""The methods of the client that are about sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred

from loki_twisted.client.questions import Questions
from loki_twisted.model import wire

_SESSIONS: Final = ("api", "sessions")


class SessionCalls:
    """Those methods; a part of :class:`~loki_twisted.client.api.LokiClient`."""

    _questions: Questions

    def start_session(
        self,
        *,
        provider: str | None = None,
        prd_path: str | None = None,
        prompt: str | None = None,
        project_dir: str | None = None,
        model: str | None = None,
        options: wire.StartOptions | None = None,
        queue: bool = False,
        priority: int = 0,
        command: Sequence[str] | None = None,
        key: str | None = None,
    ) -> Deferred[wire.SessionOrder]:
        """
        Start a session: a :class:`~loki_twisted.model.wire.StartSession`, field by field.

        :param key: A name for this request; sent again under it, it is carried out once.
        """
        wanted = wire.StartSession(
            provider=provider,
            prd_path=prd_path,
            prompt=prompt,
            project_dir=project_dir,
            model=model,
            options=options or wire.StartOptions(),
            queue=queue,
            priority=priority,
            command=None if command is None else list(command),
        )
        return self._questions.ask("POST", _SESSIONS, wire.SessionOrder, body=wanted, key=key)

    def list_sessions(
        self,
        *,
        status: str | None = None,
        provider: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Deferred[wire.SessionList]:
        """Sessions, newest first."""
        query = (("status", status), ("provider", provider), ("limit", limit), ("offset", offset))
        return self._questions.get(_SESSIONS, wire.SessionList, query)

    def get_session(self, session_id: str) -> Deferred[wire.SessionDetail]:
        """One session."""
        return self._questions.get((*_SESSIONS, session_id), wire.SessionDetail)

    def stop_session(self, session_id: str) -> Deferred[wire.SessionOrder]:
        """Order a session to stop; that it has stopped is an event."""
        return self._order(session_id, "stop")

    def pause_session(self, session_id: str) -> Deferred[wire.SessionOrder]:
        """Halt a session."""
        return self._order(session_id, "pause")

    def resume_session(self, session_id: str) -> Deferred[wire.SessionOrder]:
        """Let a paused session go on."""
        return self._order(session_id, "resume")

    def interrupt_session(self, session_id: str) -> Deferred[wire.SessionOrder]:
        """Let the agent of a session leave off what it is doing, and stay."""
        return self._order(session_id, "interrupt")

    def continue_session(
        self,
        session_id: str,
        message: str,
        *,
        model: str | None = None,
        options: wire.StartOptions | None = None,
        queue: bool = False,
        key: str | None = None,
    ) -> Deferred[wire.SessionOrder]:
        """Go on with the conversation of a session that has ended, in a new session."""
        body = wire.ContinueSession(
            message=message, model=model, options=options or wire.StartOptions(), queue=queue
        )
        path = (*_SESSIONS, session_id, "continue")
        return self._questions.ask("POST", path, wire.SessionOrder, body=body, key=key)

    def delete_session(self, session_id: str) -> Deferred[wire.SessionMessage]:
        """Remove the record of a session that has ended."""
        return self._questions.ask("DELETE", (*_SESSIONS, session_id), wire.SessionMessage)

    def _order(self, session_id: str, order: str) -> Deferred[wire.SessionOrder]:
        return self._questions.ask("POST", (*_SESSIONS, session_id, order), wire.SessionOrder)
