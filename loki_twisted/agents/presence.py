"""Whether the keeper of an agent is still there."""

from __future__ import annotations

import os
from typing import Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.logger import Logger

from loki_twisted.agents.files import AgentFiles, ProcessIdentity
from loki_twisted.agents.reactors import IWatchingReactor
from loki_twisted.kernel.pidfd import Pidfd
from loki_twisted.kernel.repeating import repeating

POLL_SECONDS: Final = 0.1

_log = Logger()


class Presence(Protocol):
    """Sees a keeper go."""

    def gone(self) -> Deferred[None]:
        """
        Wait for the end of the keeper.

        :returns: Fires in a later turn of the reactor, or at once if it is gone already; never
            after :meth:`close`.
        """

    def send(self, number: int) -> None:
        """Signal the keeper, if that can be done without hitting another process."""

    def close(self) -> None:
        """Watch it no longer."""


class OneTimeEvent:
    """Those who wait for something that happens once."""

    def __init__(self) -> None:
        self._has_happened = False
        self._waiting: list[Deferred[None]] = []

    def wait(self) -> Deferred[None]:
        """Wait for it; the Deferred has fired already if it has happened."""
        done: Deferred[None] = Deferred()
        if self._has_happened:
            done.callback(None)
        else:
            self._waiting.append(done)
        return done

    def happen(self) -> None:
        """Tell all who wait."""
        self._has_happened = True
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(None)


class PidfdPresence:
    """A :class:`Presence` by the kernel's descriptor for a process."""

    def __init__(self, reactor: IReactorFDSet, pid: int) -> None:
        """
        Watch a process.

        :raises OSError: if it is not there, or there are no such descriptors.
        """
        self._end = OneTimeEvent()
        self._pidfd = Pidfd(reactor, pid, self._end.happen)

    def gone(self) -> Deferred[None]:
        """See :class:`Presence`."""
        return self._end.wait()

    def send(self, number: int) -> None:
        """See :class:`Presence`."""
        self._pidfd.send(number)

    def close(self) -> None:
        """See :class:`Presence`."""
        self._pidfd.close()


class LockPresence:
    """A :class:`Presence` by the lock that a keeper holds, which is tried now and then."""

    def __init__(self, clock: IReactorTime, files: AgentFiles) -> None:
        self._files = files
        self._end = OneTimeEvent()
        self._tries = repeating(clock, self._try, "It could not be seen whether a keeper is there")
        self._tries.start(POLL_SECONDS, now=False)

    def gone(self) -> Deferred[None]:
        """See :class:`Presence`."""
        return self._end.wait()

    def send(self, number: int) -> None:
        """See :class:`Presence`."""
        _log.debug(
            "Signal {number} is not sent, because the keeper in {path} is known by its lock alone",
            number=number,
            path=self._files.directory,
        )

    def close(self) -> None:
        """See :class:`Presence`."""
        if self._tries.running:
            self._tries.stop()

    def _try(self) -> None:
        try:
            lock = self._files.lock()
        except FileNotFoundError:  # Without its directory it can be of no use any more.
            lock = -1
        if lock is None:
            return
        if lock >= 0:
            os.close(lock)
        self.close()
        self._end.happen()


def watch_stranger(
    reactor: IWatchingReactor, files: AgentFiles, keeper: ProcessIdentity | None
) -> Presence:
    """
    Watch a keeper that another server started.

    :param keeper: Which process it is, or was, in this boot of the machine; None if unknown.
    """
    if keeper is not None:
        try:
            presence = PidfdPresence(reactor, keeper.pid)
        except OSError:
            return LockPresence(reactor, files)
        if keeper.is_there:
            return presence
        presence.close()  # The number is another's now.
    return LockPresence(reactor, files)
