"""What happens: facts, which become numbered events once they are in the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import msgspec

from loki_twisted.model.identifiers import event_id
from loki_twisted.model.timestamps import iso_from_ms

EVENT_TYPES: Final = (
    "session:started",
    "session:paused",
    "session:resumed",
    "session:stopped",
    "session:completed",
    "session:failed",
    "phase:started",
    "phase:completed",
    "phase:failed",
    "task:created",
    "task:started",
    "task:progress",
    "task:completed",
    "task:failed",
    "agent:spawned",
    "agent:output",
    "agent:completed",
    "agent:failed",
    "log:debug",
    "log:info",
    "log:warn",
    "log:error",
    "metrics:update",
    "input:requested",
    "heartbeat",
)
"""Every type of event. The position of a type is stored on disk: only ever append."""

KIND_OF_TYPE: Final[Mapping[str, int]] = {name: kind for kind, name in enumerate(EVENT_TYPES)}
"""The number of a type: its position in :data:`EVENT_TYPES`, one byte on disk."""

LOG_LEVELS: Final = ("debug", "info", "warn", "error")
"""Levels of ``log:*`` events, least important first."""

Data = Mapping[str, Any]
"""What an event carries: a JSON object."""


@attrs.frozen(slots=True)
class Fact:
    """
    Something that a source (an agent's output, a state file, a request) reports of one session.

    :ivar type: One of :data:`EVENT_TYPES`.
    :ivar data: The object that the event will carry; not changed after this.
    """

    type: str
    data: Data


class Event(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    One event as it is on the wire: ``id``, ``type``, ``timestamp``, ``sessionId``, ``data``.

    :ivar session_id: Empty when an event concerns no known session.
    """

    id: str
    type: str
    timestamp: str
    session_id: str
    data: dict[str, Any]


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Event).decode


def event_as_frame(seq: int, milliseconds: int, session: str, fact: Fact) -> bytes:
    """
    Encode an event once, as the frame of the event stream that carries it.

    The format is that of the WHATWG (HTML, "Server-sent events"): the lines
    ``id``, ``event`` and ``data``, the last being the whole event as JSON.
    JSON escapes line ends, so the data is always a single line.

    :param seq: Its number in the log.
    :param milliseconds: Its time, since the Unix epoch.
    :returns: The frame with the empty line that ends it.
    """
    name = event_id(seq, milliseconds)
    event = Event(
        id=name,
        type=fact.type,
        timestamp=iso_from_ms(milliseconds),
        session_id=session,
        data=fact.data,  # type: ignore[arg-type]  # any mapping encodes alike
    )
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        name.encode(),
        fact.type.encode(),
        _encode(event),
    )


def json_of_frame(frame: bytes) -> bytes:
    """Cut the JSON of the event out of what :func:`event_as_frame` made."""
    return frame[frame.index(b"\ndata: ") + 7 : -2]


def event_from_frame(frame: bytes) -> Event:
    """Read back what :func:`event_as_frame` wrote."""
    return _decode(json_of_frame(frame))
