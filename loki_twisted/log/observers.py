"""Who is told what was committed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from loki_twisted.log.interface import Observer
from loki_twisted.model.blocks import Block


class Observers:
    """A list of functions that are all called, whatever one of them does."""

    _log = Logger()

    def __init__(self) -> None:
        self._observers: dict[object, Observer] = {}

    def add(self, observer: Observer) -> Callable[[], None]:
        """
        Call a function from the next round on.

        :returns: Call it, even in the middle of a round, and the function is not called again.
        """
        ticket = object()
        self._observers[ticket] = observer
        return lambda: void(self._observers.pop(ticket, None))

    def tell(self, blocks: Sequence[Block]) -> list[Deferred[None]]:
        """
        Call them all, in the order in which they came.

        :returns: What those gave who are not ready for more.
        """
        busy = []
        for ticket, observer in list(self._observers.items()):
            if ticket in self._observers:
                with self._log.failuresHandled("an observer of the log failed"):
                    answer = observer(blocks)
                    if answer is not None:
                        busy.append(answer)
        return busy


def void(_: object) -> None:
    """Make nothing of a value."""
