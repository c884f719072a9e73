"""Waiting for the record of what is done already, but not for long."""

from __future__ import annotations

from typing import Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from loki_twisted.model.errors import StorageFailed

RECORD_SECONDS: Final = 2.0
"""How long an answer waits for the record of an order that was carried out at once."""

Value = TypeVar("Value")

_log: Final = Logger()


def soon(
    reactor: IReactorTime, done: Deferred[Value], seconds: float = RECORD_SECONDS
) -> Deferred[Value]:
    """
    Wait for something that goes on however long it takes.

    :returns: Fires as it does, or fails with :class:`StorageFailed` if it takes longer.
    """
    waiting: Deferred[Value] = Deferred()

    def give_up() -> None:
        waiting.errback(StorageFailed("The disk of the log takes long."))

    def over(result: Value | Failure) -> None:
        if call.active():
            call.cancel()
            waiting.callback(result)
        elif isinstance(result, Failure):
            _log.warn("What took long is not on record: {error}", error=result.getErrorMessage())

    call = reactor.callLater(seconds, give_up)
    done.addBoth(over)
    return waiting
