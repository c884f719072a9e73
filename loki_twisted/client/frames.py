"""What the frames of a server's event stream mean."""

from __future__ import annotations

from typing import Final

import msgspec

from loki_twisted.client.sse_parser import StreamEvent
from loki_twisted.model.events import Event

_OF_THE_STREAM: Final = "stream:"  # how types begin that are about the stream itself


class StreamReset(msgspec.Struct, frozen=True):
    """
    The server could not go on where the stream was: events may be missing from here on.

    :ivar asked: The event id that was asked for.
    :ivar oldest: The oldest event that there is; the stream goes on from it.
    :ivar newest: The newest.
    :ivar reason: ``unknown``, ``future`` or ``expired``.
    """

    asked: str | None
    oldest: str | None
    newest: str | None
    reason: str


class StreamBye(msgspec.Struct, frozen=True, rename="camel"):
    """
    The server ends, and has given everything.

    :ivar last_event_id: Where to go on with the next one: the newest event, whether it
        was wanted or not.
    """

    last_event_id: str | None = None


Meaning = Event | StreamReset | StreamBye | None

_decode: Final = msgspec.json.Decoder(Event).decode
_decode_reset: Final = msgspec.json.Decoder(StreamReset).decode
_decode_bye: Final = msgspec.json.Decoder(StreamBye).decode


def meaning_of(frame: StreamEvent) -> Meaning:
    """
    Tell what a frame means.

    :returns: None for what newer servers may say of the stream itself, which is for others.
    :raises msgspec.MsgspecError: if it means nothing.
    """
    if not frame.type.startswith(_OF_THE_STREAM):
        return _decode(frame.data)
    if frame.type == "stream:reset":
        return _decode_reset(frame.data)
    if frame.type == "stream:bye":
        return _decode_bye(frame.data)
    return None
