"""Whose the other ends of connections are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from weakref import WeakSet

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress

from loki_twisted.kernel.peer import SocketAddress, uid_of_unix_peer

PeerCheck = Callable[[SocketAddress, SocketAddress], bool]
"""Given our end and the other end of a connection: whether that is our user's."""


class Neighbours:
    """
    Remembers for each connection whether our own user is at its other end.

    :param check: Is asked until it is so once for each connection, and only over TCP: who may
        connect to a unix socket is decided by its permissions.
    """

    def __init__(self, check: PeerCheck) -> None:
        self._check = check
        self._known: WeakSet[object] = WeakSet()

    def is_our_user(self, connection: object, here: IAddress, peer: IAddress) -> bool:
        """Tell whose process is at the other end of a connection within this machine."""
        if connection in self._known:
            return True
        is_ours = self._ask(here, peer)
        if is_ours:  # what could not be found out, for want of a descriptor, may be later
            self._known.add(connection)
        return is_ours

    def uid_at(self, connection: object, peer: IAddress) -> int | None:
        """Tell which user is at the other end of a connection, where that is known."""
        if isinstance(peer, IPv4Address | IPv6Address):
            is_ours = connection in self._known and sys.platform.startswith("linux")
            return os.geteuid() if is_ours else None
        return uid_of_unix_peer(getattr(connection, "socket", None))

    def _ask(self, here: IAddress, peer: IAddress) -> bool:
        ends = (here, peer)
        if all(isinstance(end, IPv4Address | IPv6Address) for end in ends):
            return self._check((here.host, here.port), (peer.host, peer.port))  # type: ignore[attr-defined]  # both are IP addresses
        return True
