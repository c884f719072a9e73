"""What happens: facts, which become numbered events once they are in the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

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
    "session:updated",
    "session:stalled",
    "input:answered",
    "input:withdrawn",
    "message:queued",
    "message:delivered",
    "message:dropped",
)
"""Every type of event. The position of a type is stored on disk: only ever append."""

KIND_OF_TYPE: Final[Mapping[str, int]] = {name: kind for kind, name in enumerate(EVENT_TYPES)}
"""The number of a type: its position in :data:`EVENT_TYPES`, one byte on disk."""

LOG_LEVELS: Final = ("debug", "info", "warn", "error")
"""Levels of ``log:*`` events, least important first."""

Data = Mapping[str, Any]
"""What an event carries: a JSON object."""


class Fact(msgspec.Struct, frozen=True):
    """
    Something that a source (an agent's output, a state file, a request) reports of one session.

    A struct, because one is made for each line of an agent, and that takes a quarter of the time.

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


class FrameWriter:
    """
    Encodes events of one session and moment, each once, as the frame that carries it.

    The format is that of the WHATWG (HTML, "Server-sent events"): the lines
    ``id``, ``event`` and ``data``, the last being the whole :class:`Event` as JSON.
    JSON escapes line ends, so the data is always a single line.

    All that events of one type have in common is encoded once, with gaps for the number and the
    data.

    :param milliseconds: Their time, since the Unix epoch.
    """

    __slots__ = ("_milliseconds", "_session", "_templates", "_timestamp")

    def __init__(self, milliseconds: int, session: str) -> None:
        self._milliseconds = milliseconds
        self._timestamp = iso_from_ms(milliseconds)
        self._session = _encode(session).replace(b"%", b"%%")
        self._templates: dict[str, bytes] = {}

    def frame(self, seq: int, fact: Fact) -> bytes:
        """
        Encode an event.

        :param seq: Its number in the log.
        :returns: The frame with the empty line that ends it.
        """
        template = self._templates.get(fact.type) or self._template(fact.type)
        return template % (seq, seq, _encode(fact.data))

    def _template(self, type_: str) -> bytes:
        template = self._templates[type_] = (
            b"id: evt_%%d_%(ms)d\nevent: %(type)b\n"
            b'data: {"id":"evt_%%d_%(ms)d","type":"%(type)b","timestamp":"%(timestamp)b",'
            b'"sessionId":%(session)b,"data":%%b}\n\n'
        ) % {
            b"ms": self._milliseconds,
            b"type": type_.encode(),
            b"timestamp": self._timestamp.encode(),
            b"session": self._session,
        }
        return template


def event_as_frame(seq: int, milliseconds: int, session: str, fact: Fact) -> bytes:
    """Encode a single event; see :class:`FrameWriter`."""
    return FrameWriter(milliseconds, session).frame(seq, fact)


def json_of_frame(frame: bytes) -> bytes:
    """Cut the JSON of the event out of what :func:`event_as_frame` made."""
    return frame[frame.index(b"\ndata: ") + 7 : -2]


def event_from_frame(frame: bytes) -> Event:
    """Read back what :func:`event_as_frame` wrote."""
    return _decode(json_of_frame(frame))
