"""What is answered about the past: events, and what was spent."""

from __future__ import annotations

from loki_twisted.model.events import Event
from loki_twisted.model.ledger import Grouping, LedgerLine
from loki_twisted.model.wire.shapes import Pagination, Shape


class EventHistory(Shape, frozen=True, kw_only=True):
    """
    Some events, oldest first.

    From the number ``complete_from`` on (on the wire ``completeFrom``; the first one in an event's
    id) none that matches is missing between them. Of what was before it there is only what running
    sessions keep of their past. A server that does not tell leaves it out; then it is None.
    """

    events: list[Event]
    count: int
    complete_from: int | None = None


class EventStats(Shape, frozen=True, kw_only=True):
    """
    The stream in figures.

    ``historySize`` is the number of events in the log; ``eventsPerSecond`` is
    the mean over the last minute; ``lag`` is how many events the slowest
    subscriber is behind.
    """

    subscribers: int
    history_size: int
    oldest_event_id: str | None
    newest_event_id: str | None
    events_per_second: float
    lag: int


class UsageReport(Shape, frozen=True, kw_only=True):
    """
    What was spent, added up.

    ``sum`` is of all lines that the question is about, not only of those of the page; its ``key``
    is empty.
    """

    by: Grouping
    lines: list[LedgerLine]
    sum: LedgerLine
    pagination: Pagination
