"""A line that is longer than one read, put together from several."""

from __future__ import annotations

import codecs

from loki_twisted.agents.lines import LINE_LIMIT, cut_line
from loki_twisted.agents.richness import VALUE_LIMIT, Richness


class LongLine:
    """
    A line as far as it was read.

    It is decoded as it comes. So no turn of the reactor has to decode all of a long one, and its
    bytes and its text are never both in memory.

    :ivar size: Of how many bytes it was told.
    """

    def __init__(self, limit: int, value_limit: int = VALUE_LIMIT) -> None:
        """
        Begin one.

        :param limit: With more bytes than that it is cut.
        :param value_limit: Or with more values of JSON than that.
        """
        self.size = 0
        self._limit = limit
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._beginning = b""
        self._text = ""
        self._richness = Richness(value_limit)

    @property
    def is_too_long(self) -> bool:
        """Whether it is cut."""
        return self.size > self._limit or self._richness.is_too_rich

    def add(self, data: bytes) -> None:
        """Go on with what was read next of it."""
        self.size += len(data)
        self._beginning += data[: LINE_LIMIT - len(self._beginning)]
        self._richness.add(data)
        if self.is_too_long:
            self._text = ""
        else:
            self._append(self._decoder.decode(data))

    def text(self, *, has_newline: bool) -> str:
        """
        Give it as a whole. It is empty after that.

        :param has_newline: Whether it ended with one, so that a carriage return belongs to that.
        """
        if self.is_too_long:
            return cut_line(self._beginning, self._limit)
        self._append(self._decoder.decode(b"", final=True))
        text, self._text = self._text, ""
        return text.removesuffix("\r") if has_newline else text

    def _append(self, more: str) -> None:
        # A text that nothing else holds grows where it is; it would be copied each time.
        text, self._text = self._text, ""
        text += more
        self._text = text
