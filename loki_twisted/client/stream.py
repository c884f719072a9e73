"""
An event stream that goes on where it was cut off.

The stream reads ahead of its consumer by at most what one read of the socket
brings: then the connection is held back until all of it was taken. When the connection ends, a
new one asks for what comes after the last event that was read, so the consumer
sees each event once and in order, whatever happens to connections and servers.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

import attrs
import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.iweb import IResponse

from loki_twisted.client.errors import ClientError, ServerUnreachable
from loki_twisted.client.reconnecting import (
    FIRST_RETRY_SECONDS,
    STEADY_SECONDS,
    delay_seconds,
    is_final,
)
from loki_twisted.client.sse_parser import EventTooLarge, SSEParser, StreamEvent
from loki_twisted.client.stream_body import StreamBody
from loki_twisted.model.events import Event

IDLE_SECONDS: Final = 45.0
"""A connection that is silent for so long is given up; the server sends a comment every 15 s."""

_log: Final = Logger()
_decode: Final = msgspec.json.Decoder(Event).decode
_bye: Final = msgspec.json.Decoder(dict[str, str | None]).decode


class StreamReset(msgspec.Struct, frozen=True):
    """
    The server could not go on where the stream was: events may be missing from here on.

    :ivar asked: The event id that was asked for.
    :ivar oldest: The oldest event that there is; the stream goes on from it.
    :ivar newest: The newest.
    :ivar reason: ``unknown``, ``future`` or ``expired``.
    """

    asked: str | None
    oldest: str | None
    newest: str | None
    reason: str


_reset: Final = msgspec.json.Decoder(StreamReset).decode


class Connect(Protocol):
    """Opens a connection of the stream."""

    def __call__(self, last_event_id: str | None) -> Deferred[IResponse]:
        """
        Ask for the stream.

        :param last_event_id: What to go on after; None if nothing was read yet.
        :returns: The answer with the status 200 and the right type.
        :raises ClientError: for any other answer; ``retry_after`` in its details is in seconds.
        :raises ServerUnreachable: if there is none.
        """


@attrs.frozen(slots=True)
class _Taken:
    """What waits for the consumer, and where the stream has come to with it."""

    value: Event | StreamReset
    last_event_id: str


class EventStream:
    """
    An asynchronous iterator over events. It begins at once.

    Iterating ends after :meth:`aclose`, and raises :class:`ClientError` when
    the server refuses the stream for good. One consumer may iterate.

    :param connect: Opens a connection.
    :param after: An event id to begin after, ``earliest``, or None.
    :param anchor: Says what to begin after where ``after`` is None: the newest event there is.
        Without it, what happens between the first connection and the second can be missed
        if the first brings no event.
    :param on_reset: Called when events may be missing, in the place where they would be;
        without it that is logged.
    """

    def __init__(
        self,
        connect: Connect,
        reactor: IReactorTime,
        *,
        after: str | None = None,
        anchor: Callable[[], Deferred[str]] | None = None,
        on_reset: Callable[[StreamReset], object] | None = None,
        idle_seconds: float = IDLE_SECONDS,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._connect = connect
        self._anchor = anchor
        self._reactor = reactor
        self._on_reset = on_reset or _warn_of_reset
        self._idle_seconds = idle_seconds
        self._random = random
        self._read_up_to = after
        self._given_up_to = after
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._failures = 0
        self._body: StreamBody | None = None
        self._ahead: deque[_Taken] = deque()
        self._wanted: Deferred[None] | None = None
        self._taken: Deferred[None] | None = None
        self._refused: Exception | None = None
        self._over = False
        self._reading = Deferred.fromCoroutine(self._keep_reading())

    @property
    def last_event_id(self) -> str | None:
        """Id of the last event that the consumer was given; begin after it to go on later."""
        return self._given_up_to

    @property
    def has_ended(self) -> bool:
        """Whether it brings nothing more than what was read already."""
        return self._over

    # For the consumer

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while True:
            while not self._ahead:
                await self._more()
            taken = self._ahead.popleft()
            if not self._ahead:
                self._go_on()
            self._given_up_to = taken.last_event_id or self._given_up_to
            if isinstance(taken.value, Event):
                return taken.value
            self._on_reset(taken.value)

    async def aclose(self) -> None:
        """End the stream; when this returns nothing of it is open any more."""
        self._finish(None)
        self._ahead.clear()
        self._reading.cancel()
        await self._reading

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
        if self._over:
            if self._refused is None:
                raise StopAsyncIteration
            raise self._refused
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
                await deferLater(self._reactor, pause)
                await self._all_taken()
        except CancelledError:
            self._finish(None)
        except Exception as error:  # noqa: BLE001  # not swallowed: the consumer is given it
            self._finish(error)

    async def _all_taken(self) -> None:
        """Wait with the next connection, which would bring still more, for the consumer."""
        if self._ahead:
            self._taken = Deferred()
            await self._taken
            self._taken = None

    async def _read_until_cut_off(self) -> float:
        """
        Read one connection to its end, if there is one.

        :returns: How long to wait before the next.
        :raises ClientError: if there shall be none.
        """
        begun = self._reactor.seconds()
        at_least = 0.0
        try:
            if self._read_up_to is None and self._anchor is not None:
                self._read_up_to = await self._anchor()
            response = await self._connect(self._read_up_to)
            await self._read(response)
        except ServerUnreachable as error:
            _log.debug("No event stream: {error}", error=error)
        except ClientError as error:
            if is_final(error):
                raise
            _log.debug("No event stream: {error}", error=error)
            at_least = float((error.details or {}).get("retryAfter", 0.0))
        if self._reactor.seconds() - begun >= STEADY_SECONDS:
            self._failures = 0
        pause = delay_seconds(self._failures, self._retry_seconds, at_least, self._random)
        self._failures += 1
        return pause

    async def _read(self, response: IResponse) -> None:
        parser = SSEParser(self._read_up_to or "")
        body = self._body = StreamBody(
            self._reactor, lambda data: self._take(parser, data), self._idle_seconds
        )
        response.deliverBody(body)
        try:
            await body.ended
        except (EventTooLarge, msgspec.MsgspecError) as error:
            raise ClientError("UNEXPECTED_ANSWER", response.code, f"{error}") from error
        finally:
            self._body = None
            await body.close()

    def _take(self, parser: SSEParser, data: bytes) -> None:
        events = parser.feed(data)
        if parser.retry_ms is not None:
            self._retry_seconds = parser.retry_ms / 1000
        for event in events:
            self._queue(event)
        self._read_up_to = parser.last_event_id or self._read_up_to
        if self._ahead:
            self._failures = 0
            self._wake()
        if self._ahead and self._body is not None:
            self._body.hold_back()

    def _queue(self, event: StreamEvent) -> None:
        if event.type == "stream:bye":
            # It says where to go on; what was read says so better, if anything was.
            self._read_up_to = self._read_up_to or _bye(event.data).get("lastEventId")
        elif event.type == "stream:reset":
            self._ahead.append(_Taken(_reset(event.data), event.last_event_id))
        else:
            self._ahead.append(_Taken(_decode(event.data), event.last_event_id))


def _warn_of_reset(reset: StreamReset) -> None:
    _log.warn(
        "Events may be missing: the server cannot go on after {asked} ({reason})",
        asked=reset.asked,
        reason=reset.reason,
    )
