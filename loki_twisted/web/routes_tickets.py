"""The route that makes tickets for the stream of events."""

from __future__ import annotations

from typing import Final

from loki_twisted.model.filters import EventFilter
from loki_twisted.model.wire import CreateTicket, Ticket
from loki_twisted.web.operations import operation
from loki_twisted.web.problems import TooManyTickets
from loki_twisted.web.tickets import TICKET_SECONDS, Tickets
from loki_twisted.web.visits import Visit

_TAG: Final = "events"


class TicketRoutes:
    """
    The route of tickets.

    :param tickets: Those that nobody has used yet.
    """

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    @operation(
        "POST",
        "/api/events/ticket",
        tag=_TAG,
        body=CreateTicket,
        answer=Ticket,
        status=201,
        asks_who=True,
        errors=(TooManyTickets,),
    )
    def create_ticket(self, body: CreateTicket, visit: Visit) -> Ticket:
        """
        Make a ticket, with which a browser's `EventSource` can open the stream of events.

        It is given as the parameter `ticket` of the stream, once, within 30 seconds, by a page of
        the same origin, for the same `sessionId`, `types` and `minLevel`; else it is wrong, and
        the answer 401. The stream ends with the token that was sent here.
        """
        wanted = EventFilter.of(body.session_id, body.types or (), body.min_level)
        ticket = self._tickets.issue(visit, wanted)
        return Ticket(ticket=ticket, expires_in=TICKET_SECONDS * 1000)
