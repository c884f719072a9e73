"""Noticing that nobody reads what is printed any more, also while there is nothing to print."""

from __future__ import annotations

import os
import stat
from collections.abc import Coroutine
from typing import Any, TextIO

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from loki_twisted.command.exits import Exit


@implementer(IReadDescriptor)
class Audience:
    """
    Whoever reads the output of this program.

    Of a pipe that is closed at its other end the reactor hears at once.

    :param output: What this program prints to.
    """

    def __init__(self, reactor: Any, output: TextIO) -> None:
        self._reactor = reactor
        self._descriptor = _pipe_of(output)
        self._talk: Deferred[int] | None = None
        self._has_left = False

    async def listens_to(self, talk: Coroutine[Any, Any, int]) -> int:
        """
        Let something be said, to its end or until nobody listens.

        :returns: The exit code.
        """
        self._talk = Deferred.fromCoroutine(talk)
        if self._descriptor is not None:
            self._reactor.addReader(self)
        try:
            return await self._talk
        except CancelledError:
            if self._has_left:
                return Exit.UNHEARD
            raise
        finally:
            self._reactor.removeReader(self)

    def fileno(self) -> int:
        """What is watched."""
        return -1 if self._descriptor is None else self._descriptor

    def doRead(self) -> None:  # noqa: N802  # Twisted's name
        """Nothing can be read from it: it has an end."""
        self._leave()

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002, N802  # Twisted's
        """It is closed at its other end."""
        self._leave()

    def logPrefix(self) -> str:  # noqa: N802  # Twisted's name
        """Name it in logs."""
        return "audience"

    def _leave(self) -> None:
        self._reactor.removeReader(self)
        self._has_left = True
        if self._talk is not None:
            self._talk.cancel()


def _pipe_of(output: TextIO) -> int | None:
    """Give the descriptor of an output that is a pipe."""
    try:
        descriptor = output.fileno()
        return descriptor if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else None
    except (OSError, ValueError):
        return None
