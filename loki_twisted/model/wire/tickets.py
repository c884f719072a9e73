"""Tickets for the stream of events."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from loki_twisted.model.events import EVENT_TYPES, LOG_LEVELS
from loki_twisted.model.filters import EVENT_GROUPS
from loki_twisted.model.wire.shapes import Request, Shape

_Type = Annotated[
    str, Meta(extra_json_schema={"enum": [*EVENT_TYPES, *sorted(EVENT_GROUPS)]}, max_length=64)
]
_Level = Annotated[str, Meta(extra_json_schema={"enum": list(LOG_LEVELS)}, max_length=16)]


class CreateTicket(Request, frozen=True, kw_only=True):
    """
    Ask for a ticket. What is said here has to be asked for with it.

    ``sessionId``, ``types`` and ``minLevel`` are those of the stream.
    """

    session_id: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")] | None = None
    types: Annotated[list[_Type], Meta(min_length=1, max_length=64)] | None = None
    min_level: _Level | None = None


class Ticket(Shape, frozen=True, kw_only=True):
    """A ticket: it opens one stream, within ``expiresIn`` milliseconds."""

    ticket: str
    expires_in: int
