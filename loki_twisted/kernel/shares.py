"""
Who may go on in this turn of the reactor, where many have much to do.

Each alone does little at a time; but all those that the same bell wakes, or the same commit, or who
ask at the same moment, would do it in one turn, and everybody else would wait for all of them.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Shares:
    """
    Shares out the turns of a reactor, first come first served.

    :param work: So much is begun in a turn, in any unit; what is begun is also done.
    :ivar clock: Of that reactor.
    """

    def __init__(self, clock: IReactorTime, work: float) -> None:
        self.clock = clock
        self._work = self._left = work
        self._waiting: deque[Deferred[None]] = deque()
        self._next: IDelayedCall | None = None

    @property
    def has_room(self) -> bool:
        """Whether who comes now may go on at once."""
        return self._left > 0 and not self._waiting

    def mine(self) -> Deferred[None]:
        """
        Wait for leave to do one piece of work.

        :returns: Fires at once if there is room in this turn. It may be cancelled.
        """
        if self.has_room:
            return succeed(None)
        done: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(done)
        return done

    def spend(self, work: float) -> None:
        """Take note of work that was done in this turn."""
        self._left -= work
        # What took no time, on a clock that stands for example, wants no new turn.
        if work and self._next is None:
            self._next = self.clock.callLater(0, self._begin)

    def _begin(self) -> None:
        self._next = None
        self._left = self._work
        while self._waiting and self._left > 0:
            self._waiting.popleft().callback(None)
        # Where some still wait there is no room, so somebody has spent it: there is a next turn.
