"""
Being told that something in a directory may have changed.

A bell says *look*, never what there is to see: whoever hears it looks at the files themselves. So
it does no harm when it rings too often, and one kind of bell can stand in for another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReactorTime
from twisted.logger import Logger

from loki_twisted.agents.reactors import IWatchingReactor
from loki_twisted.kernel.inotify import (
    IN_CREATE,
    IN_IGNORED,
    IN_MODIFY,
    IN_MOVED_TO,
    IN_ONLYDIR,
    IN_Q_OVERFLOW,
    Inotify,
    Notice,
)

POLL_SECONDS: Final = 0.05

Heard = Callable[[], None]

_MASK = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR


class Bell(Protocol):
    """Rings for those who listen to directories."""

    def listen(self, directory: str, heard: Heard) -> Callable[[], None]:
        """
        Be told when a file of a directory may have been made, renamed to, or written to.

        :param heard: Called in a later turn of the reactor. What it raises is logged.
        :returns: Call it to be told no more.
        """

    def close(self) -> None:
        """Ring no more."""


class PollingBell:
    """A :class:`Bell` that needs nothing of the system: it just rings all the time."""

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._listeners: list[Heard] = []
        # Not a LoopingCall: that cannot be stopped and started again from what it calls.
        self._next: IDelayedCall | None = None

    def listen(self, directory: str, heard: Heard) -> Callable[[], None]:  # noqa: ARG002  # a Bell's
        """See :class:`Bell`."""
        self._listeners.append(heard)
        self._plan()

        def stop() -> None:
            if heard in self._listeners:
                self._listeners.remove(heard)
            self._plan()

        return stop

    def close(self) -> None:
        """See :class:`Bell`."""
        self._listeners.clear()
        self._plan()

    def _plan(self) -> None:
        """Have the next ring planned if, and only if, somebody listens."""
        if self._listeners and self._next is None:
            self._next = self._clock.callLater(POLL_SECONDS, self._ring)
        elif not self._listeners and self._next is not None:
            self._next.cancel()
            self._next = None

    def _ring(self) -> None:
        self._next = None
        for heard in tuple(self._listeners):
            with self._log.failuresHandled("who heard the bell failed"):
                heard()
        self._plan()


class InotifyBell:
    """A :class:`Bell` that the kernel rings: one instance of inotify for all directories."""

    _log = Logger()

    def __init__(self, reactor: IReactorFDSet, fallback: Bell) -> None:
        """
        Make one.

        :param fallback: Rings for the directories that the kernel cannot watch.
        :raises OSError: if the system has no inotify, or no more instances.
        """
        self._fallback = fallback
        self._listeners: dict[int, list[Heard]] = {}
        self._inotify = Inotify(reactor, self._received)

    def listen(self, directory: str, heard: Heard) -> Callable[[], None]:
        """See :class:`Bell`."""
        try:
            wd = self._inotify.add(directory, _MASK)
        except OSError as error:
            self._log.warn(
                "{directory} is polled, because it cannot be watched: {error}",
                directory=directory,
                error=error,
            )
            return self._fallback.listen(directory, heard)
        # The same directory has the same descriptor, however often it is added.
        listeners = self._listeners.setdefault(wd, [])
        listeners.append(heard)

        def stop() -> None:
            if heard in listeners:
                listeners.remove(heard)
            if not listeners and self._listeners.get(wd) is listeners:
                del self._listeners[wd]
                self._inotify.remove(wd)

        return stop

    def close(self) -> None:
        """See :class:`Bell`."""
        self._listeners.clear()
        self._inotify.close()
        self._fallback.close()

    def _received(self, notices: Sequence[Notice]) -> None:
        watches = dict.fromkeys(notice.wd for notice in notices)
        if any(notice.mask & IN_Q_OVERFLOW for notice in notices):
            watches = dict.fromkeys(self._listeners)
        for wd in watches:
            for heard in tuple(self._listeners.get(wd, ())):
                with self._log.failuresHandled("who heard the bell failed"):
                    heard()
        for notice in notices:
            if notice.mask & IN_IGNORED:  # the directory is gone
                self._listeners.pop(notice.wd, None)


def make_bell(reactor: IWatchingReactor) -> Bell:
    """Make the best bell that the system allows."""
    polling = PollingBell(reactor)
    try:
        return InotifyBell(reactor, polling)
    except OSError as error:
        Logger().warn("Agents are polled, because inotify cannot be had: {error}", error=error)
        return polling
