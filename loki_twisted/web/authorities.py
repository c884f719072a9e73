"""
Hosts and origins: what a ``Host`` header and an ``Origin`` header name.

Both decide who may come in, so both are compared as whole strings; nothing here matches
a prefix, a suffix or a pattern from a configuration.
"""

from __future__ import annotations

import functools
import re
import socket
from collections.abc import Iterable
from typing import Final

LOOPBACK_NAMES: Final = frozenset(("localhost", "127.0.0.1", "[::1]"))
"""The names of this machine for itself. No other spelling of the addresses counts."""

WILDCARDS: Final = frozenset(("", "0.0.0.0", "::"))  # noqa: S104  # compared with, not bound to

HIGHEST_PORT: Final = 65535

_HOST: Final = re.compile(
    rb"([A-Za-z0-9\-._~!$&'()*+;=%]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?"  # RFC 3986, 3.2.2
)
_LOOPBACK_ORIGIN: Final = re.compile(
    rb"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::([1-9][0-9]{0,4}))?"
)


class MalformedHost(ValueError):
    """A ``Host`` header is no host with an optional port."""


@functools.lru_cache(maxsize=128)
def host_name(value: bytes) -> str:
    """
    Read the name out of a ``Host`` header.

    :param value: For example ``LocalHost:57374``.
    :returns: The name in lower case, without the port; an IPv6 address in its brackets.
        A value with a user in it comes back whole: it is well-formed, and nobody's name.
    :raises MalformedHost: if it is empty, no host, or its port is no port.
    """
    if b"@" in value and value.isascii():
        return value.decode("ascii")
    match = _HOST.fullmatch(value)
    if match is None or (match[2] is not None and not 0 < int(match[2]) <= HIGHEST_PORT):
        raise MalformedHost("The Host header is not a host with an optional port.")
    return match[1].decode("ascii").lower()


def is_loopback_origin(origin: bytes) -> bool:
    """Whether an origin is a page of this machine: loopback by name, any port, no user."""
    match = _LOOPBACK_ORIGIN.fullmatch(origin)
    return match is not None and (match[1] is None or int(match[1]) <= HIGHEST_PORT)


def own_hosts(
    listening: str, allowed: Iterable[str] = (), *, machine: str | None = None
) -> frozenset[str]:
    """
    Make the list of names that a server answers to.

    :param listening: The name or address that it listens on. A wildcard is no name; it
        stands for the machine's own.
    :param allowed: Further names and addresses, without ports.
    :param machine: The machine's name; None to ask it.
    :returns: All of them as a ``Host`` header names them, and the loopback names.
    :raises ValueError: for a name that can stand in no ``Host`` header.
    """
    own = machine or socket.gethostname() if listening in WILDCARDS else listening
    names = set()
    for name in (own, *allowed):
        bracketed = f"[{name}]" if ":" in name and name[0] != "[" else name
        if "@" in name or host_name(bracketed.encode("ascii")) != bracketed.lower():
            raise ValueError(f"{name!r} is not the name of a host.")
        names.add(bracketed.lower())
    return LOOPBACK_NAMES | names
