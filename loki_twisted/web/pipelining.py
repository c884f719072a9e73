# ruff: noqa: N802  # Twisted calls these methods
"""
Requests that come together on one connection, and the turns of the reactor that they take.

Twisted answers all that one read has brought before it does anything else: a thousand small
requests at a time, which is a quarter of a second in which nobody else is served.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request

MOST_IN_TURN: Final = 16
"""So many requests of one connection are answered in one turn of the reactor."""


class PipeliningChannel(HTTPChannel):
    """
    A connection that lets others have their turn between the requests that it was sent together.

    :ivar site: Has the reactor.
    """

    site: Any
    _answered = 0
    _rest: IDelayedCall | None = None

    def dataReceived(self, data: bytes) -> None:
        """Take bytes."""
        if not self._busyReceiving:
            self._answered = 0
        super().dataReceived(data)

    def requestDone(self, request: Request) -> None:
        """Go on to the next request, now or in the next turn."""
        self._answered += 1
        is_enough = self._answered >= MOST_IN_TURN or self._waitingForTransport
        if is_enough and self.persistent and self._rest is None:
            self.paused = True  # the lines that are there stay where they are
            self._rest = self.site.reactor.callLater(0, self._go_on)
        super().requestDone(request)
        if self._rest is not None and self.persistent:
            self._networkProducer.pauseProducing()

    def resumeProducing(self) -> None:
        """Go on: the client has taken what it was sent."""
        super().resumeProducing()
        if self.paused and self._rest is None:
            self._networkProducer.pauseProducing()
            self._rest = self.site.reactor.callLater(0, self._go_on)

    def _go_on(self) -> None:
        self._rest = None
        if self._waitingForTransport:
            # A read may bring a thousand requests, whose answers are to wait in its client's buffer
            # rather than in ours.
            return
        self.paused = False
        if not (self._handlingRequest or self._waitingForTransport):
            self._networkProducer.resumeProducing()
        if self._buffer:
            self.dataReceived(b"")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        super().connectionLost(reason)
