"""
Where a server is, and the agents that connect to it.

A server is named by an ``http`` or ``https`` URL, with or without a path in
front of ``/api``, or by ``unix:`` and the path of a socket.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
from hyperlink import DecodedURL, URLParseError
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool
from twisted.web.iweb import IAgent

from loki_twisted.client.endpoints import Endpoints

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


@attrs.frozen
class Connections:
    """
    An agent, and the connections that it has made.

    :ivar agent: What to send requests by.
    """

    agent: IAgent
    _pool: HTTPConnectionPool | None = None
    _endpoints: Endpoints | None = None

    def close(self) -> Deferred[None]:
        """Break all connections; fires when they are gone. A foreign agent keeps its own."""
        if self._pool is None or self._endpoints is None:
            return succeed(None)
        both = [self._pool.closeCachedConnections(), self._endpoints.connections.close()]
        return gatherResults(both).addCallback(lambda _: None)


@attrs.frozen
class Connecting:
    """
    How a client connects.

    :ivar agent: A foreign agent to use for everything, or None.
    :ivar trust_root: Whose certificates to trust, for example what
        ``twisted.internet.ssl.trustRootFromCertificates`` gives; None for those that the
        system trusts.
    """

    address: Address
    reactor: Any
    agent: IAgent | None = None
    trust_root: Any = None

    def for_requests(self) -> Connections:
        """Connections that are kept for the next request."""
        return self._connections(persistent=True)

    def for_stream(self) -> Connections:
        """Connections for one stream, which are never used again."""
        return self._connections(persistent=False)

    def _connections(self, *, persistent: bool) -> Connections:
        if self.agent is not None:
            return Connections(self.agent)
        policy = BrowserLikePolicyForHTTPS(self.trust_root)
        pool = HTTPConnectionPool(self.reactor, persistent=persistent)
        pool.cachedConnectionTimeout = KEEP_SECONDS
        endpoints = Endpoints(self.reactor, self.address.socket_path, policy)
        agent = Agent.usingEndpointFactory(self.reactor, endpoints, pool=pool)
        return Connections(agent, pool, endpoints)
