"""
Watching the reactor for turns that take too long, and finding out where they were.

What the reactor waits with is replaced by something that notes the time when it begins and ends to
wait: so each turn is measured exactly, for half a microsecond, and how much of it was at work: the
rest is the machine's, which did something else, or a disk's. A thread of its own looks now and
again whether a turn is overdue, and if so at the stack of the reactor's thread. So nobody who works
has to do anything for it.

What reactors wait with is private to them, and looked for in one place. One in which it is not
found is not watched.
"""

from __future__ import annotations

import select
import sys
import threading
from collections.abc import Callable, Iterator
from time import thread_time
from types import FrameType
from typing import Any, Final

from twisted.logger import Logger

from loki_twisted.operation.stalls import MOST_SECONDS, Stalls

LOOK_SECONDS: Final = 0.025
"""How often the thread looks."""

HANG_SECONDS: Final = 5.0
"""A turn that takes so long is told before it is over: it may never be."""

_FRAMES: Final = 8
_UNSEEN: Final = "somewhere: it was over before it was looked at"
_PASSED_ON: Final = ("register", "modify", "unregister", "close", "fileno")

_log: Final = Logger()


class _Waiting:
    """
    Waits as the inner one does, and notes when.

    :ivar began: When the turn began that is under way; None while the reactor waits.
    """

    def __init__(
        self,
        inner: Any,
        clock: Callable[[], float],
        on_long: Callable[[float, float, float], None],
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._on_long = on_long
        self.began: float | None = clock()
        self._spent = thread_time()
        for name in _PASSED_ON:
            if hasattr(inner, name):
                setattr(self, name, getattr(inner, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def poll(self, *arguments: Any) -> Any:
        """Wait, as ``select.epoll`` does."""
        self._end_turn()
        try:
            return self._inner.poll(*arguments)
        finally:
            self._begin_turn()

    def select(self, *arguments: Any) -> Any:
        """Wait, as a selector of asyncio does."""
        self._end_turn()
        try:
            return self._inner.select(*arguments)
        finally:
            self._begin_turn()

    def _begin_turn(self) -> None:
        self._spent = thread_time()
        self.began = self._clock()

    def _end_turn(self) -> None:
        began = self.began
        if began is not None:
            self.began = None
            seconds = self._clock() - began
            if seconds > MOST_SECONDS:
                self._on_long(began, seconds, thread_time() - self._spent)


class StallMonitor:
    """
    Watches the reactor of the thread that makes it.

    :param stalls: Counts what is found.
    """

    def __init__(self, reactor: Any, stalls: Stalls) -> None:
        self._clock: Callable[[], float] = reactor.seconds
        self._stalls = stalls
        self._place = _place_of_waiting(reactor)
        self._watched = threading.get_ident()
        self._is_over = False
        self._seen: tuple[float, str] | None = None
        self._waiting: _Waiting | None = None

    def start(self) -> bool:
        """Begin, if the reactor can be watched; says whether that is so."""
        if self._place is None:
            return False
        owner, name = self._place
        self._waiting = _Waiting(getattr(owner, name), self._clock, self._was_long)
        setattr(owner, name, self._waiting)
        threading.Thread(target=self._look, name="stall-monitor", daemon=True).start()
        return True

    def stop(self) -> None:
        """End. May be repeated."""
        self._is_over = True
        if self._waiting is not None and self._place is not None:
            owner, name = self._place
            setattr(owner, name, self._waiting._inner)  # noqa: SLF001  # of the same module
            self._waiting = None

    # In the reactor's thread

    def _was_long(self, began: float, seconds: float, at_work: float) -> None:
        untold = self._stalls.note(seconds, began + seconds)
        if untold is None:
            return
        seen = self._seen
        _log.warn(
            "The reactor was held for {milliseconds} ms, {at_work} ms of them at work, at {where} "
            "({untold} more since the last was told)",
            milliseconds=round(seconds * 1000),
            at_work=round(at_work * 1000),
            where=seen[1] if seen is not None and seen[0] == began else _UNSEEN,
            untold=untold,
        )

    # In the thread that looks

    def _look(self) -> None:
        told: float | None = None
        while not self._is_over:
            # Costs a third of waiting for an event, and bears a wall clock that somebody fakes.
            select.select((), (), (), LOOK_SECONDS)
            waiting = self._waiting
            began = None if waiting is None else waiting.began
            if began is None or waiting is None:
                continue
            seconds = self._clock() - began
            if seconds > MOST_SECONDS and (self._seen is None or self._seen[0] != began):
                where = where_is(self._watched)
                if waiting.began == began:
                    self._seen = (began, where)
            if seconds > HANG_SECONDS and told != began:
                told = began
                _log.critical(
                    "The reactor has been held for {seconds:.0f} s, at {where}",
                    seconds=seconds,
                    where=where_is(self._watched),
                )


def where_is(thread: int) -> str:
    """Say where a thread is: its innermost functions, each with its module and line."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001  # the only way to see a thread
    return " < ".join(_functions(frame))


def _functions(frame: FrameType | None) -> Iterator[str]:
    for _ in range(_FRAMES):
        if frame is None:
            return
        module = frame.f_globals.get("__name__", "?")
        yield f"{module}.{frame.f_code.co_qualname}:{frame.f_lineno}"
        frame = frame.f_back


def _place_of_waiting(reactor: Any) -> tuple[Any, str] | None:
    """Find what a reactor waits with: the object and attribute that hold it."""
    if hasattr(getattr(reactor, "_poller", None), "poll"):
        return reactor, "_poller"
    loop = getattr(reactor, "_asyncioEventloop", None)
    if hasattr(getattr(loop, "_selector", None), "select"):
        return loop, "_selector"
    return None
