"""``loki serve``: a server in the foreground, until it is told to end."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger, LogLevel

from loki_twisted import __version__
from loki_twisted.access.token_file import TokenFileRefused, read_tokens
from loki_twisted.access.tokens import SHORT_TOKEN
from loki_twisted.command.arguments import USAGE_EXIT
from loki_twisted.command.logs import begin_logging
from loki_twisted.command.operator import Operator
from loki_twisted.command.port_owner import maybe_port_owner
from loki_twisted.command.running import run, set_imports_aside, set_what_is_there_aside
from loki_twisted.model.errors import (
    LokiError,
    StorageExposed,
    StorageForeign,
    StorageMisnamed,
)
from loki_twisted.operation.manager import ServiceManager
from loki_twisted.settings import InvalidSettings, Settings

CANNOT_START_EXIT: Final = 1
"""Something is in the way, and may be gone when it is tried again."""

FOREIGN_EXIT: Final = 3
"""The log is for a newer version, another program or build: that takes it, or another directory."""

NOT_STARTED: Final = (LokiError, CannotListenError, OSError, ValueError)
"""Why a server may not start although nothing is wrong with the program."""

_LOCK_IS_HELD: Final = "Cannot acquire lock"
"""What Twisted says of a unix socket that another process has."""

_log: Final = Logger()


class Server(Protocol):
    """What is wanted of a ``loki_twisted.service.Service``."""

    ready: Deferred[list[str]]

    def startService(self) -> object:  # noqa: N802  # Twisted's own name
        """Start."""

    def stopService(self) -> Deferred[None]:  # noqa: N802  # Twisted's own name
        """Stop."""


def serve(settings: Settings) -> int:
    """
    Serve until a signal comes.

    :returns: The exit code: 0 after a signal, 1 if the server could not be started, 2 or 3 if that
        will not be otherwise until somebody has changed something; see :func:`exit_code_of`.
    """
    least = LogLevel.debug if settings.debug else LogLevel.info
    begin_logging(sys.stderr, least, settings.log_format)

    operator = Operator(ServiceManager.take(os.environ))

    async def main(reactor: Any) -> int:
        # Late, because it installs the reactor.
        from loki_twisted.service import Service

        set_imports_aside()  # before as much is read as there may be of it
        gc.enable()  # it is disabled while all is imported, which takes a seventh less so

        def make() -> Service:
            service = Service(settings, reactor)
            service.ready.addCallback(_settled)
            operator.take(service)
            return service

        return await serve_until_cancelled(make, settings, operator.stopping)

    return run(main, grace_seconds=settings.drain_seconds, hung_up=operator.reload)


def _settled(addresses: list[str]) -> list[str]:
    set_what_is_there_aside()
    return addresses


async def serve_until_cancelled(
    make: Callable[[], Server], settings: Settings, stopping: Callable[[], None] = lambda: None
) -> int:
    """
    Start a server, say where it listens, and stop it again when this is cancelled.

    :param make: Makes a server that has not been started.
    :param stopping: Called before it is stopped.
    :returns: 1, 2 or 3 if it could not be started, after a line on stderr that says why; otherwise
        only cancellation ends this.
    """
    service = make()
    try:
        service.startService()
        announce(await service.ready, settings)
        await Deferred[None]()
    except NOT_STARTED as error:
        print(f"loki serve: {reason_not_started(error)}", file=sys.stderr)
        exit_code = exit_code_of(error)
    finally:
        stopping()
        await maybeDeferred(service.stopService)
    return exit_code


def announce(addresses: list[str], settings: Settings) -> None:
    """Log where a server listens, where its data is, and what should be thought about."""
    for hint in hints(settings):
        _log.warn("{hint}", hint=hint)
    _log.info(
        "loki {version} keeps its data in {directory}",
        version=__version__,
        directory=settings.data_dir,
    )
    for address in addresses:
        what = "" if address.startswith("unix:") else " (the page and the API)"
        _log.info("Listening on {address}{what}", address=address, what=what)


def hints(settings: Settings) -> Iterator[str]:
    """Say what is allowed but may not be meant."""
    if any(len(token) < SHORT_TOKEN for token in settings.tokens) or _has_short(settings):
        yield "A token is so short that it could be guessed; make one: loki serve --generate-token"
    if (settings.tokens or settings.token_file) and not settings.auth:
        yield "There is a token, but --no-auth lets requests in without it"


def _has_short(settings: Settings) -> bool:
    if settings.token_file is None:
        return False
    try:
        return any(token.is_short for token in read_tokens(settings.token_file))
    except TokenFileRefused:
        return False  # it has changed since it was read, which is told elsewhere


def exit_code_of(error: BaseException) -> int:
    """Choose the exit code of a server that did not start."""
    if isinstance(error, StorageForeign):
        return FOREIGN_EXIT
    is_for_people = isinstance(error, InvalidSettings | StorageExposed | StorageMisnamed)
    return USAGE_EXIT if is_for_people else CANNOT_START_EXIT


def reason_not_started(error: BaseException) -> str:
    """Say in one line why a server did not start."""
    if isinstance(error, CannotListenError):
        return _reason_not_listening(error)
    if isinstance(error, OSError) and error.strerror:
        # What could not be made is the second of two, as with links.
        name = os.fsdecode(error.filename2 or error.filename or "the system")
        return f"Cannot start: {name}: {error.strerror}."
    return " ".join(str(error).split())


def _reason_not_listening(error: CannotListenError) -> str:
    number = getattr(error.socketError, "errno", None)
    reason = os.strerror(number) if number else str(error.socketError)
    if isinstance(error.port, bytes):  # the path of a unix socket
        if error.socketError == _LOCK_IS_HELD:
            reason = "another server listens there"
        return (
            f"Cannot listen on {os.fsdecode(error.port)}: {reason}; choose another with --listen."
        )
    where = f"{error.interface or '*'}:{error.port}"
    owner = None
    if number == errno.EADDRINUSE and isinstance(error.port, int):
        owner = maybe_port_owner(error.port)
    held = f" by process {owner}" if owner else ""
    return f"Cannot listen on {where}: {reason}{held}; choose another with --port."
