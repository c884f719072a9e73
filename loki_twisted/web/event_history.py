"""The history: turns what is asked for into a stretch of the log, and begins to read it."""

from __future__ import annotations

from typing import Final

import attrs
import msgspec

from loki_twisted.log.interface import IEventLog
from loki_twisted.model.errors import EventNotHeld, Unavailable
from loki_twisted.model.filters import EventFilter
from loki_twisted.model.identifiers import EARLIEST, ORIGIN, maybe_event_id
from loki_twisted.model.wire import Shape
from loki_twisted.web.event_lists import EventListBody, EventLists
from loki_twisted.web.event_pages import EventPages, Overtaken
from loki_twisted.web.long_answer import LongAnswer
from loki_twisted.web.places import Place

BYTES_AT_ONCE: Final = 65_536
"""
Who has so many and is to have more is sent them while they are read.

With what one more read gives it is a quarter of a megabyte: what an answer may take of memory.
"""

_ATTEMPTS: Final = 3


class _Crowded(Exception):
    """An answer is long, and there is no place for it."""


@attrs.frozen(slots=True)
class Asked:
    """
    What a client asks for.

    :ivar limit: How many events at most.
    :ivar after: The id of an event, ``EARLIEST`` or ``ORIGIN``, or None for the last ones.
    :ivar before: The id of an event, or None for the end.
    :ivar since: A time, in milliseconds since the Unix epoch, instead of ``after``.
    """

    wanted: EventFilter
    limit: int
    after: str | None
    before: str | None
    since: int | None = None


class EncodedHistory(Shape, frozen=True, kw_only=True):
    """An ``EventHistory`` whose events are as the log holds them: encoded once, long ago."""

    events: list[msgspec.Raw]
    count: int
    complete_from: int


class History:
    """
    Answers what is asked of the past.

    :param lists: The long answers.
    """

    def __init__(self, log: IEventLog, lists: EventLists) -> None:
        self._log = log
        self._lists = lists

    async def answer(self, asked: Asked) -> EncodedHistory | LongAnswer:
        """
        Read what is asked for, or begin to.

        :raises EventNotHeld: if an id is none that the log holds.
        :raises Unavailable: if events are dropped faster than they are read, the server shuts
            down meanwhile, or there are too many long answers for too long.
        """
        try:
            return await self._attempt(asked, None)
        except _Crowded:
            # What was read is not held while it waits for its turn.
            place = await self._lists.wait()
        answer = None
        try:
            answer = await self._attempt(asked, place)
        finally:
            if not isinstance(answer, LongAnswer):
                place.leave()
        return answer

    async def _attempt(self, asked: Asked, place: Place | None) -> EncodedHistory | LongAnswer:
        complete_from = 0
        for _ in range(_ATTEMPTS):
            try:
                return await self._begin(asked, complete_from, place)
            except Overtaken as overtaken:
                # Nothing was sent, so it may begin anew: with other events, or knowing by now
                # that the log does not hold the id any longer.
                complete_from = overtaken.complete_from
        raise Unavailable("Events are dropped faster than they can be read.")

    async def _begin(
        self, asked: Asked, complete_from: int, place: Place | None
    ) -> EncodedHistory | LongAnswer:
        log = self._log
        complete_from = max(complete_from, log.bounds.complete_from)
        start, end = await self._positions(asked)
        if start is None:
            start = await log.behind_last(end, asked.wanted, asked.limit)
        pages = EventPages(
            log,
            asked.wanted,
            after=start,
            before=end,
            limit=asked.limit,
            complete_from=complete_from,
        )
        events: list[bytes] = []
        while not pages.is_over:
            if sum(map(len, events)) > BYTES_AT_ONCE:
                place = place or self._lists.place()
                if place is None:
                    raise _Crowded
                return LongAnswer(self._lists, EventListBody(pages, events), place)
            self._lists.check()
            events += await pages.some()
        return EncodedHistory(
            events=[msgspec.Raw(event) for event in events],
            count=len(events),
            complete_from=pages.complete_from,
        )

    async def _positions(self, asked: Asked) -> tuple[int | None, int]:
        """Turn ids into numbers: what is wanted lies behind the first, and before the second."""
        start, end = None, self._log.bounds.newest + 1
        unknown = []
        if asked.after is not None:
            start = (
                0 if asked.after in (EARLIEST, ORIGIN) else await self._maybe_number(asked.after)
            )
            unknown += ["after"] if start is None else []
        if asked.since is not None:
            start = await self._log.last_before(asked.since)
        if asked.before is not None:
            number = await self._maybe_number(asked.before)
            unknown += ["before"] if number is None else []
            end = number or end
        if unknown:
            raise await self._not_held(unknown)
        return start, end

    async def _maybe_number(self, name: str) -> int | None:
        """The number of an event that the log holds under exactly this id."""
        parts = maybe_event_id(name)
        if parts is None:
            return None
        seq, milliseconds = parts
        return seq if await self._log.time_of(seq) == milliseconds else None

    async def _not_held(self, names: list[str]) -> EventNotHeld:
        faults = [{"path": name, "message": "is no event that the log holds"} for name in names]
        ends = await self._log.ends()
        sentence = f"{names[0]}: {faults[0]['message']}"
        return EventNotHeld(sentence, {"errors": faults, **attrs.asdict(ends)})
