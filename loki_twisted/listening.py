"""The sockets of a server: bound early, and accepting when it is ready."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from zope.interface import implementer

from loki_twisted.certificates import Certificate
from loki_twisted.endpoints import refuse_long_path
from loki_twisted.settings import InvalidSettings
from loki_twisted.web.site import Site

_PLAIN: Final = frozenset({"tcp", "unix", "systemd"})
"""The kinds of endpoints that bear a factory which makes nothing of a connection."""


@implementer(IProtocolFactory)
class Door:
    """
    Lets nobody in where there is no room.

    A connection that a site makes and cuts has its descriptor to the end of that turn of the
    reactor, in which a hundred others may come: too many for a server that has few. What is
    refused here is closed at once.
    """

    noisy = False

    def __init__(self, site: Site) -> None:
        self._site = site

    def doStart(self) -> None:  # noqa: N802  # Twisted's name
        """Begin."""
        self._site.doStart()

    def doStop(self) -> None:  # noqa: N802  # Twisted's name
        """End."""
        self._site.doStop()

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:  # noqa: N802  # Twisted's name
        """Make what speaks with a client, or nothing."""
        return None if self._site.is_full else self._site.buildProtocol(addr)


class Sockets:
    """
    What a server listens on.

    :param descriptions: For ``serverFromString``.
    :ivar ports: Those that are bound.
    """

    def __init__(self, reactor: Any, descriptions: Sequence[str]) -> None:
        self.ports: list[IListeningPort] = []
        self._reactor = reactor
        self._descriptions = descriptions
        self._certificates: list[Certificate] = []

    async def bind(self, site: Site) -> None:
        """
        Take the addresses. Whoever connects waits until :meth:`accept`.

        :raises twisted.internet.error.CannotListenError: if one cannot be had; those before it
            are bound then.
        :raises InvalidSettings: if it is to be inherited, and there is none, or one that does not
            listen; if a certificate cannot be used, or the path of a unix socket is too long.
        """
        for description in self._descriptions:
            is_plain = description.partition(":")[0] in _PLAIN
            factory = Door(site) if is_plain else site
            port = await self._endpoint(description).listen(factory)
            _accept(port, False)
            self.ports.append(port)
            if not _is_listening(port):
                raise InvalidSettings(
                    f"The socket that was inherited for {description!r} does not listen for "
                    "streams; a socket unit makes one that does by ListenStream."
                )

    def _endpoint(self, description: str) -> IStreamServerEndpoint:
        if description.partition(":")[0] == "ssl":
            certificate = Certificate(description)
            self._certificates.append(certificate)
            return certificate.endpoint(self._reactor)
        refuse_long_path(description)
        try:
            endpoint: IStreamServerEndpoint = serverFromString(self._reactor, description)
        except LookupError:
            raise InvalidSettings(
                f"No socket was inherited for {description!r}; systemd passes on those of a "
                "socket unit."
            ) from None
        return endpoint

    def accept(self) -> None:
        """Take those who connect, and those who wait."""
        for port in self.ports:
            _accept(port, True)

    def reload(self) -> None:
        """Take up the certificates that are there now: for those who connect from now on."""
        for certificate in self._certificates:
            certificate.reload()

    def retry(self) -> None:
        """See whether certificates that could not be used can be by now."""
        for certificate in self._certificates:
            certificate.retry()

    def problems(self) -> list[str]:
        """Say which certificates are not those of their files, in sentences."""
        told = (certificate.problem() for certificate in self._certificates)
        return [problem for problem in told if problem is not None]

    def addresses(self) -> list[str]:
        """Say where it listens, as clients name it."""
        # Until all are bound there are fewer ports than descriptions.
        pairs = zip(self._descriptions, self.ports, strict=False)
        return [_address(description, port) for description, port in pairs]


def _accept(port: Any, accepting: bool) -> None:
    """Let a socket wait with the connections that come, or take them, where it can be told to."""
    switch = getattr(port, "startReading" if accepting else "stopReading", None)
    if switch is not None:
        switch()


def _is_listening(port: Any) -> bool:
    """Whether anybody can connect: what is inherited may be a socket of another kind."""
    its_socket = getattr(port, "socket", None)
    if its_socket is None:
        return True
    return bool(its_socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _address(description: str, port: IListeningPort) -> str:
    """Say where a port listens, as its clients name it."""
    kind = description.partition(":")[0]
    address = port.getHost()
    if isinstance(address, IPv4Address | IPv6Address):
        name = f"[{address.host}]" if ":" in address.host else address.host
        scheme = "https" if kind in {"ssl", "tls"} else "http"
        return f"{scheme}://{name}:{address.port}"
    if isinstance(address, UNIXAddress):
        return f"unix:{os.fsdecode(address.name or b'')}"
    return description
