"""
How a stream begins.

Each is told its place first, so that a client that is cut off before its first event comes
back to where it was. That is never a place behind an event that it is still to get.
"""

from __future__ import annotations

import attrs

from loki_twisted.model.filters import EventFilter
from loki_twisted.model.identifiers import EARLIEST, ORIGIN, event_id
from loki_twisted.stream.host import Host
from loki_twisted.stream.position import (
    Behind,
    LastEvents,
    ResetReason,
    Start,
    number_in,
    place_before,
    resumption,
)


@attrs.frozen(slots=True)
class Beginning:
    """
    Where a stream begins, and what its client is told of it.

    :ivar cursor: Number of the last event that the client is taken to have.
    :ivar place: What the client is to come back with: the id of that event;
        :data:`~loki_twisted.model.identifiers.ORIGIN` before the first that ever was;
        :data:`~loki_twisted.model.identifiers.EARLIEST` where that event is not there.
    :ivar is_gapless: Whether nothing may be missing behind the cursor.
    :ivar history_end: Number of the last event that belongs to the history that was asked for;
        None if none was.
    :ivar reset: Why it is not where the client wants to be; None if it is.
    :ivar asked: The id that the client came with, for that.
    """

    cursor: int
    place: str
    is_gapless: bool = True
    history_end: int | None = None
    reset: ResetReason | None = None
    asked: str | None = None


async def beginning_of(start: Start, wanted: EventFilter, host: Host) -> Beginning:
    """
    Find out where a stream begins.

    What is from now on is counted from the call, however long it takes.
    """
    if isinstance(start, Behind):
        return await _behind(start.asked, host)
    position = host.position
    if isinstance(start, LastEvents):
        cursor = await host.log.behind_last(position + 1, wanted, start.count)
        place = await _place_behind(cursor, host)
        return Beginning(
            cursor,
            place or place_before(host.log.bounds),
            is_gapless=False,
            history_end=position,
        )
    place = await _place_behind(position, host)
    if place is None and position:
        # It was overtaken before it was known where it is.
        return Beginning(position, EARLIEST, is_gapless=False, reset=ResetReason.EXPIRED)
    return Beginning(position, place or ORIGIN)


async def oldest_left(start: Start, host: Host) -> str | None:
    """
    Look ahead whether a stream cannot go on where its client is.

    :returns: The id of the oldest event that there is, if so. None if it goes on there, if there is
        no event at all, or if that cannot be read now: the stream itself tells it again.
    """
    if not isinstance(start, Behind):
        return None
    try:
        begun = await _behind(start.asked, host)
        return None if begun.reset is None else (await host.log.ends()).oldest
    except Exception:  # noqa: BLE001 (whatever it is, the stream meets it too)
        return None


async def _behind(asked: str, host: Host) -> Beginning:
    number = number_in(asked, host.log.bounds)
    known = None if number is None else await host.times.of(number)
    bounds = host.log.bounds
    resumed = resumption(asked, bounds, known)
    cursor = resumed.cursor
    return Beginning(
        cursor,
        place_before(bounds) if known is None or number != cursor else event_id(cursor, known),
        is_gapless=resumed.reset is None and asked != EARLIEST,
        reset=resumed.reset,
        asked=asked,
    )


async def _place_behind(number: int, host: Host) -> str | None:
    milliseconds = await host.times.of(number) if number else None
    return None if milliseconds is None else event_id(number, milliseconds)
