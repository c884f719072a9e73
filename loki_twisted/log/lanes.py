"""
Whose turn it is to read.

Questions stand in lanes, by how long one takes. Of the lanes in which any wait, that one is next
which has had the least time so far. So each lane has its share of the time whatever stands in the
others, and one whose questions are short hardly waits: a thousand of them are over before a scan of
the log comes to its end. Within a lane they come in the order in which they were asked; whoever
asks on, as scans do after each stretch, stands behind all others.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Final, Generic, TypeVar

from loki_twisted.model.filters import EVERY_KIND, EventFilter

Question = TypeVar("Question")

_LEAST_SECONDS: Final = 0.0001
"""What a question takes at least: to be handed to a thread, and its answer back."""


class Lane(Enum):
    """What kind of question it is."""

    SHORT = "short"
    """Some rows, found by an index: less than a millisecond."""
    PAGES = "pages"
    """As many events as it says: some milliseconds."""
    SCANS = "scans"
    """What has to be looked for among many other events."""


class _Queue(Generic[Question]):
    """
    A lane.

    :ivar seconds: How much time it has had since any was asked for, or forgone.
    :ivar under_way: How many of its questions are being answered.
    """

    __slots__ = ("seconds", "under_way", "waiting")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.under_way = 0
        self.waiting: deque[Question] = deque()

    @property
    def is_idle(self) -> bool:
        return not self.waiting and not self.under_way


class Lanes(Generic[Question]):
    """All lanes, empty at first."""

    def __init__(self) -> None:
        self._queues: dict[Lane, _Queue[Question]] = {lane: _Queue() for lane in Lane}

    def add(self, lane: Lane, question: Question) -> None:
        """Have a question wait in a lane."""
        queue = self._queues[lane]
        if queue.is_idle:
            busy = [each.seconds for each in self._queues.values() if not each.is_idle]
            if busy:
                # Time in which nothing was asked in it is not owed to it,
                queue.seconds = max(queue.seconds, min(busy))
            else:
                # and none owes anything for time that nobody else wanted.
                for each in self._queues.values():
                    each.seconds = 0.0
        queue.waiting.append(question)

    def take(self) -> tuple[Lane, Question] | None:
        """Give the next question, and the lane that it stood in, or None if none waits."""
        lanes = [lane for lane, queue in self._queues.items() if queue.waiting]
        if not lanes:
            return None
        lane = min(lanes, key=lambda each: self._queues[each].seconds)
        self._queues[lane].under_way += 1
        return lane, self._queues[lane].waiting.popleft()

    def done(self, lane: Lane, seconds: float) -> None:
        """
        Note that a question was answered.

        :param lane: The one that it stood in.
        :param seconds: How long a thread was at it.
        """
        self._queues[lane].under_way -= 1
        self._queues[lane].seconds += max(seconds, _LEAST_SECONDS)


def lane_of(wanted: EventFilter, *, is_short: bool) -> Lane:
    """Choose a lane for a read of events."""
    if wanted.mask != EVERY_KIND:
        return Lane.SCANS
    return Lane.SHORT if is_short else Lane.PAGES
