"""The client: every route of the server as a method, with typed answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IAgent

from loki_twisted.client.connecting import Connections, connections_to, read_address
from loki_twisted.client.exchange import OK, Exchange, Query
from loki_twisted.client.stream import EventStream, StreamReset
from loki_twisted.model import wire
from loki_twisted.model.events import Event

ANSWER_SECONDS: Final = 30.0
"""How long an answer may take, unless it is said otherwise."""

_SESSIONS: Final = ("api", "sessions")
_TASKS: Final = ("api", "tasks")
_EVENTS: Final = ("api", "events")
_MAY_BE_UNWELL: Final = OK | {503}
_T = TypeVar("_T")

Callback = Callable[[Event], object]
"""Called with each event; if it returns an awaitable, that is waited for before the next."""


class LokiClient:
    """
    A client of one server.

    Methods return Deferreds, which may be awaited. They fail with
    :class:`~loki_twisted.client.errors.ClientError` when the server refuses, and with
    :class:`~loki_twisted.client.errors.ServerUnreachable` when it does not answer.

    :param url: Like ``http://localhost:57374``, or ``unix:/path/of/socket``.
    :param token: What the server asks for; None for a server on this machine that asks for none.
    :param reactor: The global one if None.
    :param agent: What to send requests by, instead of connections of the client's own.
    :param answer_seconds: How long an answer may take.
    :raises ValueError: if the URL is none.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        reactor: Any = None,
        agent: IAgent | None = None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        if reactor is None:
            # Late, so that who gives a reactor gets no other installed.
            from twisted.internet import reactor
        address = read_address(url)
        self._reactor: Any = reactor
        self._exchange = Exchange(address, token, reactor, answer_seconds)
        self._connections = (
            connections_to(address, reactor) if agent is None else Connections(agent, agent)
        )
        self._streams: set[EventStream] = set()

    def close(self) -> Deferred[None]:
        """End all streams and close all connections; fires when that is done."""
        return Deferred.fromCoroutine(self._close())

    # The server

    def health(self) -> Deferred[wire.Health]:
        """How the server is; an unhealthy one too answers so."""
        return self._get(("health",), wire.Health, good=_MAY_BE_UNWELL)

    def ready(self) -> Deferred[wire.Readiness]:
        """Whether the server takes work, and why not."""
        return self._get(("health", "ready"), wire.Readiness, good=_MAY_BE_UNWELL)

    def live(self) -> Deferred[wire.Liveness]:
        """Whether the server answers at all. Needs no token."""
        return self._get(("health", "live"), wire.Liveness)

    def status(self) -> Deferred[wire.Status]:
        """The server in detail."""
        return self._get(("api", "status"), wire.Status)

    # Sessions

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
    ) -> Deferred[wire.SessionOrder]:
        """Start a session: a :class:`~loki_twisted.model.wire.StartSession`, field by field."""
        wanted = wire.StartSession(
            provider=provider,
            prd_path=prd_path,
            prompt=prompt,
            project_dir=project_dir,
            model=model,
            options=options or wire.StartOptions(),
            queue=queue,
        )
        return self._ask("POST", _SESSIONS, wire.SessionOrder, body=wanted)

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
        return self._get(_SESSIONS, wire.SessionList, query)

    def get_session(self, session_id: str) -> Deferred[wire.SessionDetail]:
        """One session."""
        return self._get((*_SESSIONS, session_id), wire.SessionDetail)

    def stop_session(self, session_id: str) -> Deferred[wire.SessionOrder]:
        """Order a session to stop; that it has stopped is an event."""
        return self._order(session_id, "stop")

    def pause_session(self, session_id: str) -> Deferred[wire.SessionOrder]:
        """Halt a session."""
        return self._order(session_id, "pause")

    def resume_session(self, session_id: str) -> Deferred[wire.SessionOrder]:
        """Let a paused session go on."""
        return self._order(session_id, "resume")

    def give_input(
        self, session_id: str, text: str, context: str | None = None
    ) -> Deferred[wire.SessionMessage]:
        """Send text to a session's agent, for example the answer to its question."""
        body = wire.GiveInput(input=text, context=context)
        path = (*_SESSIONS, session_id, "input")
        return self._ask("POST", path, wire.SessionMessage, body=body)

    def delete_session(self, session_id: str) -> Deferred[wire.SessionMessage]:
        """Remove the record of a session that has ended."""
        return self._ask("DELETE", (*_SESSIONS, session_id), wire.SessionMessage)

    # Tasks

    def list_session_tasks(
        self,
        session_id: str,
        *,
        status: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Deferred[wire.SessionTasks]:
        """Tasks of one session."""
        query = (("status", status), ("limit", limit), ("offset", offset))
        return self._get((*_SESSIONS, session_id, "tasks"), wire.SessionTasks, query)

    def get_task(self, session_id: str, task_id: str) -> Deferred[wire.TaskDetail]:
        """One task."""
        return self._get((*_SESSIONS, session_id, "tasks", task_id), wire.TaskDetail)

    def list_tasks(
        self,
        *,
        status: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Deferred[wire.TaskList]:
        """Tasks of all sessions, newest first."""
        query = (("status", status), ("limit", limit), ("offset", offset))
        return self._get(_TASKS, wire.TaskList, query)

    def active_tasks(self) -> Deferred[wire.TaskSelection]:
        """The tasks that are being worked on."""
        return self._get((*_TASKS, "active"), wire.TaskSelection)

    def queued_tasks(self) -> Deferred[wire.TaskSelection]:
        """The tasks that wait, the most urgent first."""
        return self._get((*_TASKS, "queue"), wire.TaskSelection)

    # Events

    def history(
        self,
        *,
        session_id: str | None = None,
        types: Iterable[str] = (),
        min_level: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        before: str | None = None,
    ) -> Deferred[wire.EventHistory]:
        """Events of the past, oldest first: the last ones, or those after or before one."""
        query = (
            *_filter(session_id, types, min_level),
            ("limit", limit),
            ("after", after),
            ("before", before),
        )
        return self._get((*_EVENTS, "history"), wire.EventHistory, query)

    def event_stats(self) -> Deferred[wire.EventStats]:
        """The stream in figures."""
        return self._get((*_EVENTS, "stats"), wire.EventStats)

    def events(
        self,
        *,
        session_id: str | None = None,
        types: Iterable[str] = (),
        min_level: str | None = None,
        history: int | None = None,
        after: str | None = None,
        on_reset: Callable[[StreamReset], object] | None = None,
    ) -> EventStream:
        """
        Events as they happen: an asynchronous iterator, to be closed by its ``aclose``.

        It goes on where it was cut off, without a gap and without a double, over
        broken connections and restarts of the server.

        :param types: Names of types, or groups like ``task:*``; none for all.
        :param min_level: Leave out ``log:*`` events below this level.
        :param history: Begin with so many of the last events.
        :param after: Begin after this event id, or with everything there is: ``earliest``.
        :param on_reset: Called where events are missing, because the server no longer has them.
        """
        query = _filter(session_id, types, min_level)

        def connect(last_event_id: str | None) -> Deferred[Any]:
            first = () if last_event_id else (("history", history),)
            return Deferred.fromCoroutine(
                self._exchange.open_stream(
                    self._connections.streams, _EVENTS, (*query, *first), last_event_id
                )
            )

        # Streams that have ended by themselves need not be closed.
        self._streams = {stream for stream in self._streams if not stream.has_ended}
        stream = EventStream(
            connect,
            self._reactor,
            after=after,
            anchor=None if history else self._newest_event,
            on_reset=on_reset,
        )
        self._streams.add(stream)
        return stream

    def subscribe(
        self,
        callback: Callback,
        *,
        on_error: Callable[[Exception], object] | None = None,
        **wanted: Any,
    ) -> Callable[[], Deferred[None]]:
        """
        Have a function called with each event.

        :param callback: What it raises is logged and ends nothing.
        :param on_error: Called when the server refuses the stream for good; else that is logged.
        :param wanted: As of :meth:`events`.
        :returns: Call it to unsubscribe; what it returns fires when nothing is open any more.
        """
        stream = self.events(**wanted)
        delivery = Deferred.fromCoroutine(_deliver(stream, callback))
        delivery.addErrback(lambda failure: _tell(failure, on_error or _log_refusal))
        return lambda: Deferred.fromCoroutine(stream.aclose())

    # How

    async def _close(self) -> None:
        streams, self._streams = self._streams, set()
        await gatherResults([Deferred.fromCoroutine(stream.aclose()) for stream in streams])
        await self._connections.close()

    def _newest_event(self) -> Deferred[str]:
        return self.event_stats().addCallback(lambda stats: stats.newest_event_id or "earliest")

    def _order(self, session_id: str, order: str) -> Deferred[wire.SessionOrder]:
        return self._ask("POST", (*_SESSIONS, session_id, order), wire.SessionOrder)

    def _get(
        self, path: Iterable[str], answer: type[_T], query: Query = (), **more: Any
    ) -> Deferred[_T]:
        return self._ask("GET", path, answer, query=query, **more)

    def _ask(self, method: str, path: Iterable[str], answer: type[_T], **more: Any) -> Deferred[_T]:
        asking: Coroutine[Deferred[Any], Any, _T] = self._exchange.ask(
            self._connections.requests, method, path, answer, **more
        )
        return Deferred.fromCoroutine(asking)


_log: Final = Logger()


def _filter(
    session_id: str | None, types: Iterable[str], min_level: str | None
) -> tuple[tuple[str, str | None], ...]:
    return (
        ("sessionId", session_id),
        ("types", ",".join(types) or None),
        ("minLevel", min_level),
    )


async def _deliver(stream: EventStream, callback: Callback) -> None:
    async for event in stream:
        with _log.failuresHandled("A subscriber failed on {id}", id=event.id):
            result = callback(event)
            if isinstance(result, Awaitable):
                await result


def _tell(failure: Failure, on_error: Callable[[Exception], object]) -> None:
    if not isinstance(failure.value, Exception):
        failure.raiseException()
    on_error(failure.value)


def _log_refusal(error: Exception) -> None:
    _log.error("A subscription has ended: {error}", error=error)
