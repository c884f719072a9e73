"""Routes of events: the stream, the history, and figures about both."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final

from loki_twisted.log.interface import IEventLog
from loki_twisted.model.errors import EventNotHeld, InvalidRequest, Unavailable
from loki_twisted.model.events import EVENT_TYPES, LOG_LEVELS
from loki_twisted.model.filters import (
    EVENT_GROUPS,
    EVERY_KIND,
    EventFilter,
    mask_of_level,
    mask_of_types,
)
from loki_twisted.model.identifiers import EARLIEST, ORIGIN
from loki_twisted.model.wire import EventHistory, EventStats
from loki_twisted.stream.beginning import oldest_left
from loki_twisted.stream.hub import Hub
from loki_twisted.stream.position import Behind
from loki_twisted.web.answers import OLDEST_EVENT_ID
from loki_twisted.web.event_history import Asked, EncodedHistory, History
from loki_twisted.web.event_lists import EventLists
from loki_twisted.web.event_stream import EventStream
from loki_twisted.web.long_answer import LongAnswer
from loki_twisted.web.operations import DESCRIBED_OLDEST, operation
from loki_twisted.web.parameters import MOST_PER_PAGE, Parameter, integer, moment, text
from loki_twisted.web.tickets import Tickets
from loki_twisted.web.visits import Visit

MOST_REPLAYED: Final = 10_000

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


class EventRoutes:
    """The routes under ``/api/events``."""

    def __init__(self, log: IEventLog, hub: Hub, lists: EventLists, tickets: Tickets) -> None:
        self._tickets = tickets
        self._log = log
        self._hub = hub
        self._history = History(log, lists)

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
                "parameter, and is never an error: whatever it is, it is answered with a stream. "
                "Of several the last counts.",
                read=str,
                schema={"type": "string"},
                place="header",
            ),
            text(
                "ticket",
                "Of `createTicket`, for who cannot send a token.",
                pattern="[A-Za-z0-9_-]{1,256}",
                expected="a ticket",
            ),
        ),
        asks_who=True,
        headers={OLDEST_EVENT_ID: DESCRIBED_OLDEST},
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
        ticket: str | None,
        visit: Visit,
    ) -> EventStream | Coroutine[Any, Any, EventStream]:
        """
        Watch events as they happen.

        A stream of Server-Sent Events (WHATWG). Each frame is `id`, `event` with the type, and
        `data` with the whole event as one line of JSON. An id that the log does not hold is
        answered with the event `stream:reset` and then all that there is, with the header
        `X-Oldest-Event-ID` where there is any event at all; the end of the server
        with `stream:bye`. Neither they nor `heartbeat` carry an id.
        """
        wanted = EventFilter(session_id, types & min_level)
        if ticket is not None:
            self._tickets.use(ticket, visit.source, wanted)
        stream = EventStream(
            self._hub,
            wanted,
            history=history or None,
            last_event_id=last_event_id_header or last_event_id,
        )
        return self._resumed(stream) if isinstance(stream.start, Behind) else stream

    async def _resumed(self, stream: EventStream) -> EventStream:
        stream.oldest_left = await oldest_left(stream.start, self._hub)
        return stream

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
                pattern=f"(?:{EARLIEST}|{ORIGIN}|{_EVENT_ID})",
                expected=f"the id of an event or {EARLIEST!r}",
            ),
            text(
                "before",
                "Only events before this one.",
                pattern=_EVENT_ID,
                expected="the id of an event",
            ),
            moment(
                "since",
                "Only events from this day (UTC) or time on, the first ones; without an after.",
            ),
        ),
        errors=(EventNotHeld, Unavailable),
    )
    async def list_events(
        self,
        session_id: str | None,
        types: int,
        min_level: int,
        limit: int,
        after: str | None,
        before: str | None,
        since: int | None,
    ) -> EncodedHistory | LongAnswer:
        """
        Read what has happened, oldest first.

        Without `after` it is the last events that match (before `before`), with it the first ones
        behind it, and with `since` the first ones of that time or later. An id that the log never
        gave is an error: 410, with the ids of the `oldest` and the `newest` event that it holds. So
        is that of an event that it has dropped, but for the last one that it has. What running
        sessions keep of their past has holes: from the number `completeFrom` on, which is part of
        an event's id, nothing is missing.
        """
        if since is not None and after is not None:
            raise InvalidRequest.of([("since", "cannot be given together with after")])
        asked = Asked(EventFilter(session_id, types & min_level), limit, after, before, since)
        return await self._history.answer(asked)

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
