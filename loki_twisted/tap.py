"""``twistd loki``: the server as a twistd command."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from typing import Any, Final

from twisted.application.service import MultiService
from twisted.application.service import Service as BaseService
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python import usage
from twisted.python.failure import Failure

from loki_twisted.command.given import settings_from
from loki_twisted.command.logs import FORMATS, LineObserver
from loki_twisted.command.operator import Operator
from loki_twisted.command.option import Option
from loki_twisted.command.options import GENERATE_HELP, OPTIONS, RELOAD_HELP, new_token
from loki_twisted.command.reload import restart_after_change
from loki_twisted.command.running import (
    end_as_ours_do,
    set_imports_aside,
    set_what_is_there_aside,
    use_monotonic_clock,
)
from loki_twisted.command.serve import (
    CANNOT_START_EXIT,
    NOT_STARTED,
    announce,
    exit_code_of,
    reason_not_started,
)
from loki_twisted.operation.manager import ServiceManager
from loki_twisted.settings import InvalidSettings, Settings

_log: Final = Logger()
_ONCE: Final = tuple(option for option in OPTIONS if not option.repeatable)


class Options(usage.Options):
    """
    The options of ``twistd loki``, made from the table of ``loki serve``.

    :ivar settings: What they come to.
    """

    synopsis = "[options]"
    optParameters: Final = [  # noqa: N815  # Twisted's name
        [option.name, option.short, None, option.described] for option in _ONCE if option.metavar
    ]
    optFlags: Final = [  # noqa: N815  # Twisted's name
        *([option.name, option.short, option.described] for option in _ONCE if not option.metavar),
        ["reload", None, RELOAD_HELP],
        ["generate-token", None, GENERATE_HELP],
    ]
    settings: Settings

    def postOptions(self) -> None:  # noqa: N802  # Twisted's name
        """
        Make the settings, or print a token and end.

        :raises UsageError: if a value is wrong, or others could start programs here.
        """
        if self["generate-token"]:
            sys.stdout.write(f"{new_token()}\n")
            raise SystemExit(0)
        try:
            self.settings = settings_from(self, os.environ, os.getcwd())
        except InvalidSettings as error:
            raise usage.UsageError(str(error)) from error


def _collector(option: Option) -> Callable[[Options, str], None]:
    """Make the method by which ``usage.Options`` takes an option that may be repeated."""

    def collect(self: Options, value: str) -> None:
        self.setdefault(option.name, []).append(value)

    collect.__doc__ = option.described
    return collect


for _option in OPTIONS:
    if _option.repeatable:
        setattr(Options, f"opt_{_option.name.replace('-', '_')}", _collector(_option))


def makeService(options: Options) -> BaseService:  # noqa: N802  # Twisted's name
    """Make the server for twistd, which ends when it cannot be started."""
    from twisted.internet import reactor

    from loki_twisted.service import Service

    use_monotonic_clock(reactor)
    set_imports_aside()  # before as much is read as there may be of it
    settings = options.settings
    service = Service(settings, reactor)
    operator = Operator(ServiceManager.take(os.environ))
    operator.take(service)
    reactor.callWhenRunning(end_as_ours_do, reactor, settings.drain_seconds, operator.reload)
    reactor.addSystemEventTrigger("before", "shutdown", operator.stopping)

    def begin(addresses: list[str]) -> None:
        set_what_is_there_aside()
        announce(addresses, settings)
        if options["reload"]:
            restart_after_change(reactor)

    service.ready.addCallbacks(begin, _give_up, errbackArgs=(reactor,))
    return service if settings.log_format == "text" else _Logged(service, settings)


class _Logged(MultiService):
    """Has the log of its application written as the settings say, and not as twistd does."""

    def __init__(self, service: BaseService, settings: Settings) -> None:
        super().__init__()
        service.setServiceParent(self)
        self._settings = settings

    def setServiceParent(self, parent: Any) -> None:  # noqa: N802  # Twisted's name
        """Become part of an application, which twistd asks for its observer afterwards."""
        super().setServiceParent(parent)
        least = LogLevel.debug if self._settings.debug else LogLevel.info
        observer = LineObserver(
            sys.__stderr__ or sys.stderr, least, FORMATS[self._settings.log_format]
        )
        parent.setComponent(ILogObserver, observer)


def _give_up(failure: Failure, reactor: Any) -> None:
    """Say why the server could not be started, and end with a code that is not 0."""
    exit_code = CANNOT_START_EXIT
    if isinstance(failure.value, NOT_STARTED):
        exit_code = exit_code_of(failure.value)
        print(f"twistd loki: {reason_not_started(failure.value)}", file=sys.__stderr__, flush=True)
    else:
        _log.failure("The server could not be started", failure)
    # twistd has no way to be told an exit code: it is 0 after a stop. This comes last of all,
    # when twistd has removed its pidfile.
    atexit.register(os._exit, exit_code)
    # twistd starts its services before its reactor.
    reactor.callWhenRunning(reactor.stop)
