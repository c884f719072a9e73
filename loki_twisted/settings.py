"""
What a server is told when it starts, and the rules that its options obey.

A :class:`Settings` is made once, from options and environment
(``command/options.py``) or by whoever embeds the server, and never changes.
Nothing here touches the network; only :func:`holds_state_of_ours` and
:func:`has_ipv6_loopback` look at the machine.
"""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import attrs

from loki_twisted.model.errors import LokiError

DEFAULT_PORT: Final = 57374
LOCALHOST: Final = "localhost"

STATE_DIRECTORY: Final = ".loki"
"""Name of the directory that holds the state of a project's agents."""

_LOOPBACK_ADDRESSES: Final = ("127.0.0.1", "::1")
_PRIVATE_MODE: Final = "600"

_BACKLOG: Final = 1024
"""
How many connections may wait to be accepted.

Twisted's 50 are too few for a thousand clients that all come back at once after a restart: the
kernel drops the rest, and they try again after seconds.
"""

_TAKES_BACKLOG: Final = frozenset({"tcp", "tcp6", "ssl", "unix"})


class InvalidSettings(LokiError):
    """The server cannot be started with these settings. The message is one line."""


@attrs.frozen(slots=True, kw_only=True)
class Settings:
    """
    Everything that can be chosen about a server.

    :ivar loki_dir: Absolute path of the directory that holds ``.loki/``; relative
        project directories of requests are relative to it.
    :ivar data_dir: Absolute path of the server's own directory: log, lock, files of keepers.
    :ivar host: Name or address to listen on; ``localhost`` is both loopback addresses.
    :ivar port: TCP port; 0 for any that is free.
    :ivar listen: Endpoint descriptions as of ``twisted.internet.endpoints``; where
        there are any, ``host`` and ``port`` are not listened on.
    :ivar cors: Whether pages of other origins may use the API at all.
    :ivar cors_origins: Exact origins (``https://example.com``) that may beside loopback ones.
    :ivar allowed_hosts: Names in a ``Host`` header that stand for this server beside its own.
    :ivar auth: Whether requests need a token where one is set.
    :ivar tokens: Any one of them opens the API.
    :ivar max_sessions: How many sessions may run at once.
    :ivar max_per_provider: Providers by name, each with how many of them may be of it; those of
        others have no limit of their own.
    :ivar max_per_project: How many of them in one project directory.
    :ivar allow_commands: Whether requests may name any program to be run.
    :ivar project_roots: Absolute paths of directories in and under which agents may work.
    :ivar replay: Absolute path of a recording that is played when the server begins, in a session
        of its own.
    :ivar replay_speed: How many times as fast; 0 is without any wait.
    :ivar debug: Whether errors and logs tell everything.
    :ivar grace_seconds: How long an agent that is told to stop has before it is killed.
    :ivar limit_memory_mb: How many megabytes (of 1,000,000 bytes) of address space each process of
        an agent may have; None or 0 for any number, as with the next two.
    :ivar limit_processes: How many processes this user may have, for an agent to start one more.
    :ivar limit_file_mb: How many megabytes each file may have that an agent writes.
    :ivar on_unanswered: What becomes of an agent's question that nobody answers in time: ``deny``,
        ``allow`` or ``wait``.
    :ivar input_seconds: How long such a question waits; None or 0 for ever.
    :ivar stall_seconds: After how long a silence of an agent is told; None or 0 for never.
    :ivar retain_events: How many events the log keeps; None or 0 for all. A session that runs
        keeps its last 1,000 beyond this and the next two.
    :ivar retain_days: How many days it keeps them; None or 0 for ever.
    :ivar retain_mb: How many megabytes (of 1,000,000 bytes) its database may have; None or 0 for
        any number.
    """

    loki_dir: str
    data_dir: str = attrs.field()
    host: str = LOCALHOST
    port: int = DEFAULT_PORT
    listen: tuple[str, ...] = ()
    cors: bool = True
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    auth: bool = True
    tokens: tuple[str, ...] = attrs.field(default=(), repr=False)
    max_sessions: int = 8
    max_per_provider: tuple[tuple[str, int], ...] = ()
    max_per_project: int = 1
    allow_commands: bool = False
    project_roots: tuple[str, ...] = attrs.field()
    replay: str | None = None
    replay_speed: float = 1.0
    debug: bool = False
    grace_seconds: float = 5.0
    limit_memory_mb: int | None = None
    limit_processes: int | None = None
    limit_file_mb: int | None = None
    on_unanswered: str = "wait"
    input_seconds: float | None = None
    stall_seconds: float | None = 600.0
    retain_events: int | None = 1_000_000
    retain_days: float | None = None
    retain_mb: int | None = None

    @data_dir.default
    def _default_data_dir(self) -> str:
        return default_data_dir(self.loki_dir)

    @project_roots.default
    def _default_project_roots(self) -> tuple[str, ...]:
        return (self.loki_dir,)


# Directories


def find_loki_dir(named: str | None, current: str, holds_state: Callable[[Path], bool]) -> str:
    """
    Say which directory is meant by ``LOKI_DIR``.

    :param named: The value of the variable; None or empty where it is not set. A value
        that ends in ``.loki`` is that state directory itself and stands for its parent.
    :param current: Absolute path of the current directory.
    :param holds_state: Whether a directory has a ``.loki/`` that is ours to use.
    :returns: An absolute path: what is named, else the nearest directory upward that
        holds state, else the current one.
    """
    if named:
        path = Path(os.path.normpath(Path(current, named)))
        return str(path.parent if path.name == STATE_DIRECTORY else path)
    here = Path(current)
    return str(next((place for place in (here, *here.parents) if holds_state(place)), here))


def holds_state_of_ours(directory: Path) -> bool:
    """
    Whether a directory has a ``.loki/`` that belongs to this user.

    One that somebody else has put into a shared directory (``/tmp/.loki``) is not taken.
    """
    try:
        found = (directory / STATE_DIRECTORY).stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def default_data_dir(loki_dir: str) -> str:
    """Where the server keeps its own files unless it is told otherwise."""
    return str(Path(loki_dir, STATE_DIRECTORY, "server"))


# Endpoints


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
    if settings.auth and settings.tokens:
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
    # Late, because the table of options needs this module, and `--help` is to be fast.
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
