"""Waiting for something that may take long, but not for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

Value = TypeVar("Value")


def at_most(
    clock: IReactorTime,
    seconds: float,
    done: Deferred[Value],
    too_late: Callable[[], Exception],
    at_last: Callable[[Value | Failure], object],
) -> Deferred[Value]:
    """
    Wait for something that goes on however long it takes.

    :param too_late: Makes the error of who has waited for so many seconds.
    :param at_last: Told what becomes of it after that.
    :returns: Fires as `done` does, or fails with that error. Cancelling it cancels nothing.
    """
    waiting: Deferred[Value] = Deferred()

    def give_up() -> None:
        waiting.errback(too_late())

    def over(result: Value | Failure) -> None:
        if call.active():
            call.cancel()
            waiting.callback(result)
        else:
            at_last(result)

    call = clock.callLater(seconds, give_up)
    done.addBoth(over)
    return waiting
