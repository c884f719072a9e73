"""Who asks, and from which page."""

from __future__ import annotations

import attrs
from twisted.web.server import Request

from loki_twisted.access.interface import Caller
from loki_twisted.web.answers import exchange_of


@attrs.frozen(slots=True)
class Source:
    """
    The page that a request comes from.

    :ivar origin: What it says; None where it says nothing, as browsers do for a page of our own
        that reads, and programs do.
    :ivar scheme: Under which we were reached.
    :ivar host: Likewise.
    """

    origin: bytes | None
    scheme: bytes
    host: bytes

    @property
    def name(self) -> bytes:
        """Its origin, which is our own where it says nothing."""
        return self.origin or self.scheme + b"://" + self.host.lower()

    def is_of(self, name: bytes) -> bool:
        """
        Tell whether it is a page of an origin.

        Where it says nothing it is one of ours. The scheme is not looked at then: behind a
        proxy that ends TLS we do not know under which one it was loaded.
        """
        if self.origin is not None:
            return self.origin == name
        return name.partition(b"://")[2] == self.host.lower()


@attrs.frozen(slots=True)
class Visit:
    """A request, as those operations see it that have to know who asks."""

    caller: Caller
    source: Source


def visit_of(request: Request) -> Visit:
    """Describe a request that was let in."""
    origins = request.requestHeaders.getRawHeaders(b"Origin", ())
    hosts = request.requestHeaders.getRawHeaders(b"Host", ())
    source = Source(
        origins[0] if origins else None,
        b"https" if request.isSecure() else b"http",
        hosts[0] if hosts else b"",
    )
    return Visit(exchange_of(request).caller, source)
