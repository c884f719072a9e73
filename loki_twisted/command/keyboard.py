"""Lines that are typed, without blocking the reactor."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

_MOST_BYTES: Final = 4096  # of one line, as the terminal gives it


@implementer(IReadDescriptor)
class Keyboard:
    """
    Reads a terminal line by line.

    ``twisted.internet.stdio`` would switch the terminal to non-blocking, and with it the
    standard output of every program on it. It is not needed: a terminal that is ready gives
    one line without blocking.

    :param descriptor: Of the terminal.
    """

    def __init__(self, reactor: Any, descriptor: int) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._wanted: Deferred[str] | None = None

    def line(self) -> Deferred[str]:
        """
        Wait for the next line; at most one is waited for at a time.

        :returns: The line without its end; never fires once the terminal is at its end. Cancel
            it to read no more.
        """
        self._wanted = Deferred(lambda _: self._stop())
        self._reactor.addReader(self)
        return self._wanted

    def fileno(self) -> int:
        """What is read."""
        return self._descriptor

    def doRead(self) -> None:  # noqa: N802  # Twisted's name
        """Take what was typed."""
        try:
            data = os.read(self._descriptor, _MOST_BYTES)
        except OSError:
            data = b""  # the terminal is gone
        self._stop()
        if data and self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            wanted.callback(data.decode("utf-8", "replace").rstrip("\r\n"))

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002, N802  # Twisted's
        """The reactor gives it up."""
        self._stop()

    def logPrefix(self) -> str:  # noqa: N802  # Twisted's name
        """Name it in logs."""
        return "keyboard"

    def _stop(self) -> None:
        self._reactor.removeReader(self)


def maybe_keyboard(reactor: Any, descriptor: int = 0) -> Callable[[], Deferred[str]] | None:
    """
    Find the keyboard.

    :returns: What reads the next line; None if standard input is no terminal.
    """
    try:
        is_terminal = os.isatty(descriptor)
    except OSError:
        return None
    return Keyboard(reactor, descriptor).line if is_terminal else None
