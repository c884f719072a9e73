"""
What a server listens on, and who can reach that.

Nothing here touches the network; only :func:`has_ipv6_loopback` looks at the machine.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from loki_twisted.settings import LOCALHOST, InvalidSettings, Settings

_LOOPBACK_ADDRESSES: Final = ("127.0.0.1", "::1")
_PRIVATE_MODE: Final = "600"

_BACKLOG: Final = 1024
"""
How many connections may wait to be accepted.

Twisted's 50 are too few for a thousand clients that all come back at once after a restart: the
kernel drops the rest, and they try again after seconds.
"""

_TAKES_BACKLOG: Final = frozenset({"tcp", "tcp6", "ssl", "unix"})

_MOST_PATH_BYTES: Final = 107
"""The system has no room for more in the address of a unix socket, with the 0 behind it."""

_MORE_SSL_FILES: Final = ("extraCertChain", "dhParameters")
_SSL_ARGUMENTS: Final = (
    *("port", "privateKey", "certKey", "sslmethod", "interface", "backlog"),
    *_MORE_SSL_FILES,
)
"""As Twisted takes those without a name."""

_SSL_KEY: Final = "server.pem"
"""Twisted's, where none is named."""


def endpoint_descriptions(settings: Settings, *, ipv6_loopback: bool) -> tuple[str, ...]:
    """
    Say what to listen on, as descriptions for ``serverFromString``.

    :param ipv6_loopback: Whether this machine has the address ``::1``.
    :returns: What ``listen`` names, with unix sockets closed to other users unless a mode is
        named, and with room for many clients that come at once; else one endpoint for
        ``host``, or two for ``localhost``. With port 0 ``localhost`` is only 127.0.0.1, because
        two sockets would get two ports.
    """
    if settings.listen:
        return tuple(_with_backlog(_with_private_mode(each)) for each in settings.listen)
    hosts: tuple[str, ...] = (settings.host,)
    if settings.host == LOCALHOST:
        both = ipv6_loopback and settings.port
        hosts = _LOOPBACK_ADDRESSES if both else _LOOPBACK_ADDRESSES[:1]
    return tuple(_with_backlog(_tcp_description(host, settings.port)) for host in hosts)


def has_ipv6_loopback(table: Path = Path("/proc/net/if_inet6")) -> bool:
    """
    Whether this machine has the address ``::1``.

    :param table: The kernel's list of IPv6 addresses.
    """
    try:
        lines = table.read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    return any(line.startswith(f"{1:032x} ") for line in lines)


def is_local_endpoint(description: str) -> bool:
    """
    Whether only this user's own machine can reach an endpoint.

    That is so for ``tcp``, ``ssl`` and ``tls`` endpoints whose ``interface`` is a loopback
    address, and for unix sockets that only this user may open. Of any other
    kind (a proxy's, an inherited socket) nobody can say who is behind it.
    """
    kind, arguments, options = _parse_description(description)
    if kind == "unix":
        mode = options.get("mode") or (arguments[1] if len(arguments) > 1 else _PRIVATE_MODE)
        return _is_private_mode(mode)
    return kind in {"tcp", "tcp6", "ssl", "tls"} and is_loopback(options.get("interface", ""))


def ssl_files(description: str) -> dict[str, str]:
    """
    Say which files an ``ssl`` endpoint is made of.

    :returns: Their paths, by Twisted's names of them: ``certKey`` is there always, as in Twisted.
    """
    _, arguments, options = _parse_description(description)
    given = {**dict(zip(_SSL_ARGUMENTS, arguments, strict=False)), **options}
    key = given.get("privateKey", _SSL_KEY)
    files = {"privateKey": key, "certKey": given.get("certKey", key)}
    return files | {name: given[name] for name in _MORE_SSL_FILES if name in given}


def refuse_long_path(description: str) -> None:
    """
    See that a unix socket can be made under its name.

    :raises InvalidSettings: if that is too long.
    """
    kind, arguments, _ = _parse_description(description)
    path = arguments[0] if kind == "unix" and arguments else ""
    if len(os.fsencode(path)) > _MOST_PATH_BYTES:
        raise InvalidSettings(
            f"The path of the unix socket {path!r} has more than {_MOST_PATH_BYTES} bytes. "
            "Choose another with --listen."
        )


def is_loopback(host: str) -> bool:
    """Whether a host is ``localhost`` or a loopback address; any other name is not."""
    if host == LOCALHOST:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_open_listeners(settings: Settings) -> None:
    """
    Make sure that nobody else can reach a server that asks for no token.

    :raises InvalidSettings: if an endpoint can be reached from elsewhere and there is
        no token, or the tokens are switched off. No option overrides this.
    """
    if settings.auth and (settings.tokens or settings.token_file):
        return
    descriptions = endpoint_descriptions(settings, ipv6_loopback=False)
    open_ones = [each for each in descriptions if not is_local_endpoint(each)]
    if not open_ones:
        return
    where = settings.host if not settings.listen else open_ones[0]
    if not settings.auth:
        raise InvalidSettings(
            f"Refusing to listen on {where!r} with --no-auth: others could reach it and "
            f"start programs here; leave --no-auth out and set LOKI_API_TOKEN."
        )
    raise InvalidSettings(
        f"Refusing to listen on {where!r} without a token: others could reach it and start "
        f"programs here; set LOKI_API_TOKEN (make one: loki serve --generate-token)."
    )


def _tcp_description(host: str, port: int) -> str:
    # Late, because options are read by way of this module, and to refuse one is to be fast.
    from twisted.internet.endpoints import quoteStringArgument

    kind = "tcp6" if ":" in host else "tcp"
    return f"{kind}:{port}:interface={quoteStringArgument(host)}"


def _with_private_mode(description: str) -> str:
    kind, arguments, options = _parse_description(description)
    if kind != "unix" or "mode" in options or len(arguments) > 1:
        return description
    return f"{description}:mode={_PRIVATE_MODE}"


def _with_backlog(description: str) -> str:
    kind, arguments, options = _parse_description(description)
    # Who gives more than one argument without a name may have given it among them.
    if kind not in _TAKES_BACKLOG or "backlog" in options or len(arguments) > 1:
        return description
    return f"{description}:backlog={_BACKLOG}"


def _is_private_mode(mode: str) -> bool:
    try:
        return not int(mode, 8) & 0o077
    except ValueError:
        return False


def _parse_description(description: str) -> tuple[str, list[str], dict[str, str]]:
    """
    Take an endpoint description apart; Twisted's own parser for this is private.

    :returns: The kind, the arguments without a name, and those with one.
    """
    arguments: list[str] = []
    options: dict[str, str] = {}
    for name, value in _fields(description):
        if name is None:
            arguments.append(value)
        else:
            options[name] = value
    return arguments[0].lower() if arguments else "", arguments[1:], options


def _fields(description: str) -> Iterable[tuple[str | None, str]]:
    name: str | None = None
    value = ""
    characters = iter(description)
    for character in characters:
        if character == "\\":
            value += next(characters, "")
        elif character == ":":
            yield name, value
            name, value = None, ""
        elif character == "=" and name is None:
            name, value = value, ""
        else:
            value += character
    yield name, value
