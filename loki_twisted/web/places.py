"""Places for what there may be only some of at once, and a queue of those who wait for one."""

from __future__ import annotations

from collections import deque
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from loki_twisted.model.errors import Unavailable

WAIT_SECONDS: Final = 10.0
"""So long somebody waits for a place."""


class Place:
    """A place that is taken, until it is left."""

    def __init__(self, places: Places) -> None:
        self._places: Places | None = places

    def leave(self) -> None:
        """Give it to who waits longest, or to nobody. Doing so again does nothing."""
        places, self._places = self._places, None
        if places is not None:
            places.left()


class Places:
    """
    All of them.

    :param clock: Measures how long one waits.
    :param most: How many there are.
    :param what: They are for, in words: the subject of a sentence.
    :ivar taken: How many are taken.
    """

    def __init__(self, clock: IReactorTime, most: int, what: str) -> None:
        self.taken = 0
        self._clock = clock
        self._most = most
        self._what = what
        self._queue: deque[Deferred[Place]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._queue)

    def take(self) -> Place | None:
        """Take one, if there is one."""
        if self.taken >= self._most:
            return None
        self.taken += 1
        return Place(self)

    async def wait(self) -> Place:
        """
        Take one, now or as soon as it is one's turn.

        :raises Unavailable: if that takes too long, or there are to be no more.
        """
        place = self.take()
        if place is not None:
            return place
        turn: Deferred[Place] = Deferred(self._queue.remove)
        self._queue.append(turn)
        timer = self._clock.callLater(WAIT_SECONDS, turn.cancel)
        try:
            return await turn
        except CancelledError:
            raise Unavailable(f"Too many {self._what}.") from None
        finally:
            if timer.active():
                timer.cancel()

    def left(self) -> None:
        """Pass on a place that was left."""
        if self._queue:
            self._queue.popleft().callback(Place(self))
        else:
            self.taken -= 1

    def dismiss(self) -> None:
        """Send all away who wait."""
        while self._queue:
            self._queue[0].cancel()
