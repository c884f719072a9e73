"""
An event stream that goes on where it was cut off.

The stream reads ahead of its consumer by at most what one read of the socket
brings: then the connection is held back until all of it was taken. When the connection ends, a
new one asks for what comes after the last event that was read, so the consumer
sees each event once and in order, whatever happens to connections and servers.

There is no next connection before all of the last one was taken. So whatever the stream
says is dealt with in its place, when the consumer comes to it.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.iweb import IResponse

from loki_twisted.client.callbacks import call_back, undisturbed, warn_of_reset
from loki_twisted.client.errors import (
    MALFORMED,
    ClientError,
    ServerUnreachable,
    none_of_this_api,
)
from loki_twisted.client.frames import StreamReset, is_of_the_log, meaning_of
from loki_twisted.client.place import Place, place_of
from loki_twisted.client.reconnecting import (
    FIRST_RETRY_SECONDS,
    STEADY_SECONDS,
    delay_seconds,
    is_final,
    pause_seconds,
    rest_seconds,
)
from loki_twisted.client.source import Source
from loki_twisted.client.sse_parser import EventTooLarge, SSEParser, StreamEvent
from loki_twisted.client.stream_body import StreamBody
from loki_twisted.model.events import Event

IDLE_SECONDS: Final = 45.0
"""A connection that is silent for so long is given up; the server sends a comment every 15 s."""

_log: Final = Logger()
_T = TypeVar("_T")


class EventStream:
    """
    An asynchronous iterator over events. It begins at once.

    Iterating ends after :meth:`aclose`, and raises
    :class:`~loki_twisted.client.errors.ClientError` when the server refuses the
    stream for good. One consumer may iterate.

    :param source: Gives connections.
    :param after: An event id to begin after, ``earliest``, or None for the source's first place.
    :param on_reset: Called where events are missing, before the next event is given. If it
        returns an awaitable, that is waited for. What it raises is logged and ends nothing. If
        None, the reset is logged.
    :param idle_seconds: How long a connection may be silent.
    """

    def __init__(
        self,
        source: Source,
        reactor: IReactorTime,
        *,
        after: str | None = None,
        on_reset: Callable[[StreamReset], object] | None = None,
        idle_seconds: float = IDLE_SECONDS,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._source = source
        self._reactor = reactor
        self._on_reset = on_reset or warn_of_reset
        self._idle_seconds = idle_seconds
        self._random = random
        self._place = place_of(after)
        self._last_id_read = ""
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._failures = 0
        self._body: StreamBody | None = None
        self._ahead: deque[StreamEvent] = deque()
        self._wanted: Deferred[None] | None = None
        self._taken: Deferred[None] | None = None
        self._awaited: Deferred[Any] | None = None
        self._telling: Deferred[None] | None = None
        self._refused: Exception | None = None
        self._over = False
        self._reading = Deferred.fromCoroutine(self._keep_reading())

    @property
    def last_event_id(self) -> str | None:
        """
        The place that the consumer has come to; begin after it to go on later.

        The id of the last event that was taken, or of a later one up to which there is
        nothing that it wants; before the first, what the stream began after. None while that is
        not known.
        """
        return self._place.after

    @property
    def has_ended(self) -> bool:
        """Whether it brings nothing more than what was read already."""
        return self._over

    # For the consumer

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while True:
            if self._telling is not None:
                await undisturbed(self._telling)
                self._telling = None
            while not self._ahead:
                await self._more()
            frame = self._ahead.popleft()
            try:
                meaning = meaning_of(frame)
            except MALFORMED as error:
                await self._give_up(none_of_this_api("The stream", error))
                continue
            self._place = self._place.follow(meaning, frame.last_event_id)
            if not self._ahead:
                self._place = self._place.heard(self._last_id_read)
                self._go_on()
            if isinstance(meaning, Event):
                return meaning
            if isinstance(meaning, StreamReset):
                telling = call_back(self._on_reset, meaning, "a reset")
                self._telling = Deferred.fromCoroutine(telling)

    async def aclose(self) -> None:
        """
        End the stream; when this returns nothing of it is open any more.

        A connection that cannot be closed is logged.
        """
        self._finish(None)
        self._ahead.clear()
        if self._awaited is not None:
            self._awaited.cancel()
        await undisturbed(self._reading)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _more(self) -> None:
        """Wait until there is more, or raise what ends the iteration."""
        if self._over:
            raise self._refused or StopAsyncIteration
        if self._wanted is not None:
            raise RuntimeError("an event stream has one consumer, and this is a second one")
        self._wanted = Deferred()
        try:
            await self._wanted
        finally:
            self._wanted = None

    def _go_on(self) -> None:
        if self._body is not None:
            self._body.go_on()
        if self._taken is not None and not self._taken.called:
            self._taken.callback(None)

    def _wake(self) -> None:
        if self._wanted is not None and not self._wanted.called:
            self._wanted.callback(None)

    async def _give_up(self, reason: Exception) -> None:
        self._finish(reason)
        await self.aclose()

    def _finish(self, refused: Exception | None) -> None:
        if not self._over:
            self._over = True
            self._refused = refused
            self._wake()

    # Against the server

    async def _keep_reading(self) -> None:
        try:
            while True:
                pause = await self._read_until_cut_off()
                await self._wait(deferLater(self._reactor, pause))
                await self._all_taken()
        except CancelledError:
            self._finish(None)
        except Exception as error:  # noqa: BLE001  # not swallowed: the consumer is given it
            self._finish(error)
        # Not in a finally clause: one who is thrown away unfinished must not wait.
        try:
            await self._source.close()
        except Exception:  # noqa: BLE001  # logged; who ends the stream cannot mend it
            _log.failure("The connections of an event stream were not closed")

    async def _wait(self, awaited: Deferred[_T]) -> _T:
        """Wait for something, but not longer than the stream lasts; it is cancelled then."""
        # The consumer may end the stream at any time, also in the middle of what we do.
        if self._over:
            awaited.cancel()
        self._awaited = awaited
        try:
            return await awaited
        finally:
            self._awaited = None

    async def _all_taken(self) -> None:
        """Wait with the next connection, which would bring still more, for the consumer."""
        if self._ahead:
            self._taken = Deferred()
            await self._wait(self._taken)

    async def _read_until_cut_off(self) -> float:
        """
        Read one connection to its end, if there is one.

        :returns: How long to wait before the next.
        :raises: what ends the stream.
        """
        at_least = 0.0
        try:
            after = self._place.after
            if after is None:
                after = await self._wait(self._source.first_place())
                self._place = Place(after)
            response = await self._wait(self._source.connect(after))
            at_least = await self._read(response, after)
        except (ClientError, ServerUnreachable) as error:
            if is_final(error):
                raise
            _log.debug("No event stream: {error}", error=error)
            at_least = pause_seconds(error)
        pause = delay_seconds(self._failures, self._retry_seconds, at_least, self._random)
        self._failures += 1
        return pause

    async def _read(self, response: IResponse, last_event_id: str) -> float:
        begun = self._reactor.seconds()
        parser = SSEParser(last_event_id)
        body = self._body = StreamBody(
            self._reactor, lambda data: self._take(parser, data), self._idle_seconds
        )
        response.deliverBody(body)
        trouble: Exception | None = None
        try:
            await self._wait(body.ended)
        except EventTooLarge as error:
            trouble = none_of_this_api("The stream", error)
        except Exception as error:  # noqa: BLE001  # raised when the connection is closed
            trouble = error
        self._body = None
        await body.close()
        if trouble is not None:
            raise trouble
        lasted = self._reactor.seconds() - begun
        if lasted >= STEADY_SECONDS:
            self._failures = 0
        return rest_seconds(lasted)

    def _take(self, parser: SSEParser, data: bytes) -> None:
        if self._over:
            return
        events = parser.feed(data)
        if parser.retry_ms is not None:
            self._retry_seconds = parser.retry_ms / 1000
        self._last_id_read = parser.last_event_id
        if events:
            if any(map(is_of_the_log, events)):
                self._failures = 0
            self._ahead += events
            self._wake()
        elif not self._ahead:
            self._place = self._place.heard(self._last_id_read)
        if self._ahead and self._body is not None:
            self._body.hold_back()
