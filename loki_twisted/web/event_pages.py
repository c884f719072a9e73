"""
A stretch of the log, a piece at a time.

It may be tens of megabytes. A piece costs the reactor a millisecond, however much there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from loki_twisted.log.interface import SHORT_BYTES, IEventLog, Page
from loki_twisted.model.blocks import Block
from loki_twisted.model.events import json_of_frame
from loki_twisted.model.filters import EventFilter

BYTES_PER_READ: Final = 131_072
"""What is fetched at once, but for the rest of a block."""

_TYPICAL_BYTES: Final = 512
_GROWTH: Final = 4
_SPARE_SHARE: Final = 16


class Overtaken(Exception):
    """
    Events that were to come next may have been dropped before they were read.

    :ivar complete_from: From this number on the log lacked nothing then.
    """

    def __init__(self, complete_from: int) -> None:
        super().__init__(f"nothing is missing only from {complete_from} on")
        self.complete_from = complete_from


class EventPages:
    """
    A stretch of the log, read a piece at a time, and hardly more of it than is given.

    How much is fetched for an event is learned on the way: the log holds blocks, and there may
    be much else in one beside what is wanted.

    Where it begins among what running sessions keep of their past it gives what there is. Once
    it is past that, nothing is missing any more, or else it fails.

    :param after: Begin behind this number.
    :param before: End before this one.
    :param limit: How many events at most.
    :param complete_from: What this was in the log's bounds before it was asked for ``after``.
    :ivar count: How many events were given so far.
    :ivar complete_from: From this number on nothing is missing in what was given.
    """

    def __init__(
        self,
        log: IEventLog,
        wanted: EventFilter,
        *,
        after: int,
        before: int,
        limit: int,
        complete_from: int = 1,
    ) -> None:
        self.count = 0
        self.complete_from = complete_from
        self._log = log
        self._wanted = wanted
        self._reached = after
        self._before = before
        self._limit = limit
        self._bytes = min(SHORT_BYTES, limit * _TYPICAL_BYTES)
        self._fetched = 0
        self._gapless = complete_from <= after + 1

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.count >= self._limit or self._reached >= self._before - 1

    async def some(self) -> Sequence[bytes]:
        """
        Read on.

        :returns: The next events, each as JSON; there may be none although more will come.
        :raises Overtaken: if there is a gap between what was given and what the log still holds.
        """
        missing = self._limit - self.count
        page = await self._log.read(self._reached, self._wanted, self._bytes, self._before)
        self._look_for_gap(page)
        events = self._events_of(page)[:missing]
        self.count += len(events)
        self._fetched += sum(_size_behind(block, self._reached) for block in page.blocks)
        if self.count:
            missing -= len(events)
            needed = (missing + missing // _SPARE_SHARE + 1) * self._fetched // self.count
            self._bytes = min(BYTES_PER_READ, self._bytes * _GROWTH, needed)
        # A log that has nothing more than this is not asked again.
        self._reached = page.reached if page.reached > self._reached else self._before
        return events

    def _look_for_gap(self, page: Page) -> None:
        if page.complete_from > self._reached + 1:
            if self._gapless:
                raise Overtaken(page.complete_from)
            self.complete_from = page.complete_from
        self._gapless = self._gapless or page.complete_from <= page.reached + 1

    def _events_of(self, page: Page) -> list[bytes]:
        return [
            json_of_frame(block.frame(index))
            for block in page.blocks
            for index in block.wanted(self._wanted, self._reached)
            if block.first_seq + index < self._before
        ]


def _size_behind(block: Block, after: int) -> int:
    """How many bytes the events of a block have whose number is above ``after``."""
    passed = after + 1 - block.first_seq
    return len(block.body) - (block.ends[passed - 1] if passed > 0 else 0)
