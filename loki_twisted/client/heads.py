"""
How much a server may say before the body of its answer.

Twisted bounds the length of a header, but neither their number nor that of the interim
answers (``100 Continue``) that may come first: a server that goes on and on would fill the memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from twisted.internet.interfaces import IProtocol, IProtocolFactory, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

MOST_HEAD_BYTES: Final = 64 * 1024
"""How many bytes may come before a body: the limit is looked at after each read."""


class HeadTooLarge(Exception):
    """A server has said too much without coming to the body of its answer."""


class HeadLimit(WrappingFactory["_LimitedHead"]):
    """Makes HTTP connections that are aborted when the head of an answer has no end."""

    noisy = False

    def __init__(self, wrapped: IProtocolFactory) -> None:
        super().__init__(wrapped)
        self.protocol = _LimitedHead


class _LimitedHead(ProtocolWrapper):
    """
    One connection, between its transport and Twisted's HTTP.

    A head begins with the request that we write. It ends when Twisted holds the transport back, as
    it does after each head until somebody takes the body. Where there is no body, nothing
    comes before the next request.
    """

    def __init__(self, factory: HeadLimit, wrapped: IProtocol) -> None:
        super().__init__(factory, wrapped)
        self._is_in_head = True
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Send a request, or a part of one."""
        self._begin()
        super().write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:  # noqa: N802  # Twisted's name
        """Send a request, or a part of one."""
        self._begin()
        super().writeSequence(data)

    def pauseProducing(self) -> None:  # noqa: N802  # Twisted's name
        """The body has begun."""
        self._is_in_head = False
        IPushProducer(self.transport).pauseProducing()

    def loseConnection(self) -> None:  # noqa: N802  # Twisted's name
        """Close; over TLS the other side is not waited for, which may never agree."""
        super().loseConnection()
        IPushProducer(self.transport).stopProducing()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
        """Count what belongs to the head."""
        super().dataReceived(data)
        if self._is_in_head:
            self._bytes += len(data)
            if self._bytes > MOST_HEAD_BYTES:
                self.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802  # Twisted's name
        """Say that it was we who ended it, and why."""
        is_too_large = self._is_in_head and self._bytes > MOST_HEAD_BYTES
        super().connectionLost(Failure(HeadTooLarge()) if is_too_large else reason)

    def _begin(self) -> None:
        self._is_in_head = True
        self._bytes = 0
