"""
Running one coroutine on the reactor as a whole program.

The first SIGINT, SIGTERM or SIGHUP cancels what the coroutine waits for, so that its
``finally`` clauses end things in order; a second one, or too long an end, ends
the process at once. This is what ``twisted.internet.task.react`` does not do. A program that
does something else when it is hung up says what: see :mod:`~loki_twisted.command.hangup`.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from loki_twisted.command.hangup import Hangup

Main = Callable[[Any], Coroutine[Deferred[Any], Any, int]]
"""A program: takes the reactor, returns its exit code."""

LONGEST_END_SECONDS: Final = 30.0
"""How long a program may take to end after the first signal, beyond what it grants others."""

UNEXPECTED_EXIT: Final = 70
"""The exit code after an error that nobody handled; ``EX_SOFTWARE`` of sysexits.h."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_log: Final = Logger()


def use_monotonic_clock(reactor: Any) -> None:
    """
    Make the reactor's delayed calls independent of the wall clock.

    Twisted counts them by ``time.time``, so that a clock that is set back stops them
    (https://github.com/twisted/twisted/issues/2424). To be called before any is made.

    :raises RuntimeError: if there is a delayed call already, which would never come due.
    """
    if reactor.getDelayedCalls():
        raise RuntimeError("the reactor's clock can only be changed before the first delayed call")
    reactor.seconds = time.monotonic


def set_what_is_there_aside() -> None:
    """
    Have the garbage collector pass over all that there is by now, and is no garbage.

    To be called when a program has started. The collector looks at everything now and again, in
    whatever thread it is that makes objects just then, and all others wait: 20 to 50 ms with what
    a server has from its start on, and next to nothing without.
    """
    gc.collect()
    gc.freeze()


def set_imports_aside() -> None:
    """
    Have the garbage collector pass over all modules, routes and declarations.

    To be called when a program begins to read what it needs, as :func:`set_what_is_there_aside`
    when it has started. What little of it is garbage is not looked for: that would take a sixth
    of the time that a server takes to start.
    """
    gc.freeze()


@attrs.define
class _Run:
    """
    One program on its way.

    :ivar grace_seconds: How long it grants others when it ends.
    :ivar hung_up: What it does when it is hung up; None to end.
    :ivar tells_signal: Whether the exit code is to say which signal ended it.
    :ivar cut_short: What is called before the process is ended at once.
    :ivar told_to_end: The number of the signal that has come, or 0.
    """

    reactor: Any
    grace_seconds: float = 0.0
    hung_up: Callable[[], None] | None = None
    tells_signal: bool = False
    cut_short: Callable[[], None] | None = None
    exit_code: int = 0
    told_to_end: int = 0
    result: Deferred[int] | None = None

    def start(self, main: Main) -> None:
        for number in _SIGNALS:
            # A hangup that was to be ignored (nohup) is ignored.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self.signalled)
        if self.hung_up is not None:
            Hangup(self.reactor, self.hung_up).take()
        self.result = Deferred.fromCoroutine(main(self.reactor))
        self.result.addCallbacks(self._done, self._failed)
        self.result.addBoth(lambda _: self.reactor.stop())

    def signalled(self, number: int, _frame: FrameType | None) -> None:
        if self.told_to_end:
            if self.cut_short is not None:
                self.cut_short()
            os._exit(128 + number)
        self.told_to_end = number
        self.reactor.callFromThread(self._end)

    def _end(self) -> None:
        give_up_later(self.reactor, self.grace_seconds, self.cut_short)
        if self.result is not None:
            self.result.cancel()

    def _done(self, exit_code: int) -> None:
        self.exit_code = exit_code

    def _failed(self, failure: Failure) -> None:
        if self.told_to_end and failure.check(CancelledError):
            self.exit_code = 128 + self.told_to_end if self.tells_signal else 0
            return
        self.exit_code = UNEXPECTED_EXIT
        _log.failure("This should not have happened", failure)
        sys.stderr.flush()


def give_up_later(
    reactor: Any, grace_seconds: float, cut_short: Callable[[], None] | None = None
) -> None:
    """
    Have this process ended if it takes too long to end by itself.

    :param cut_short: Called before that.
    """
    longest = grace_seconds + LONGEST_END_SECONDS

    def give_up() -> None:
        if cut_short is not None:
            cut_short()
        _log.critical("Not everything had ended after {s:g} s", s=longest)
        os._exit(1)

    reactor.callLater(longest, give_up)


def end_as_ours_do(reactor: Any, grace_seconds: float, hung_up: Callable[[], None]) -> None:
    """
    Have a reactor that somebody else runs (twistd) take signals as :func:`run` does.

    To be called when it runs: it sets its own handlers at its start. The first signal is left to
    those.
    """
    told: list[int] = []

    def take(number: int, frame: FrameType | None) -> None:
        if told:
            os._exit(128 + number)
        told.append(number)
        reactor.callFromThread(give_up_later, reactor, grace_seconds)
        before[number](number, frame)

    before: dict[int, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        if callable(handler):
            before[number] = handler
            signal.signal(number, take)
    Hangup(reactor, hung_up).take()


def run(
    main: Main,
    *,
    grace_seconds: float = 0.0,
    hung_up: Callable[[], None] | None = None,
    tells_signal: bool = False,
    cut_short: Callable[[], None] | None = None,
) -> int:
    """
    Run a program on the global reactor, to its end.

    :param grace_seconds: How long it grants others when it ends.
    :param hung_up: What it does when it is hung up and still has its terminal, or never had one;
        None to end.
    :param tells_signal: Whether to return 128 and the number of the signal, as shells do, if one
        ended it. It is no failure of a program that runs until then.
    :param cut_short: Called before the process is ended at once, by the handler of a signal. It
        has to be short, and must not fail.
    :returns: What it returned; 0 if it was ended by a signal and let that happen; 70 after
        an error that it did not handle, which is logged.
    """
    from twisted.internet import reactor

    use_monotonic_clock(reactor)
    program = _Run(reactor, grace_seconds, hung_up, tells_signal, cut_short)
    reactor.callWhenRunning(program.start, main)
    reactor.run()
    return program.exit_code
