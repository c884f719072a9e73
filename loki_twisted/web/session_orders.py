"""What routes have in common that give orders to sessions."""

from __future__ import annotations

from typing import Final

from loki_twisted.model.errors import (
    Conflict,
    SessionNotFound,
    StorageFailed,
    StorageFull,
    Unavailable,
)
from loki_twisted.model.identifiers import SESSION_ID
from loki_twisted.model.sessions import Session
from loki_twisted.model.wire import SessionOrder

STORAGE: Final = (StorageFailed, StorageFull)
"""What an order raises that cannot be put on record."""

STEERING: Final = (SessionNotFound, Conflict, Unavailable, *STORAGE)
"""What an order to a session raises."""


def ordered(session: Session, message: str) -> SessionOrder:
    """Say that an order was given; where it was only asked for, the session's reason says so."""
    return SessionOrder(
        session_id=session.id, status=session.status, message=session.reason or message
    )


def known(session_id: str) -> str:
    """
    Let an id through that a session may have.

    :raises SessionNotFound: if no session can be called that.
    """
    if SESSION_ID.fullmatch(session_id) is None:
        raise SessionNotFound.of(session_id)
    return session_id
