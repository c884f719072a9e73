# ruff: noqa: N802  # Twisted calls these methods
"""
Connections on which something comes at the same moment, and the turns of the reactor.

Twisted serves all that one poll finds ready before it does anything else: hundreds of clients, each
with a short request, are a tenth of a second in which no stream is given anything.
"""

from __future__ import annotations

import math
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from loki_twisted.kernel.shares import Shares
from loki_twisted.web.pipelining import PipeliningChannel

TURN_SECONDS: Final = 0.01
"""In a turn of the reactor what has come on connections is looked at for so long."""

_log: Final = Logger()


class SharingChannel(PipeliningChannel):
    """
    A connection that waits for its turn with what comes on it.

    What it waits is no fault of its client, so the times of a request stand still meanwhile.

    :ivar site: Has ``shares``, those of all its connections, in seconds.
    """

    site: Any
    transport: Any
    _deadline = math.inf  # of what it is doing
    _latest = math.inf  # of all before the answer
    _held = b""
    _held_since = 0.0
    _turn: Deferred[None] | None = None

    @property
    def is_held(self) -> bool:
        """Whether it waits."""
        return self._turn is not None

    def dataReceived(self, data: bytes) -> None:
        """Take bytes, now or in the next turn."""
        if self._turn is not None:
            # Under TLS something may have been on the way; and whoever lets it be read meanwhile,
            # as Twisted does when an answer has been taken, knows nothing of turns.
            self._held += data
            self._networkProducer.pauseProducing()
        elif self._handlingRequest:
            super().dataReceived(data)  # who waits for an answer waits anyway
        elif self._shares.has_room:
            self._receive(data)
        else:
            self._held, self._held_since = data, self._shares.clock.seconds()
            self._networkProducer.pauseProducing()
            self._turn = self._shares.mine()
            self._turn.addCallback(self._take).addErrback(self._not_taken)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End."""
        if self._turn is not None:
            self._turn.cancel()
        super().connectionLost(reason)

    @property
    def _shares(self) -> Shares:
        shares: Shares = self.site.shares
        return shares

    def _receive(self, data: bytes) -> None:
        began = self._shares.clock.seconds()
        super().dataReceived(data)
        self._shares.spend(self._shares.clock.seconds() - began)

    def _take(self, _: None) -> None:
        # First of all: what this brings at once comes behind what is held.
        if not (self.paused or self._waitingForTransport):
            self._networkProducer.resumeProducing()
        held, self._held, self._turn = self._held, b"", None
        waited = self._shares.clock.seconds() - self._held_since
        self._deadline += waited
        self._latest += waited
        self._receive(held)

    def _not_taken(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            _log.failure("A connection failed", failure)
            self.transport.abortConnection()
