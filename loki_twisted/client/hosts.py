"""
A host by its name: its addresses are tried one after another.

Twisted's ``HostnameEndpoint`` would try several at once, but brings the global reactor into being,
whatever reactor it is given (by its ``LoopingCall``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import (
    IAddress,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from zope.interface import implementer

CONNECT_SECONDS: Final = 10.0
"""How long one address may take."""


@implementer(IStreamClientEndpoint)
@attrs.frozen
class Host:
    """
    A TCP port of a host.

    :ivar name: Its name, or an address.
    """

    reactor: Any
    name: str
    port: int

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803  # Twisted's name
        """
        Connect to the first address that answers.

        :raises DNSLookupError: if it has none.
        :raises ConnectError: if none of them answers: why the last one does not.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        trouble: Exception = DNSLookupError(f"{self.name} has no address")
        for endpoint in await self._endpoints():
            try:
                return await endpoint.connect(factory)
            except ConnectError as error:
                trouble = error
        raise trouble

    async def _endpoints(self) -> list[IStreamClientEndpoint]:
        if isIPAddress(self.name):
            return [self._v4(self.name)]
        if isIPv6Address(self.name):
            return [self._v6(self.name)]
        found = _Addresses()
        self.reactor.nameResolver.resolveHostName(found, self.name, self.port)
        addresses = await found.complete
        return [self._of(each) for each in addresses]

    def _of(self, address: IPv4Address | IPv6Address) -> IStreamClientEndpoint:
        is_v6 = isinstance(address, IPv6Address)
        return self._v6(address.host) if is_v6 else self._v4(address.host)

    def _v4(self, address: str) -> IStreamClientEndpoint:
        return TCP4ClientEndpoint(self.reactor, address, self.port, timeout=CONNECT_SECONDS)

    def _v6(self, address: str) -> IStreamClientEndpoint:
        return TCP6ClientEndpoint(self.reactor, address, self.port, timeout=CONNECT_SECONDS)


@implementer(IResolutionReceiver)
class _Addresses:
    """
    Collects the addresses of a name.

    :ivar complete: Fires with all of them. When it is cancelled, what is found is forgotten:
        Twisted cannot stop a search that the system makes.
    """

    def __init__(self) -> None:
        self.complete: Deferred[Sequence[IPv4Address | IPv6Address]] = Deferred()
        self._found: list[IPv4Address | IPv6Address] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:  # noqa: N802, N803  # Twisted's
        """Nothing is to be noted of it."""

    def addressResolved(self, address: IAddress) -> None:  # noqa: N802  # Twisted's name
        """Collect."""
        if isinstance(address, IPv4Address | IPv6Address):
            self._found.append(address)

    def resolutionComplete(self) -> None:  # noqa: N802  # Twisted's name
        """There are no more."""
        self.complete.callback(self._found)
