"""
Where the connections of a client begin, and where they end for good.

Twisted's own choice of endpoints would take TLS's clock from the global reactor, and
keeps no account of what is open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.task import deferLater
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from loki_twisted.client.heads import HeadLimit
from loki_twisted.client.hosts import CONNECT_SECONDS, Host


class OpenConnections:
    """Knows which connections are open, under whatever is spoken over them."""

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._open: set[ProtocolWrapper] = set()
        self._closing: list[Deferred[None]] = []

    def add(self, connection: ProtocolWrapper) -> None:
        """One more is open."""
        self._open.add(connection)

    def remove(self, connection: ProtocolWrapper) -> None:
        """One is open no more."""
        self._open.remove(connection)
        while self._closing and not self._open:
            self._closing.pop().callback(None)

    def close(self) -> Deferred[None]:
        """
        Break all of them; fires when they are gone.

        The other side is not waited for, which may be dead: over TLS it would have to agree.
        """
        if not self._open:
            # An attempt to connect that was cancelled takes Twisted a turn to forget.
            return deferLater(self._reactor, 0)
        gone: Deferred[None] = Deferred()
        self._closing.append(gone)
        for connection in list(self._open):
            connection.abortConnection()
        return gone


@implementer(IAgentEndpointFactory)
class Endpoints:
    """
    Makes endpoints for an agent.

    :ivar connections: All that were made by them.

    :param socket_path: The unix socket to connect to, whatever the URL says; or None.
    :param policy: Whom to trust over TLS.
    """

    def __init__(self, reactor: Any, socket_path: str | None, policy: IPolicyForHTTPS) -> None:
        self.connections = OpenConnections(reactor)
        self._reactor = reactor
        self._socket_path = socket_path
        self._policy = policy

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:  # noqa: N802  # Twisted's name
        """Choose the endpoint for a URL."""
        if self._socket_path is not None:
            unix = UNIXClientEndpoint(self._reactor, self._socket_path, timeout=CONNECT_SECONDS)
            return _Wrapped(self._counted(unix), HeadLimit)
        counted = self._counted(Host(self._reactor, uri.host.decode("ascii"), uri.port))
        if uri.scheme == b"http":
            return _Wrapped(counted, HeadLimit)
        creator = self._policy.creatorForNetloc(uri.host, uri.port)
        return _Wrapped(wrapClientTLS(creator, counted, clock=self._reactor), HeadLimit)

    def _counted(self, endpoint: IStreamClientEndpoint) -> IStreamClientEndpoint:
        return _Wrapped(endpoint, lambda wrapped: _Counting(wrapped, self.connections))


class _Counting(WrappingFactory):
    """Makes protocols whose connections are counted."""

    noisy = False

    def __init__(self, wrapped: IProtocolFactory, connections: OpenConnections) -> None:
        super().__init__(wrapped)
        self._connections = connections

    def registerProtocol(self, p: ProtocolWrapper) -> None:  # noqa: N802  # Twisted's name
        """A connection is made."""
        self._connections.add(p)

    def unregisterProtocol(self, p: ProtocolWrapper) -> None:  # noqa: N802  # Twisted's name
        """A connection is lost."""
        self._connections.remove(p)


@implementer(IStreamClientEndpoint)
class _Wrapped:
    """
    An endpoint whose connections have something between their transport and their protocol.

    :param wrap: Makes the factory of that.
    """

    def __init__(
        self, endpoint: IStreamClientEndpoint, wrap: Callable[[IProtocolFactory], IProtocolFactory]
    ) -> None:
        self._endpoint = endpoint
        self._wrap = wrap

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803  # Twisted's name
        """Connect."""
        connected: Deferred[Any] = self._endpoint.connect(self._wrap(protocolFactory))
        return connected.addCallback(lambda wrapper: wrapper.wrappedProtocol)
