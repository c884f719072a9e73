"""What people tell agents, as rows (``log/messages.py`` is what passes between threads)."""

from __future__ import annotations

from typing import Final

import apsw
import msgspec

from loki_twisted.log.body_rows import BodyRow, BodyTable
from loki_twisted.log.sums import sealed
from loki_twisted.model.messages import Message, MessagePage, MessageStatus

MESSAGES: Final = BodyTable("messages", "queued", msgspec.json.Decoder(list[Message]).decode)
"""Their table."""


def message_row(message: Message) -> BodyRow:
    """Make a row of a message."""
    return (
        message.session_id,
        message.id,
        message.status is MessageStatus.QUEUED,
        message.created_at,
        sealed(msgspec.json.encode(message)),
    )


def queued_messages(connection: apsw.Connection) -> list[Message]:
    """All that wait, oldest first."""
    return MESSAGES.flagged(connection)


def messages(connection: apsw.Connection, session_id: str, limit: int, offset: int) -> MessagePage:
    """Those of a session, whatever became of them, newest first."""
    return MessagePage(*MESSAGES.page(connection, session_id, limit, offset))
