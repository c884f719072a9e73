"""Routes of events: the stream, the history, and figures about both."""

from __future__ import annotations

from typing import Final

import attrs
import msgspec
from twisted.internet.interfaces import IReactorTime

from loki_twisted.log.interface import IEventLog
from loki_twisted.model.errors import InvalidRequest, Unavailable
from loki_twisted.model.events import EVENT_TYPES, LOG_LEVELS
from loki_twisted.model.filters import (
    EVENT_GROUPS,
    EVERY_KIND,
    EventFilter,
    mask_of_level,
    mask_of_types,
)
from loki_twisted.model.identifiers import EARLIEST, maybe_event_id
from loki_twisted.model.wire import EventHistory, EventStats, Shape
from loki_twisted.stream.hub import Hub
from loki_twisted.web.event_pages import EventList, EventPages
from loki_twisted.web.event_stream import EventStream
from loki_twisted.web.operations import operation
from loki_twisted.web.parameters import MOST_PER_PAGE, Parameter, integer, text

MOST_REPLAYED: Final = 10_000
BYTES_AT_ONCE: Final = 1_048_576
"""A longer answer is sent while it is read."""

_TAG: Final = "events"
_EVENT_ID: Final = "evt_[1-9][0-9]{0,17}_[0-9]{1,18}"


def _read_types(given: str) -> int:
    return mask_of_types(name.strip() for name in given.split(","))


_FILTER: Final = (
    text(
        "sessionId",
        "Only events of this session.",
        pattern="[A-Za-z0-9][A-Za-z0-9_-]{0,63}",
        expected="the id of a session",
    ),
    Parameter(
        name="types",
        argument="types",
        description="Only events of these types; `task:*` stands for all that begin so.",
        read=_read_types,
        schema={
            "type": "array",
            "items": {"type": "string", "enum": [*EVENT_TYPES, *sorted(EVENT_GROUPS)]},
            "minItems": 1,
        },
        default=EVERY_KIND,
        repeats=True,
    ),
    Parameter(
        name="minLevel",
        argument="min_level",
        description="No log events below this level; other events are not touched.",
        read=mask_of_level,
        schema={"type": "string", "enum": list(LOG_LEVELS)},
        default=EVERY_KIND,
    ),
)


class _EncodedHistory(Shape, frozen=True, kw_only=True):
    """An :class:`EventHistory` whose events are as the log holds them: encoded once, long ago."""

    events: list[msgspec.Raw]
    count: int


class EventRoutes:
    """The routes under ``/api/events``."""

    def __init__(self, log: IEventLog, hub: Hub, clock: IReactorTime) -> None:
        self._log = log
        self._hub = hub
        self._clock = clock

    @operation(
        "GET",
        "/api/events",
        tag=_TAG,
        parameters=(
            *_FILTER,
            integer(
                "history",
                "Begin with so many of the last events that match.",
                least=0,
                most=MOST_REPLAYED,
                default=0,
            ),
            text(
                "lastEventId",
                "Begin with everything after this event; `earliest` is before all of them.",
                pattern="[ -~]{1,256}",
                expected="the id of an event",
            ),
            Parameter(
                name="Last-Event-ID",
                argument="last_event_id_header",
                description="The same, as browsers send it when they come back. It beats the "
                "parameter, and is never an error: whatever it is, it is answered with a stream.",
                read=str,
                schema={"type": "string"},
                place="header",
            ),
        ),
        errors=(Unavailable,),
    )
    def stream_events(
        self,
        session_id: str | None,
        types: int,
        min_level: int,
        history: int,
        last_event_id: str | None,
        last_event_id_header: str | None,
    ) -> EventStream:
        """
        Watch events as they happen.

        A stream of Server-Sent Events (WHATWG). Each frame is `id`, `event` with the type, and
        `data` with the whole event as one line of JSON. An id that the log does not hold is
        answered with the event `stream:reset` and then all that there is; the end of the server
        with `stream:bye`. Neither they nor `heartbeat` carry an id.
        """
        return EventStream(
            self._hub,
            EventFilter(session_id, types & min_level),
            history=history or None,
            last_event_id=last_event_id_header or last_event_id,
        )

    @operation(
        "GET",
        "/api/events/history",
        tag=_TAG,
        answer=EventHistory,
        parameters=(
            *_FILTER,
            integer("limit", "How many at most.", least=1, most=MOST_PER_PAGE, default=100),
            text(
                "after",
                "Only events after this one, from there on; `earliest` is before all of them.",
                pattern=f"(?:{EARLIEST}|{_EVENT_ID})",
                expected=f"the id of an event or {EARLIEST!r}",
            ),
            text(
                "before",
                "Only events before this one.",
                pattern=_EVENT_ID,
                expected="the id of an event",
            ),
        ),
    )
    async def list_events(
        self,
        session_id: str | None,
        types: int,
        min_level: int,
        limit: int,
        after: str | None,
        before: str | None,
    ) -> _EncodedHistory | EventList:
        """
        Read what has happened, oldest first.

        Without `after` it is the last events that match (before `before`), with it the first ones
        behind it. An id that the log never gave is an error: 422, with the ids of the `oldest` and
        the `newest` event that it holds. So is that of an event that it has dropped, but for the
        last one that it has. Between events that running sessions keep of their past others may
        be missing: where the number in an id is not one more than that of the event before.
        """
        wanted = EventFilter(session_id, types & min_level)
        start, end = await self._positions(after, before)
        if start is None:
            start = await self._log.behind_last(end, wanted, limit)
        pages = EventPages(self._log, wanted, after=start, before=end, limit=limit)
        events: list[bytes] = []
        while not pages.is_over:
            if sum(map(len, events)) > BYTES_AT_ONCE:
                return EventList(pages, events, self._clock)
            events += await pages.some()
        return _EncodedHistory(events=[msgspec.Raw(event) for event in events], count=len(events))

    @operation("GET", "/api/events/stats", tag=_TAG, answer=EventStats)
    async def get_event_stats(self) -> EventStats:
        """Tell how much there is, how fast it grows, and who listens."""
        ends = await self._log.ends()
        return EventStats(
            subscribers=self._hub.subscriber_count,
            history_size=len(self._log.bounds),
            oldest_event_id=ends.oldest,
            newest_event_id=ends.newest,
            events_per_second=self._hub.events_per_second(),
            lag=self._hub.lag(),
        )

    async def _positions(self, after: str | None, before: str | None) -> tuple[int | None, int]:
        """Turn ids into numbers: what is wanted lies behind the first, and before the second."""
        start, end = None, self._log.bounds.newest + 1
        unknown = []
        if after is not None:
            start = 0 if after == EARLIEST else await self._maybe_number(after)
            unknown += ["after"] if start is None else []
        if before is not None:
            number = await self._maybe_number(before)
            unknown += ["before"] if number is None else []
            end = number or end
        if unknown:
            raise await self._not_held(unknown)
        return start, end

    async def _maybe_number(self, name: str) -> int | None:
        """The number of an event that the log holds under exactly this id, or dropped last."""
        parts = maybe_event_id(name)
        if parts is None:
            return None
        seq, milliseconds = parts
        return seq if await self._log.time_of(seq) == milliseconds else None

    async def _not_held(self, names: list[str]) -> InvalidRequest:
        error = InvalidRequest.of((name, "is no event that the log holds") for name in names)
        ends = await self._log.ends()
        return InvalidRequest(str(error), {**(error.details or {}), **attrs.asdict(ends)})
