"""Waiting for the record of what is done already, but not for long."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from loki_twisted.kernel.patience import at_most
from loki_twisted.model.errors import StorageFailed
from loki_twisted.sessions.record import Record

RECORD_SECONDS: Final = 2.0
"""How long an answer waits for the record of an order that was carried out at once."""

START_SECONDS: Final = 10.0
"""How long who starts a session waits until it is on record."""

_TAKES_LONG: Final = "The disk of the log takes long."
TOO_LATE: Final = "The disk of the log took so long that nobody waited for its start any more."

Value = TypeVar("Value")

_log: Final = Logger()


def soon(
    reactor: IReactorTime, done: Deferred[Value], seconds: float = RECORD_SECONDS
) -> Deferred[Value]:
    """
    Wait for something that goes on however long it takes.

    :returns: Fires as it does, or fails with :class:`StorageFailed` if it takes longer.
    """

    def at_last(result: Value | Failure) -> None:
        if isinstance(result, Failure):
            _log.warn("What took long is not on record: {error}", error=result.getErrorMessage())

    return at_most(reactor, seconds, done, lambda: StorageFailed(_TAKES_LONG), at_last)


def at_last(record: Record, act: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
    """Do something as soon as a change of a session has come to the disk, if it does."""

    def stored() -> None:
        stop()
        done = Deferred.fromCoroutine(act())
        done.addErrback(lambda failure: _log.failure("{id}", failure, id=record.id))

    stop = record.listen(stored)
