"""
Bodies: those of requests, and those of answers, read with limits of size and time.

``treq.content`` has no limits, and what it has begun cannot be cancelled.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer

from loki_twisted.client.errors import ServerUnreachable

MOST_BYTES: Final = 64 * 1024 * 1024
"""How large the body of an answer may be."""


def collect(
    response: IResponse, reactor: IReactorTime, seconds: float, most_bytes: int = MOST_BYTES
) -> Deferred[bytes]:
    """
    Read a body to its end.

    :param seconds: How long that may take.
    :returns: Cancel it to drop the connection.
    :raises ServerUnreachable: if the body is cut off, too large or too slow; the connection is
        dropped then.
    """
    collector = _Collector(most_bytes)
    response.deliverBody(collector)
    return collector.whole.addTimeout(seconds, reactor, _too_slow)


def _too_slow(_: object, seconds: float) -> Failure:
    return Failure(ServerUnreachable(f"The server's answer was not whole after {seconds:g} s."))


@implementer(IBodyProducer)
class WholeBody:
    """
    A request's body that is there already, and is written at once.

    treq's own producer goes by the global reactor.
    """

    def __init__(self, data: bytes) -> None:
        self.length = len(data)
        self._data = data

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:  # noqa: N802  # Twisted's name
        """Write all of it."""
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None:  # noqa: N802  # Twisted's name
        """Nothing is left to hold back."""

    def resumeProducing(self) -> None:  # noqa: N802  # Twisted's name
        """Nothing was held back."""

    def stopProducing(self) -> None:  # noqa: N802  # Twisted's name
        """Nothing is left to stop."""


def drop(response: IResponse) -> None:
    """Close the connection of an answer whose body nobody wants."""
    response.deliverBody(_Dropper())


def hang_up(body: Protocol) -> None:
    """
    Close the connection of a body, at once.

    The transport of a body cannot be aborted, and ``loseConnection`` would, over TLS, wait until
    the other side agrees: for ever if it is dead, or if we do not read. This closes
    what is under TLS.
    """
    if body.transport is not None:
        IPushProducer(body.transport).stopProducing()


class _Dropper(Protocol):
    """Closes what it is connected to."""

    def connectionMade(self) -> None:  # noqa: N802  # Twisted's name
        """Close."""
        hang_up(self)


class _Collector(Protocol):
    """Collects a body."""

    def __init__(self, most_bytes: int) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: hang_up(self))
        self._most_bytes = most_bytes
        # Not a list: a server may send two bytes at a time, and an object has thirty of its own.
        self._read = bytearray()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
        """Keep it."""
        self._read += data
        if len(self._read) > self._most_bytes and not self.whole.called:
            hang_up(self)
            limit = f"more than {self._most_bytes} bytes"
            self.whole.errback(ServerUnreachable(f"The server's answer is too large: {limit}."))

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802  # Twisted's name
        """Give the whole, if it is whole."""
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(bytes(self._read))
        else:
            self.whole.errback(ServerUnreachable("The server's answer was cut off."))
