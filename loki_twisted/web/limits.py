"""How much a connection may ask of the server."""

from __future__ import annotations

import resource
from typing import Final

import attrs

_SHARE_OF_FILES: Final = 0.8
"""Of the file descriptors; the rest is for the log, for agents and for new connections' answers."""

_FILES_OF_OURS: Final = 96
"""So many are never clients', however few there are."""

_SHARE_OF_REST: Final = 3
"""A third of the rest may be those of clients that are being refused."""

_FEWEST: Final = 16

MOST_CONNECTIONS: Final = 10_000
"""So many are taken at most unless somebody asks for more: each takes some kilobytes."""


@attrs.frozen(slots=True, kw_only=True)
class Limits:
    """
    Bounds of one connection, and how many there may be.

    :ivar line_bytes: Of a request line or a header line.
    :ivar head_bytes: Of a request line and its headers together.
    :ivar headers: How many headers a request may have.
    :ivar body_bytes: Of a request body.
    :ivar chunks: In how many a body may come whose length is not told before.
    :ivar head_seconds: From the first byte of a request (of a connection, for the
        first one) to the end of its headers.
    :ivar body_seconds: From there to the end of the body.
    :ivar idle_seconds: Between two requests of a connection; also for a client
        to take the answer after which its connection is closed.
    :ivar linger_seconds: How long a refused client that sends on is listened to,
        so that it gets to read why.
    :ivar connections: How many may be open at once.
    :ivar told: So many beyond these are told so; those beyond that are cut.
    """

    line_bytes: int = 16_384
    head_bytes: int = 16_384
    headers: int = 100
    body_bytes: int = 1_048_576
    chunks: int = 4096
    head_seconds: float = 10
    body_seconds: float = 30
    idle_seconds: float = 60
    linger_seconds: float = 2
    connections: int = 512
    told: int = 64


DEFAULT_LIMITS: Final = Limits()


def limits_of_process() -> Limits:
    """The usual limits, with as many connections as this process has file descriptors for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return Limits(connections=MOST_CONNECTIONS)
    connections = max(_FEWEST, min(int(soft * _SHARE_OF_FILES), soft - _FILES_OF_OURS))
    told = max(1, min(Limits().told, (soft - connections) // _SHARE_OF_REST))
    return Limits(connections=min(connections, MOST_CONNECTIONS), told=told)
