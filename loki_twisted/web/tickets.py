"""
Tickets: what a browser's ``EventSource``, which can send no token, shows instead.

A ticket is in a URL, which is written into logs and histories. So it is good for one stream, of
the events and for the page that it was made for, and for 30 seconds; of it only the hash is kept.
The stream has the rights of the token that made the ticket, and ends with it.
"""

from __future__ import annotations

import secrets
from typing import Final

import attrs

from loki_twisted.access.interface import Caller, IKeyring
from loki_twisted.access.tokens import digest_of
from loki_twisted.model.filters import EventFilter
from loki_twisted.web.answers import Clock
from loki_twisted.web.problems import TicketRefused, TooManyTickets
from loki_twisted.web.visits import Source, Visit

TICKET_SECONDS: Final = 30
MOST_TICKETS: Final = 1024
MOST_OF_ONE: Final = 256
"""So many tickets of one caller may wait to be used."""


@attrs.frozen(slots=True)
class _Ticket:
    caller: Caller
    page: bytes
    wanted: EventFilter
    over: float


class Tickets:
    """
    The tickets that nobody has used yet.

    :param clock: One that never goes back.
    :param keyring: Tells whether the token of a ticket is still good.
    """

    def __init__(self, clock: Clock, keyring: IKeyring) -> None:
        self._clock = clock
        self._keyring = keyring
        self._waiting: dict[bytes, _Ticket] = {}  # the oldest first

    def issue(self, visit: Visit, wanted: EventFilter) -> str:
        """
        Make a ticket for whoever asks.

        :raises TooManyTickets: if too many wait to be used.
        """
        self._drop_old()
        own = sum(each.caller == visit.caller for each in self._waiting.values())
        if own >= MOST_OF_ONE or len(self._waiting) >= MOST_TICKETS:
            raise TooManyTickets("Too many tickets wait to be used.")
        ticket = secrets.token_urlsafe(32)
        self._waiting[digest_of(ticket.encode())] = _Ticket(
            visit.caller, visit.source.name, wanted, self._clock.seconds() + TICKET_SECONDS
        )
        return ticket

    def find(self, ticket: str, source: Source) -> Caller | None:
        """Tell whose a ticket is, if it is good for that page. It can be used after that."""
        found = self._waiting.get(digest_of(ticket.encode()))
        return found.caller if found is not None and self._is_good(found, source) else None

    def use(self, ticket: str, source: Source, wanted: EventFilter) -> None:
        """
        Use a ticket up.

        :raises TicketRefused: if it is not good for that page and those events.
        """
        found = self._waiting.pop(digest_of(ticket.encode()), None)
        if found is None or not self._is_good(found, source):
            raise TicketRefused("The ticket is wrong, used or too old.")
        if found.wanted != wanted:
            raise TicketRefused("The ticket is for other events.")

    def _is_good(self, ticket: _Ticket, source: Source) -> bool:
        return (
            self._clock.seconds() < ticket.over
            and source.is_of(ticket.page)
            and self._keyring.stands(ticket.caller)
        )

    def _drop_old(self) -> None:
        now = self._clock.seconds()
        for digest, ticket in list(self._waiting.items()):
            if now < ticket.over:
                break
            del self._waiting[digest]
