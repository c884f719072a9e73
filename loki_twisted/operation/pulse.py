"""
What the service manager is told of a server: that it starts still, is ready, how it is, and ends.

It is told by datagrams, of which the kernel keeps ten that were not read. What the manager waits
for, and would wait for in vain, is told again until there is room for it, and in its order. A sign
of life that finds no room is followed by the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from loki_twisted.kernel.repeating import repeating
from loki_twisted.operation.manager import ServiceManager, monotonic_microseconds

STATUS_SECONDS: Final = 5.0
"""How often it is seen whether there is something new to say."""

RETRY_SECONDS: Final = 0.1
"""How soon that which found no room is told again."""

MOST_RETRIES: Final = 900
"""How often: for as long as systemd waits for a start or a reload, unless it is told otherwise."""

LONGER: Final = "EXTEND_TIMEOUT_USEC=30000000"
"""What is told of a start that goes on: it may take 30 s from then on, if it was to take less."""

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
        self._reactor = reactor
        self._waiting: list[tuple[str, ...]] = []
        self._retries = 0
        self._ends = False
        self._next: IDelayedCall | None = None
        self._beat = repeating(reactor, self._beats, "The service manager could not be told")
        self._start = repeating(reactor, self._starts, "The service manager could not be told")

    def starting(self) -> None:
        """Tell from now on that a start goes on: all of a log may be read, or room waited for."""
        if self._manager.address is not None:
            self._start.start(STATUS_SECONDS, now=False)

    def ready(self) -> None:
        """Tell that the server serves, and from now on how it is, unless it ends already."""
        if self._manager.address is None or self._ends:
            return
        self._starts_no_more()
        self._tell_surely("READY=1", self._news())
        watchdog = self._manager.watchdog_seconds
        self._beat.start(min(STATUS_SECONDS, watchdog / 2) if watchdog else STATUS_SECONDS)

    def reloading(self) -> None:
        """Tell that the server takes up what has changed. To be followed by :meth:`reloaded`."""
        if self._ends:
            return
        self._supersede()
        self._tell_surely("RELOADING=1", monotonic_microseconds())

    def reloaded(self) -> None:
        """Tell that it has."""
        if not self._ends:
            self._tell_surely("READY=1")

    def stopping(self) -> None:
        """
        Tell that the server ends, and nothing behind that, though its start may be over only then.

        It gives no more signs of life: an end has its own time.
        """
        self._ends = True
        self._starts_no_more()
        if self._beat.running:
            self._beat.stop()
        self._supersede()
        self._tell_surely("STOPPING=1", "STATUS=Shutting down.")

    def _tell_surely(self, *assignments: str) -> None:
        """Tell something behind all that waits, again and again until it was told."""
        self._waiting.append(assignments)
        if self._next is None:
            self._retries = 0
            self._try()

    def _try(self) -> None:
        self._next = None
        while self._waiting and self._manager.tell(*self._waiting[0]):
            del self._waiting[0]
        if not self._waiting:
            return
        if self._retries == MOST_RETRIES:
            _log.error("The service manager was not told: there was no room for that for too long")
            self._supersede()
            return
        self._retries += 1
        self._next = self._reactor.callLater(RETRY_SECONDS, self._try)

    def _supersede(self) -> None:
        """What waits is to be told no more; with it goes what was said of how the server is."""
        if self._waiting:
            self._waiting.clear()
            self._told = None
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _starts(self) -> None:
        self._manager.tell(LONGER, self._news())

    def _starts_no_more(self) -> None:
        if self._start.running:
            self._start.stop()

    def _beats(self) -> None:
        if self._waiting:
            return  # nothing overtakes that
        with _log.failuresHandled("The service manager could not be told"):
            told, status = self._told, self._news()
            news = [] if status == told else [status]
            if self._manager.watchdog_seconds and self._is_well():
                news.append("WATCHDOG=1")
            if news and not self._manager.tell(*news):
                self._told = told

    def _news(self) -> str:
        """How the server is, as it is told; remembers it."""
        self._told = "STATUS=" + " ".join(self._status().split())
        return self._told
