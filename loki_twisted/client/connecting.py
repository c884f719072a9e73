"""
Where a server is, and the agents that connect to it.

A server is named by an ``http`` or ``https`` URL, with or without a path in
front of ``/api``, or by ``unix:`` and the path of a socket.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
from hyperlink import DecodedURL, URLParseError
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.iweb import IAgent, IAgentEndpointFactory
from zope.interface import implementer

CONNECT_SECONDS: Final = 10.0
_UNIX: Final = "unix:"

KEEP_SECONDS: Final = 30
"""How long an idle connection is kept: less than servers keep one, so that none is found dead."""


@attrs.frozen(slots=True)
class Address:
    """
    Where a server is.

    :ivar base: The URL in front of ``/api`` and ``/health``.
    :ivar socket_path: The unix socket to connect to, or None.
    """

    base: DecodedURL
    socket_path: str | None = None


def read_address(text: str) -> Address:
    """
    Read the address of a server.

    :param text: Like ``http://localhost:57374`` or ``unix:/run/loki.sock``.
    :raises ValueError: if it is neither.
    """
    if text.startswith(_UNIX) and len(text) > len(_UNIX):
        return Address(DecodedURL.from_text("http://localhost"), text.removeprefix(_UNIX))
    try:
        url = DecodedURL.from_text(text)
    except (URLParseError, ValueError) as error:
        raise ValueError(f"{text!r} is no URL of a server: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"{text!r} is no URL of a server; give one like http://localhost:57374")
    path = tuple(segment for segment in url.path if segment)
    return Address(url.replace(path=path, query=(), fragment=""))


@implementer(IAgentEndpointFactory)
@attrs.frozen
class _SocketFactory:
    """Connects to one unix socket, whatever the URL says."""

    reactor: Any
    path: str

    def endpointForURI(self, uri: object) -> IStreamClientEndpoint:  # noqa: ARG002, N802  # Twisted's
        """Name the socket."""
        return UNIXClientEndpoint(self.reactor, self.path, timeout=CONNECT_SECONDS)


@attrs.frozen
class Connections:
    """
    The agents of one client.

    Requests share connections that are kept for a while; each stream has one of its own.
    """

    requests: IAgent
    streams: IAgent
    _pool: HTTPConnectionPool | None = None

    def close(self) -> Deferred[None]:
        """Close the connections that are kept; fires when they are closed."""
        return succeed(None) if self._pool is None else self._pool.closeCachedConnections()


def connections_to(address: Address, reactor: Any) -> Connections:
    """Make the agents for an address."""
    pool = HTTPConnectionPool(reactor, persistent=True)
    pool.cachedConnectionTimeout = KEEP_SECONDS
    alone = HTTPConnectionPool(reactor, persistent=False)
    return Connections(_agent(address, reactor, pool), _agent(address, reactor, alone), pool)


def _agent(address: Address, reactor: Any, pool: HTTPConnectionPool) -> IAgent:
    if address.socket_path is None:
        return Agent(reactor, connectTimeout=CONNECT_SECONDS, pool=pool)
    factory = _SocketFactory(reactor, address.socket_path)
    agent: IAgent = Agent.usingEndpointFactory(reactor, factory, pool=pool)
    return agent
