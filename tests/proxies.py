"""
A TCP proxy that can be told to break connections, or to go silent, on the reactor of the test.

So what it does is in step with a client on the same reactor, and is over when the test says so.
Tests that block, and let no reactor run, have :mod:`tests.cutting_proxy`.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import connectionDone
from twisted.protocols import portforward
from twisted.python.failure import Failure

LOOPBACK = "127.0.0.1"


class Proxy:
    """
    Carries connections to a port of loopback, and holds either side back as the other does.

    :ivar port: Where it listens.
    :ivar made: How many connections were made to it.
    :ivar cut: How many of them it broke because their patience was at its end.

    :param patience: Gives, for each connection, after how many bytes of the answer to break it:
        those are passed on, and no more. None for never.
    :param retry_ms: What to make of the ``retry: 2000`` of event streams, at most 9999, so
        that a test with many breaks need not wait two seconds for each.
    """

    def __init__(
        self,
        reactor: Any,
        server_port: int,
        patience: Callable[[], int | None] = lambda: None,
        retry_ms: int = 2000,
    ) -> None:
        self.reactor = reactor
        self.patience = patience
        self.retry = b"\nretry: %04d\n" % retry_ms
        self.made = 0
        self.cut = 0
        self.frozen = False
        self.halves: set[_Half] = set()
        self._all_gone: list[Deferred[None]] = []
        self._listening: IListeningPort = reactor.listenTCP(
            0, _Doorway(self, server_port), interface=LOOPBACK
        )
        self.port: int = self._listening.getHost().port

    @property
    def url(self) -> str:
        """The server's address for those who go through the proxy."""
        return f"http://{LOOPBACK}:{self.port}"

    def freeze(self) -> None:
        """Pass no byte on any more, in either direction, and close nothing."""
        self.frozen = True

    def thaw(self) -> None:
        """Pass on what there is, and what comes."""
        self.frozen = False
        for half in list(self.halves):
            half.thaw()

    def break_all(self) -> None:
        """Break all connections that there are."""
        for half in list(self.halves):
            half.transport.abortConnection()

    async def close(self) -> None:
        """Break all connections, and listen no more."""
        await maybeDeferred(self._listening.stopListening)
        if self.halves:
            gone: Deferred[None] = Deferred()
            self._all_gone.append(gone)
            self.break_all()
            await gone

    def forget(self, half: _Half) -> None:
        """One half of a connection is gone."""
        self.halves.discard(half)
        while self._all_gone and not self.halves:
            self._all_gone.pop().callback(None)


def random_patience(chance: Random, most_bytes: int) -> Callable[[], int]:
    """Break each connection after a random number of bytes, from none to a most."""
    return lambda: chance.randint(0, most_bytes)


class _Half(portforward.Proxy):
    """One half of a connection: what it reads goes to its peer."""

    proxy: Proxy

    def connectionMade(self) -> None:  # noqa: N802  # Twisted's name
        self.held: list[bytes] = []
        self.proxy.halves.add(self)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
        if self.proxy.frozen:
            self.held.append(data)
            self.transport.pauseProducing()
        elif self.peer is not None:
            self.pass_on(data)

    def pass_on(self, data: bytes) -> None:
        """Give the peer what was read."""
        self.peer.transport.write(data)

    def thaw(self) -> None:
        """Pass on what was held."""
        held, self.held = self.held, []
        if self.peer is not None:
            self.pass_on(b"".join(held))
            self.transport.resumeProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802  # Twisted's name
        if self.peer is not None:
            # Else the peer would wait for it to produce before it closes.
            self.peer.transport.unregisterProducer()
        super().connectionLost(reason)
        self.proxy.forget(self)


class _Far(_Half, portforward.ProxyClient):
    """The server's half."""

    def connectionMade(self) -> None:  # noqa: N802  # Twisted's name
        self.proxy = self.peer.proxy
        self.left = self.proxy.patience()
        super().connectionMade()

    def pass_on(self, data: bytes) -> None:
        """Give the client the answer, as far as the patience goes."""
        data = data.replace(b"\nretry: 2000\n", self.proxy.retry)  # of the same length
        if self.left is None:
            super().pass_on(data)
            return
        super().pass_on(data[: self.left])
        self.left -= len(data)
        if self.left <= 0:
            self.proxy.cut += 1
            self.transport.abortConnection()
            self.peer.transport.unregisterProducer()
            self.peer.transport.loseConnection()
            self.peer = None


class _FarFactory(portforward.ProxyClientFactory):
    protocol = _Far
    noisy = False


class _Near(_Half, portforward.ProxyServer):
    """The client's half."""

    clientProtocolFactory = _FarFactory  # noqa: N815  # Twisted's name

    def connectionMade(self) -> None:  # noqa: N802  # Twisted's name
        self.proxy = self.factory.proxy
        self.reactor = self.proxy.reactor
        self.proxy.made += 1
        super().connectionMade()


class _Doorway(portforward.ProxyFactory):
    protocol = _Near
    noisy = False

    def __init__(self, proxy: Proxy, server_port: int) -> None:
        super().__init__(LOOPBACK, server_port)
        self.proxy = proxy
