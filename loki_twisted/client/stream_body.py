"""One connection of an event stream: its bytes, its silence, and how it is held back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from loki_twisted.client.bodies import hang_up

CLOSE_SECONDS: Final = 5.0
"""How long a connection may take to close before it is no longer waited for."""


class StreamBody(Protocol):
    """
    The body of an answer that is an event stream.

    :ivar ended: Fires when it brings nothing more: closed by the server, broken, or silent for
        too long; fails with what ``take`` raised.

    :param take: Called with the bytes as they come.
    :param idle_seconds: How long it may be silent, not counting while it is held back. The
        server sends a comment every 15 seconds.
    """

    def __init__(
        self, reactor: IReactorTime, take: Callable[[bytes], None], idle_seconds: float
    ) -> None:
        self.ended: Deferred[None] = Deferred()
        self._closed: Deferred[None] = Deferred()
        self._reactor = reactor
        self._take = take
        self._idle_seconds = idle_seconds
        self._idle: IDelayedCall | None = None
        self._held_back = False

    def connectionMade(self) -> None:  # noqa: N802  # Twisted's name
        """Begin to count the silence."""
        self._watch()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
        """Hand over what came."""
        if self.ended.called:
            return
        if self._idle is not None:
            self._idle.reset(self._idle_seconds)
        try:
            self._take(data)
        except Exception:  # noqa: BLE001  # not swallowed: who waits for the end is told
            self._unwatch()
            self.ended.errback()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002, N802  # Twisted's
        """Nothing more comes."""
        self._end()
        if not self._closed.called:
            self._closed.callback(None)

    def hold_back(self) -> None:
        """Read no more until :meth:`go_on`; the server is held back by TCP."""
        if not self.ended.called and self.transport is not None:
            self._held_back = True
            self._unwatch()
            # Even if it is held back already: Agent lets the transport go on by
            # itself when it has handed over what came along with the headers.
            IPushProducer(self.transport).pauseProducing()

    def go_on(self) -> None:
        """Read on."""
        if self._held_back and not self.ended.called and self.transport is not None:
            self._held_back = False
            self._watch()
            IPushProducer(self.transport).resumeProducing()

    def close(self) -> Deferred[None]:
        """
        Close the connection.

        :returns: Fires when it is closed, or has not been for :data:`CLOSE_SECONDS`.
        """
        self._end()
        if not self._closed.called:
            hang_up(self)
            self._closed.addTimeout(CLOSE_SECONDS, self._reactor, lambda _, __: None)
        return self._closed

    def _watch(self) -> None:
        self._idle = self._reactor.callLater(self._idle_seconds, self._end)

    def _unwatch(self) -> None:
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        self._idle = None

    def _end(self) -> None:
        self._unwatch()
        if not self.ended.called:
            self.ended.callback(None)
