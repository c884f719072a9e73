"""What the service manager is told of a server: that it is ready, how it is, and that it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from loki_twisted.kernel.rounds import rounds
from loki_twisted.operation.manager import ServiceManager, monotonic_microseconds

STATUS_SECONDS: Final = 5.0
"""How often it is seen whether there is something new to say."""

_log: Final = Logger()


class Pulse:
    """
    Tells the service manager.

    The sign of life is given from the reactor, at least twice in the time that the manager waits
    for it: a server whose reactor is held gives none, and neither does one that cannot do its work.

    :param manager: Who is told.
    :param status: How the server is, in one line.
    :param is_well: Whether it can do its work.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        manager: ServiceManager,
        status: Callable[[], str],
        is_well: Callable[[], bool],
    ) -> None:
        self._manager = manager
        self._status = status
        self._is_well = is_well
        self._told: str | None = None
        self._beat = rounds(reactor, self._beats, "The service manager could not be told")

    def ready(self) -> None:
        """Tell that the server serves, and from now on how it is."""
        if self._manager.address is None:
            return
        self._manager.tell("READY=1", self._news())
        watchdog = self._manager.watchdog_seconds
        self._beat.start(min(STATUS_SECONDS, watchdog / 2) if watchdog else STATUS_SECONDS)

    def reloading(self) -> None:
        """Tell that the server takes up what has changed. To be followed by :meth:`reloaded`."""
        self._manager.tell("RELOADING=1", monotonic_microseconds())

    def reloaded(self) -> None:
        """Tell that it has."""
        self._manager.tell("READY=1")

    def stopping(self) -> None:
        """Tell that the server ends. It gives no more signs of life: an end has its own time."""
        if self._beat.running:
            self._beat.stop()
        self._manager.tell("STOPPING=1", "STATUS=Shutting down.")

    def _beats(self) -> None:
        with _log.failuresHandled("The service manager could not be told"):
            told, status = self._told, self._news()
            news = [] if status == told else [status]
            if self._manager.watchdog_seconds and self._is_well():
                news.append("WATCHDOG=1")
            if news:
                self._manager.tell(*news)

    def _news(self) -> str:
        """How the server is, as it is told; remembers it."""
        self._told = "STATUS=" + " ".join(self._status().split())
        return self._told
