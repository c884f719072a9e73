"""The methods of the client that are about tickets."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred

from loki_twisted.client.questions import Questions
from loki_twisted.model import wire


class TicketCalls:
    """Those methods; a part of :class:`~loki_twisted.client.api.LokiClient`."""

    _questions: Questions

    def create_ticket(
        self,
        *,
        session_id: str | None = None,
        types: Iterable[str] | None = None,
        min_level: str | None = None,
    ) -> Deferred[wire.Ticket]:
        """
        Have a ticket made, with which somebody who cannot send a token opens one stream of events.

        :param session_id: The stream has to be asked for with the same; and so with the others.
        :param types: Types of events, or groups of them (``task:*``).
        :param min_level: ``debug``, ``info``, ``warn`` or ``error``.
        """
        wanted = None if types is None else list(types)
        body = wire.CreateTicket(session_id=session_id, types=wanted, min_level=min_level)
        return self._questions.ask("POST", ("api", "events", "ticket"), wire.Ticket, body=body)
