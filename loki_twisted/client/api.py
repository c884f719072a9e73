"""The client: every route of the server as a method, with typed answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults
from twisted.web.iweb import IAgent

from loki_twisted.client.connecting import Connecting, read_address
from loki_twisted.client.exchange import OK, Exchange
from loki_twisted.client.frames import StreamReset
from loki_twisted.client.input_calls import InputCalls
from loki_twisted.client.output import OutputTail
from loki_twisted.client.output_calls import OutputCalls
from loki_twisted.client.questions import Questions
from loki_twisted.client.session_calls import SessionCalls
from loki_twisted.client.source import EVENTS_PATH, ServerSource
from loki_twisted.client.stream import EventStream
from loki_twisted.client.subscription import Callback, deliver
from loki_twisted.client.task_calls import TaskCalls
from loki_twisted.client.ticket_calls import TicketCalls
from loki_twisted.model import wire
from loki_twisted.model.filters import EVERYTHING, EventFilter

ANSWER_SECONDS: Final = 30.0
"""How long an answer may take, unless it is said otherwise."""

_USAGE: Final = ("api", "usage")
_MAY_BE_UNWELL: Final = OK | {503}


class LokiClient(SessionCalls, TaskCalls, InputCalls, OutputCalls, TicketCalls):
    """
    A client of one server.

    Methods return Deferreds, which may be awaited. They fail with
    :class:`~loki_twisted.client.errors.ClientError` when the server refuses, with
    :class:`~loki_twisted.client.errors.ServerUnreachable` when it does not answer, and with
    :class:`~loki_twisted.client.errors.ServerNotTrusted` when its certificate is not to be trusted.

    :param url: Like ``http://localhost:57374``, ``https://example.com/agents``, or
        ``unix:/path/of/socket``.
    :param token: What the server asks for; None for a server on this machine that asks for none.
    :param reactor: The global one if None.
    :param trust_root: Whose certificates to trust, as Twisted's TLS takes it: for example
        ``trustRootFromCertificates([Certificate.loadPEM(...)])``. Those that the system trusts if
        None; a certificate is always checked.
    :param agent: What to send requests by, instead of connections of the client's own. Then
        ``trust_root`` means nothing, and connections that the agent keeps are its own to close.
    :param answer_seconds: How long an answer may take.
    :raises ValueError: if the URL is none.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        reactor: Any = None,
        trust_root: Any = None,
        agent: IAgent | None = None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        if reactor is None:
            # Late, so that who gives a reactor gets no other installed.
            from twisted.internet import reactor
        address = read_address(url)
        self._reactor: Any = reactor
        self._exchange = Exchange(address, token, reactor, answer_seconds)
        self._connecting = Connecting(address, reactor, agent, trust_root)
        self._questions = Questions(self._exchange, self._connecting.for_requests())
        self._get = self._questions.get
        self._streams: set[EventStream | OutputTail] = set()

    def close(self) -> Deferred[None]:
        """
        End all streams, cancel all questions and close all connections.

        :returns: Fires when that is done.
        """
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

    def list_providers(self) -> Deferred[wire.ProviderList]:
        """Which agents the server can start, and what each can do."""
        return self._get(("api", "providers"), wire.ProviderList)

    # Usage

    def usage(
        self,
        by: str | None = None,
        *,
        session_id: str | None = None,
        project_dir: str | None = None,
        provider: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Deferred[wire.UsageReport]:
        """
        What was spent, added up.

        :param by: ``turn``, ``session`` (which it is if None), ``project``, ``provider``,
            ``model`` or ``day``.
        :param since: Only from this day or time on, in UTC: ``2026-11-01``, or
            ``2026-11-23T22:43:11.042Z``.
        :param until: Only before this day or time.
        """
        query = (
            ("by", by),
            ("sessionId", session_id),
            ("projectDir", project_dir),
            ("provider", provider),
            ("since", since),
            ("until", until),
            ("limit", limit),
            ("offset", offset),
        )
        return self._get(_USAGE, wire.UsageReport, query)

    # Events

    def history(
        self,
        wanted: EventFilter = EVERYTHING,
        *,
        limit: int | None = None,
        after: str | None = None,
        before: str | None = None,
        since: str | None = None,
    ) -> Deferred[wire.EventHistory]:
        """
        Events of the past, oldest first.

        :param wanted: Which events.
        :param limit: At most so many; 100 if None.
        :param after: The first ones after this event id, or of all there are: ``earliest``.
            If None, the last ones.
        :param before: Only events before this event id.
        :param since: The first ones from this day or time on, in UTC, instead of ``after``:
            ``2026-11-01``, or ``2026-11-23T22:43:11.042Z``.
        """
        query = (
            *wanted.as_parameters().items(),
            ("limit", limit),
            ("after", after),
            ("before", before),
            ("since", since),
        )
        return self._get((*EVENTS_PATH, "history"), wire.EventHistory, query)

    def event_stats(self) -> Deferred[wire.EventStats]:
        """The stream in figures."""
        return self._get((*EVENTS_PATH, "stats"), wire.EventStats)

    def events(
        self,
        wanted: EventFilter = EVERYTHING,
        after: str | None = None,
        *,
        history: int = 0,
        on_reset: Callable[[StreamReset], object] | None = None,
    ) -> EventStream:
        """
        Events as they happen: an asynchronous iterator, to be closed by its ``aclose``.

        It goes on where it was cut off, without a gap and without a double, over
        broken connections and restarts of the server.

        :param wanted: Which events.
        :param after: Begin after this event id, or with everything there is: ``earliest``.
            If None, with what happens from now on.
        :param history: Begin with so many of the last events, where ``after`` is None.
        :param on_reset: Called where events are missing, before the next event is given. If
            it returns an awaitable, that is waited for. What it raises is logged and ends
            nothing. If None, the reset is logged.
        """
        connections = self._connecting.for_stream()
        source = ServerSource(self._exchange, connections, wanted, history)
        stream = EventStream(source, self._reactor, after=after, on_reset=on_reset)
        # Streams that have ended by themselves need not be closed.
        self._streams = {each for each in self._streams if not each.has_ended} | {stream}
        return stream

    def subscribe(
        self,
        callback: Callback,
        wanted: EventFilter = EVERYTHING,
        after: str | None = None,
        *,
        history: int = 0,
        on_reset: Callable[[StreamReset], object] | None = None,
        on_error: Callable[[Exception], object] | None = None,
    ) -> Callable[[], Deferred[None]]:
        """
        Have a function called with each event. Parameters are those of :meth:`events`, and:

        :param callback: What it raises is logged and ends nothing. If it returns an
            awaitable, that is waited for before the next event.
        :param on_error: Called when the server refuses the stream for good, in the same way. If
            None, that is logged.
        :returns: Call it to unsubscribe; what it returns fires when nothing is open any more.
        """
        stream = self.events(wanted, after, history=history, on_reset=on_reset)
        deliver(stream, callback, on_error)
        return lambda: Deferred.fromCoroutine(stream.aclose())

    # The document

    def openapi(self) -> Deferred[dict[str, Any]]:
        """The OpenAPI document of the server."""
        return self._get(("openapi.json",), dict[str, Any])

    # How

    async def _close(self) -> None:
        self._questions.cancel()
        streams, self._streams = self._streams, set()
        await gatherResults([Deferred.fromCoroutine(stream.aclose()) for stream in streams])
        await self._questions.close()
