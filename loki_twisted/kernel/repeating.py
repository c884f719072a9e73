"""What is done again and again, whatever becomes of one time."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

_log = Logger()


def repeating(clock: IReactorTime, what: Callable[[], object], trouble: str) -> LoopingCall:
    """
    Make a call that is repeated for as long as it is not stopped.

    A plain ``LoopingCall`` ends for good when it fails once, and says so to nobody who would not
    ask. This one goes on. A failure is logged, once for as long as it is the same.

    :param what: Returns when it is done, nothing that has to be waited for.
    :param trouble: What the log says of a failure, in words.
    """
    last: str | None = None

    def once() -> None:
        nonlocal last
        try:
            what()
        except Exception as error:  # noqa: BLE001 (whatever it is, the next time may be better)
            reason = f"{type(error).__name__}: {error}"
            if reason != last:
                _log.failure("{trouble}", trouble=trouble)
            last = reason
        else:
            last = None

    call = LoopingCall(once)
    call.clock = clock
    return call
