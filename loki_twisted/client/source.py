"""What an event stream is made of: places in a server's log, and connections from there on."""

from __future__ import annotations

from typing import Final, Protocol

import attrs
from twisted.internet.defer import Deferred
from twisted.web.iweb import IResponse

from loki_twisted.client.connecting import Connections
from loki_twisted.client.errors import none_of_this_api
from loki_twisted.client.exchange import Exchange, Query
from loki_twisted.model.filters import EventFilter
from loki_twisted.model.identifiers import EARLIEST, ORIGIN, maybe_event_id
from loki_twisted.model.wire import EventHistory, EventStats

EVENTS_PATH: Final = ("api", "events")

_MOST_PER_PAGE: Final = 1000  # the server's limit


class Source(Protocol):
    """Gives connections of one stream. What it returns may be cancelled."""

    def first_place(self) -> Deferred[str]:
        """
        Find out where to begin.

        :returns: The id of an event to begin after, or
            :data:`~loki_twisted.model.identifiers.EARLIEST`, or
            :data:`~loki_twisted.model.identifiers.ORIGIN`.
        :raises: as :meth:`connect`.
        """

    def connect(self, last_event_id: str) -> Deferred[IResponse]:
        """
        Ask for the stream.

        :param last_event_id: What to go on after.
        :returns: The answer with the status 200 and the right type.
        :raises ClientError: for any other answer; ``retryAfter`` in its details is in seconds.
        :raises ServerUnreachable: if there is none.
        """

    def close(self) -> Deferred[None]:
        """Break all connections; fires when they are gone."""


@attrs.frozen
class ServerSource:
    """
    The events of a server that a filter wants.

    :ivar connections: Of this stream alone.
    :ivar history: How many of the last events to begin with.
    """

    exchange: Exchange
    connections: Connections
    wanted: EventFilter
    history: int

    def first_place(self) -> Deferred[str]:
        """
        See :class:`Source`.

        It is asked for before the first connection, because one may break before it has said
        where it is: what happens between it and the next would be missed. That is so too for the
        server's own ``history``.
        """
        finding = self._before_last(self.history) if self.history else self._newest()
        return Deferred.fromCoroutine(finding)

    def connect(self, last_event_id: str) -> Deferred[IResponse]:
        """See :class:`Source`."""
        return Deferred.fromCoroutine(
            self.exchange.open_stream(
                self.connections.agent,
                EVENTS_PATH,
                self.wanted.as_parameters().items(),
                last_event_id,
            )
        )

    def close(self) -> Deferred[None]:
        """See :class:`Source`."""
        return self.connections.close()

    async def _newest(self) -> str:
        path = (*EVENTS_PATH, "stats")
        stats = await self.exchange.ask(self.connections.agent, "GET", path, EventStats)
        return _place(stats.newest_event_id) if stats.newest_event_id else ORIGIN

    async def _before_last(self, count: int) -> str:
        """The event before the last ones, found by going backwards from the end."""
        missing = count + 1
        place: str | None = None
        while missing:
            asked = min(missing, _MOST_PER_PAGE)
            page = await self._page(asked, place)
            if len(page.events) < asked:
                return ORIGIN if (page.complete_from or 0) == 1 else EARLIEST
            place = _place(page.events[0].id)
            missing -= asked
        return place or EARLIEST

    async def _page(self, limit: int, before: str | None) -> EventHistory:
        path = (*EVENTS_PATH, "history")
        query: Query = (*self.wanted.as_parameters().items(), ("limit", limit), ("before", before))
        agent = self.connections.agent
        return await self.exchange.ask(agent, "GET", path, EventHistory, query=query)


def _place(event_id: str) -> str:
    """Give back what a server names as an event, if it may be one: it is sent in a header."""
    if maybe_event_id(event_id) is None:
        raise none_of_this_api("The answer", "it names an event by what is no event id")
    return event_id
