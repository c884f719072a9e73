"""What the agent of a session prints, byte for byte, as a client reads it."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

from loki_twisted.client.bodies import hang_up
from loki_twisted.client.connecting import Connections
from loki_twisted.client.errors import ServerUnreachable

MOST_AHEAD_BYTES: Final = 256 * 1024
"""With so much that nobody has taken, no more is read."""


@attrs.frozen
class OutputPart:
    """
    A stretch of what an agent has printed.

    :ivar next_offset: The ``after`` of what comes behind it.
    :ivar size: How many bytes there were in all.
    """

    data: bytes
    next_offset: int
    size: int


class OutputTail:
    """
    An asynchronous iterator over what an agent prints, in pieces of bytes as they come.

    It ends when the session has ended and all was given, or after :meth:`aclose`; it raises
    :class:`~loki_twisted.client.errors.ClientError` if the server refuses it, and
    :class:`~loki_twisted.client.errors.ServerUnreachable` if it is cut off: who goes on begins
    another one after its ``offset``. One consumer may iterate. What is not taken is not read.

    :ivar offset: That behind what was given.
    :ivar has_ended: Whether nothing more comes and nothing is open.

    :param opening: Asks for it, when it is iterated over.
    :param connections: Of it alone.
    """

    def __init__(
        self, opening: Callable[[], Awaitable[IResponse]], connections: Connections, after: int
    ) -> None:
        self.offset = after
        self.has_ended = False
        self._opening = opening
        self._connections = connections
        self._pieces: _Pieces | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self.has_ended:
            raise StopAsyncIteration
        try:
            piece = await self._next()
        except Exception:
            was_closed = self.has_ended
            await self.aclose()
            if was_closed:
                raise StopAsyncIteration from None
            raise
        if not piece:
            await self.aclose()
            raise StopAsyncIteration
        self.offset += len(piece)
        return piece

    async def _next(self) -> bytes:
        if self._pieces is None:
            response = await self._opening()
            self._pieces = _Pieces()
            response.deliverBody(self._pieces)
        return await self._pieces.take()

    async def aclose(self) -> None:
        """Give nothing more, and close the connection. May be repeated."""
        self.has_ended = True
        if self._pieces is not None:
            self._pieces.close()
        await self._connections.close()


class _Pieces(Protocol):
    """The pieces of one body that were not taken yet."""

    def __init__(self) -> None:
        self._ahead: deque[bytes] = deque()
        self._size = 0
        self._end: Failure | None = None
        self._wanted: Deferred[None] | None = None

    async def take(self) -> bytes:
        """
        Take what there is, as soon as there is something; nothing at the end.

        :raises ServerUnreachable: if it was cut off.
        """
        while not self._ahead:
            if self._end is not None:
                return self._last(self._end)
            self._wanted = Deferred()
            await self._wanted
        piece = self._ahead.popleft()
        self._size -= len(piece)
        if not self._ahead and self._end is None and self.transport is not None:
            IPushProducer(self.transport).resumeProducing()
        return piece

    def close(self) -> None:
        """Close the connection, and drop what was not taken."""
        self._ahead.clear()
        if self._end is None:
            hang_up(self)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
        """Keep it until it is taken."""
        self._ahead.append(data)
        self._size += len(data)
        if self._size > MOST_AHEAD_BYTES and self.transport is not None:
            IPushProducer(self.transport).pauseProducing()
        self._tell()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802  # Twisted's name
        """Nothing more comes."""
        self._end = reason
        self._tell()

    def _tell(self) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            wanted.callback(None)

    def _last(self, end: Failure) -> bytes:
        if end.check(ResponseDone, PotentialDataLoss):
            return b""
        raise ServerUnreachable("What the agent prints was cut off.")
