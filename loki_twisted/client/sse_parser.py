"""
The event stream format, read as the WHATWG says (HTML, "9.2.6 Interpreting an event stream").

Bytes go in as they come, events come out as soon as they are whole; where the
bytes are cut makes no difference. Lines are found in the bytes and decoded
one by one: no byte of a longer UTF-8 sequence looks like a line end.
"""

from __future__ import annotations

from typing import Final

import attrs

MOST_BYTES: Final = 4 * 1024 * 1024
"""How many bytes an event may have, unless it is said otherwise."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_MOST_RETRY_DIGITS: Final = 9


class EventTooLarge(Exception):
    """The stream holds an event, or a line, that is larger than one is ready to keep."""


@attrs.frozen(slots=True)
class StreamEvent:
    r"""
    One event of a stream.

    :ivar type: ``message`` if the stream did not say.
    :ivar data: Its lines, joined by ``\n``.
    :ivar last_event_id: The stream's last event id after this event; it may be of an earlier one.
    """

    type: str
    data: str
    last_event_id: str


class SSEParser:
    """
    Reads one connection's bytes.

    :ivar last_event_id: Where the stream has come to; begins with what the connection was
        asked to resume from.
    :ivar retry_ms: What the stream said last about how long to wait before coming back;
        None if nothing.

    :param most_bytes: The limit of an event, and of a line.
    """

    def __init__(self, last_event_id: str = "", most_bytes: int = MOST_BYTES) -> None:
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self._most_bytes = most_bytes
        self._unfinished: list[bytes] = []
        self._line_bytes = 0
        self._data_bytes = 0
        self._after_return = False
        self._at_start = True
        self._type = ""
        self._data: list[str] = []
        self._id = last_event_id

    def feed(self, data: bytes) -> list[StreamEvent]:
        """
        Take the next bytes.

        :returns: The events that they complete.
        :raises EventTooLarge: if more would have to be kept than the limit allows. The
            parser is of no use after this.
        """
        if self._after_return and data:
            # A line end of CR LF was cut in the middle; the line was ended by the CR.
            self._after_return = False
            data = data.removeprefix(b"\n")
        events = []
        for line in self._lines(data):
            event = self._line(line)
            if event is not None:
                events.append(event)
        return events

    def _lines(self, data: bytes) -> list[bytes]:
        """Cut off the lines that are whole, without their ends."""
        if b"\n" not in data and b"\r" not in data:
            self._keep(data)
            return []
        self._unfinished.append(data)
        lines = b"".join(self._unfinished).splitlines()
        self._unfinished.clear()
        self._line_bytes = 0
        self._after_return = data.endswith(b"\r")
        if not data.endswith((b"\n", b"\r")):
            self._keep(lines.pop())
        return lines

    def _keep(self, data: bytes) -> None:
        self._unfinished.append(data)
        self._line_bytes += len(data)
        if self._line_bytes > self._most_bytes:
            raise EventTooLarge(f"the stream has a line of more than {self._most_bytes} bytes")

    def _line(self, line: bytes) -> StreamEvent | None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        if name:
            self._field(name, value.removeprefix(b" "))
        return None

    def _field(self, name: bytes, value: bytes) -> None:
        # Fields of other names are ignored, as the standard wants it.
        match name:
            case b"data":
                self._add(value)
            case b"event":
                self._type = value.decode("utf-8", "replace")
            case b"id" if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
            case b"retry" if value.isdigit():
                self.retry_ms = int(value[:_MOST_RETRY_DIGITS])

    def _add(self, value: bytes) -> None:
        self._data.append(value.decode("utf-8", "replace"))
        self._data_bytes += len(value) + 1
        if self._data_bytes > self._most_bytes:
            raise EventTooLarge(f"the stream has an event of more than {self._most_bytes} bytes")

    def _dispatch(self) -> StreamEvent | None:
        self.last_event_id = self._id
        event_type, data = self._type, self._data
        self._type, self._data, self._data_bytes = "", [], 0
        if not data:
            return None
        return StreamEvent(event_type or "message", "\n".join(data), self._id)
