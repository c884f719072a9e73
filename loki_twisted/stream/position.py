"""
Where in the log a subscriber begins.

A client says it by ``history``, by the last event id that it has, or not at
all. Whether an id can be resumed from is decided here, from what is known of the log.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import attrs

from loki_twisted.log.interface import Bounds
from loki_twisted.model.identifiers import EARLIEST, ORIGIN, maybe_event_id


@attrs.frozen(slots=True)
class FromNow:
    """Begin with what happens from now on."""


@attrs.frozen(slots=True)
class LastEvents:
    """Begin with so many of the last events that the filter wants."""

    count: int


@attrs.frozen(slots=True)
class Behind:
    """Begin behind an event: its id as the client sent it, or ``EARLIEST``."""

    asked: str


Start = FromNow | LastEvents | Behind

FROM_NOW: Final = FromNow()


class ResetReason(StrEnum):
    """Why a stream does not go on where the client left it."""

    UNKNOWN = "unknown"
    """This log never gave the id: it is none, or that of another log."""

    FUTURE = "future"
    """The id is ahead of this log: the log is younger than the client's knowledge of it."""

    EXPIRED = "expired"
    """Events behind the id are no longer kept."""


@attrs.frozen(slots=True)
class Resumption:
    """
    Where to go on.

    :ivar cursor: Number of the last event that the client is taken to have.
    :ivar reset: What to tell the client if it is not where it left.
    """

    cursor: int
    reset: ResetReason | None = None


def start_of(history: int | None, last_event_id: str | None) -> Start:
    """
    Decide how to begin. A client that comes back goes on where it was, whatever history it wants.

    :param history: How many of the last events; None or 0 for none.
    :param last_event_id: None or empty if the client has none.
    """
    if last_event_id:
        return Behind(last_event_id)
    return LastEvents(history) if history else FROM_NOW


def number_in(asked: str, bounds: Bounds) -> int | None:
    """Tell which event must be looked up before :func:`resumption`; None if there is none."""
    named = maybe_event_id(asked)
    if named is None:
        return None
    first = min(bounds.oldest, bounds.complete_from - 1)
    return named[0] if first <= named[0] <= bounds.newest else None


def resumption(asked: str, bounds: Bounds, known_ms: int | None) -> Resumption:
    """
    Decide where a client goes on that has the events up to one.

    :param asked: The id of that event, or ``EARLIEST`` or ``ORIGIN``.
    :param bounds: What the log holds.
    :param known_ms: The time of the event of that number as the log has it; None if it
        does not. An id of another time is an id of another log.
    """
    everything = bounds.oldest - 1
    if asked == EARLIEST or (asked == ORIGIN and begins_whole(bounds)):
        return Resumption(everything)
    if asked == ORIGIN:
        return Resumption(everything, ResetReason.EXPIRED)
    named = maybe_event_id(asked)
    if named is None:
        return Resumption(everything, ResetReason.UNKNOWN)
    seq, milliseconds = named
    if seq > bounds.newest:
        return Resumption(everything, ResetReason.FUTURE)
    if known_ms != milliseconds:
        is_gone = known_ms is None
        return Resumption(everything, ResetReason.EXPIRED if is_gone else ResetReason.UNKNOWN)
    # An event that a running session keeps is still there, but not all that came after it.
    has_holes = seq < bounds.complete_from - 1
    return Resumption(max(seq, everything), ResetReason.EXPIRED if has_holes else None)


def begins_whole(bounds: Bounds) -> bool:
    """Whether a log has all that there ever was, from the first event on."""
    return bounds.complete_from <= 1


def place_before(bounds: Bounds) -> str:
    """Name the place before all that a log has, where there is no event before it to name."""
    return ORIGIN if begins_whole(bounds) else EARLIEST
