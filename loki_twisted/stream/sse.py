"""
The bytes of the event stream that are no events of the log.

The format is that of the WHATWG (HTML, "Server-sent events"). A frame ends
with an empty line; one without an ``id`` line leaves the client's last event id as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from loki_twisted.model.blocks import Block
from loki_twisted.model.events import Event
from loki_twisted.model.timestamps import iso_from_ms

CONTENT_TYPE: Final = b"text/event-stream"
"""The media type of the stream, as browsers insist on it."""

RETRY_MS: Final = 2000
"""How long a client shall wait before it comes back, in milliseconds."""

_encode: Final = msgspec.json.Encoder().encode


def comment(text: str) -> bytes:
    """Make a comment: clients drop it, and everything between here and there sees traffic."""
    return b"".join(b": %b\n" % line.encode() for line in text.splitlines()) + b"\n"


def retry(milliseconds: int) -> bytes:
    """Tell clients how long to wait before they come back."""
    return b"retry: %d\n\n" % milliseconds


GREETING: Final = comment("connected to loki-mode event stream") + retry(RETRY_MS)
"""What each stream begins with."""

HISTORY_END: Final = comment("end of history")
"""What stands between the events that were asked for as history and those that happen now."""

KEEP_ALIVE: Final = comment("keep-alive")
"""What is sent when there is nothing to send."""


def _frame(event_type: str, data: object) -> bytes:
    # JSON escapes line ends, so the data is always a single line.
    return b"event: %b\ndata: %b\n\n" % (event_type.encode(), _encode(data))


def place(event_id: str) -> bytes:
    """
    Say where the stream stands, so that a client comes back to it before it has had an event.

    Nothing is dispatched for a frame without data, but its id counts.

    :param event_id: What to resume from: an id, or ``earliest`` before there is one.
    """
    return b"id: %b\n\n" % event_id.encode()


def reset(asked: str | None, oldest: str | None, newest: str | None, reason: str) -> bytes:
    """
    Say that the stream does not go on where the client left it.

    :param asked: The id that the client came with, made harmless with :func:`harmless`; None
        if it was overtaken while it read.
    :param oldest: Id of the oldest event that there is, or None.
    :param newest: Id of the newest, or None.
    :param reason: One of :class:`~loki_twisted.stream.position.ResetReason`.
    """
    return _frame(
        "stream:reset", {"asked": asked, "oldest": oldest, "newest": newest, "reason": reason}
    )


def bye(last_event_id: str | None, retry_ms: int) -> bytes:
    """
    Say that the server ends the stream.

    :param last_event_id: Where to resume; None while the log has no event.
    :param retry_ms: After how long to come back, in milliseconds.
    """
    return retry(retry_ms) + _frame("stream:bye", {"lastEventId": last_event_id})


def last_id(block: Block) -> str:
    """Read the id of the last event of a block, from the first line of its frame."""
    line, _, _ = block.frame(len(block) - 1).partition(b"\n")
    return line.removeprefix(b"id: ").decode()


def heartbeat(session_id: str, milliseconds: int, data: Mapping[str, Any]) -> bytes:
    """
    Say that a session lives. It is no event of the log, so no cursor may ever point at it.

    :param milliseconds: Now, since the Unix epoch.
    """
    event = Event(
        id=f"hb_{milliseconds}",
        type="heartbeat",
        timestamp=iso_from_ms(milliseconds),
        session_id=session_id,
        data=dict(data),
    )
    return _frame("heartbeat", event)


def harmless(text: str) -> str:
    """Shorten what a client sent, and replace what is not ASCII, so that it can be sent back."""
    return text[:64].encode("ascii", "replace").decode("ascii")
