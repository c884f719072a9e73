"""What the frames of a server's event stream mean."""

from __future__ import annotations

from typing import Final

import msgspec
from twisted.logger import Logger

from loki_twisted.client.errors import MALFORMED
from loki_twisted.client.sse_parser import StreamEvent
from loki_twisted.model.events import KIND_OF_TYPE, Event
from loki_twisted.model.filters import EVENT_GROUPS

_ANEW: Final = frozenset({"unknown", "future"})
_OF_THE_STREAM: Final = "stream:"  # how types begin that are about the stream itself


class StreamReset(msgspec.Struct, frozen=True):
    """
    The server has not all that comes next: events are missing here.

    What comes instead depends on why:

    - Where ``asked`` is None, events were dropped before the stream had read them. It goes on
      behind the last event that it has read, and nothing comes twice.
    - With the reason ``expired``, the server no longer has all that came after ``asked``. The
      stream goes on behind ``asked`` if that is still there, else with the oldest event; then
      what a running session keeps may come a second time, with the same ids. What the
      consumer has holds.
    - With the reasons ``unknown`` and ``future``, ``asked`` is no event of the server's log. The
      stream goes on with the oldest event, and what the consumer has may be of another log: see
      :attr:`begins_anew`.

    :ivar asked: The event id that was asked for, or None.
    :ivar oldest: The oldest event that there is, or None.
    :ivar newest: The newest, or None.
    :ivar reason: ``unknown``, ``future`` or ``expired``.
    """

    asked: str | None
    oldest: str | None
    newest: str | None
    reason: str

    @property
    def begins_anew(self) -> bool:
        """Whether all that there is comes now, and a consumer is to forget what it has."""
        return self.reason in _ANEW


class StreamBye(msgspec.Struct, frozen=True, rename="camel"):
    """
    The server ends, and has given everything.

    :ivar last_event_id: Where to go on with the next one: the newest event, whether it
        was wanted or not.
    """

    last_event_id: str | None = None


Meaning = Event | StreamReset | StreamBye | None

_log: Final = Logger()
_decode: Final = msgspec.json.Decoder(Event).decode
_decode_reset: Final = msgspec.json.Decoder(StreamReset).decode
_decode_bye: Final = msgspec.json.Decoder(StreamBye).decode


def is_of_the_log(frame: StreamEvent) -> bool:
    """Tell an event that has happened from what a server says of the stream itself."""
    return not frame.type.startswith(_OF_THE_STREAM)


def meaning_of(frame: StreamEvent) -> Meaning:
    """
    Tell what a frame means.

    :returns: None for what only newer servers know to say, which is for others.
    :raises: what is in :data:`~loki_twisted.client.errors.MALFORMED`, if it means nothing.
    """
    if is_of_the_log(frame):
        return _decode(frame.data) if _is_known(frame.type) else _maybe_event(frame)
    if frame.type == "stream:reset":
        return _decode_reset(frame.data)
    if frame.type == "stream:bye":
        return _decode_bye(frame.data)
    return None


def _is_known(frame_type: str) -> bool:
    """Whether what is of a type has to be an event: of one that there is, or of its group."""
    group, _, _ = frame_type.partition(":")
    return frame_type in KIND_OF_TYPE or f"{group}:*" in EVENT_GROUPS or frame_type == "message"


def _maybe_event(frame: StreamEvent) -> Event | None:
    try:
        return _decode(frame.data)
    except MALFORMED:
        _log.debug("A frame of the unknown type {type!r} was passed over", type=frame.type)
        return None
