"""
A descriptor that stands for a process, as a reader of the reactor.

It says when the process has ended, whether or not that is a child of ours, and signals this
process and never another that got its number (Linux 5.3; Python must have been built there too).
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger
from twisted.python.failure import Failure


class Pidfd(FileDescriptor):
    """
    Watches one process from the moment it is made.

    A child that has ended is still to be reaped by its parent.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorFDSet, pid: int, ended: Callable[[], None]) -> None:
        """
        Open the descriptor.

        That ``pid`` still is the process that was meant can be checked after this, by what
        ``/proc`` says of the number: it cannot pass to another while the process is there.

        :param ended: Called once, in a later turn of the reactor, when the process has ended;
            not after :meth:`close`.
        :raises ProcessLookupError: if there is no such process.
        :raises OSError: if the system has no such descriptors (``ENOSYS``), or no more.
        """
        super().__init__(reactor)
        self._fd = -1
        self._ended = ended
        if not hasattr(os, "pidfd_open"):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        self._fd = os.pidfd_open(pid)
        self.connected = 1
        self.startReading()

    def fileno(self) -> int:
        """The descriptor, or -1 once it is closed."""
        return self._fd

    def send(self, number: int) -> None:
        """Send the process a signal. Does nothing if it has ended, or after :meth:`close`."""
        if self._fd < 0:
            return
        try:
            signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError:
            self._log.debug("A signal {number} came too late.", number=number)

    def close(self) -> None:
        """Watch it no longer. May be repeated."""
        self.connectionLost(Failure(ConnectionDone()))

    def doRead(self) -> None:  # noqa: N802  # Twisted's name
        """Readable means ended, for good."""
        self.close()
        with self._log.failuresHandled("what waited for the end of a process failed"):
            self._ended()

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802  # Twisted's name
        """Close the descriptor; the reactor calls it when it goes away."""
        if self._fd < 0:
            return
        super().connectionLost(reason)
        os.close(self._fd)
        self._fd = -1
