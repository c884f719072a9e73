"""The sockets of a server: bound early, and accepting when it is ready."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint

from loki_twisted.settings import InvalidSettings


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

    async def bind(self, factory: IProtocolFactory) -> None:
        """
        Take the addresses. Whoever connects waits until :meth:`accept`.

        :raises twisted.internet.error.CannotListenError: if one cannot be had; those before it
            are bound then.
        :raises InvalidSettings: if it is to be inherited, and there is none.
        """
        for description in self._descriptions:
            port = await self._endpoint(description).listen(factory)
            _accept(port, False)
            self.ports.append(port)

    def _endpoint(self, description: str) -> IStreamServerEndpoint:
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
