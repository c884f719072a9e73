"""
Cutting a stream of bytes into lines, in bounded memory, from any point on.

All that there is to remember between two cuts is a :class:`Cursor`. It never points into the
middle of something that was not given yet, so going on from a stored one gives exactly the rest.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

import attrs

from loki_twisted.agents.richness import VALUE_LIMIT, is_rich, may_be_rich

LINE_LIMIT: Final = 64 * 1024
"""Bytes of a line, unless its reader wants more; and what is kept of one that is cut."""

MOST_LINE_LIMIT: Final = 16 * 1024 * 1024
"""
What a reader can want at most: so much is held in memory for each stream that wants it.

The longest lines that ours want have 10 MiB; whose driver is of somebody else may want more. Up to
here it was measured that no turn of the reactor is long, however long the line is.
"""

CUT_MARK: Final = " […the rest of this line was dropped]"
"""Stands at the end of a line that was longer than the limit, or had more values."""

_CURSOR = re.compile(r"(0|[1-9][0-9]{0,18})(\+?)")


@attrs.frozen(slots=True)
class Cursor:
    """
    A place in a stream of lines.

    :ivar offset: In bytes; all before it was given.
    :ivar is_dropping: Whether what comes next, up to a newline, is the rest of a line that was
        too long.
    """

    offset: int = 0
    is_dropping: bool = False

    def __str__(self) -> str:
        return f"{self.offset}+" if self.is_dropping else str(self.offset)

    @classmethod
    def from_text(cls, text: str) -> Cursor:
        """
        Read what ``str`` wrote.

        :raises ValueError: if it is something else.
        """
        match = _CURSOR.fullmatch(text)
        if match is None:
            msg = f"not a place in a stream: {text!r}"
            raise ValueError(msg)
        return cls(int(match[1]), bool(match[2]))


def cut_lines(
    cursor: Cursor,
    data: bytes,
    *,
    is_last: bool = False,
    limit: int = LINE_LIMIT,
    value_limit: int = VALUE_LIMIT,
) -> tuple[list[str], Cursor]:
    """
    Cut what stands at a cursor into lines.

    A line ends at a newline; a carriage return before that belongs to the end. It is decoded
    from UTF-8, with U+FFFD for what is none.

    :param data: As much of the stream as there is, or more bytes than the limit; what the
        returned cursor does not pass must be given again.
    :param is_last: Whether the stream ends with it: then what follows the last newline is a
        line too.
    :param limit: Bytes of a line beyond which it is cut.
    :param value_limit: Values of JSON in a line beyond which it is cut.
    :returns: Whole lines, and the cursor behind them.
    """
    begin = 0
    if cursor.is_dropping:
        begin = data.find(b"\n") + 1
        if begin == 0:
            return [], Cursor(cursor.offset + len(data), is_dropping=True)
    end = data.rfind(b"\n") + 1
    lines = _whole_lines(data[begin : end - 1], limit, value_limit) if begin < end else []
    rest = len(data) - end
    if rest > limit:
        lines.append(cut_line(data[end:], limit))
        return lines, Cursor(cursor.offset + len(data), is_dropping=True)
    if is_last and rest:
        lines.append(_last_line(data[end:], limit, value_limit))
        end = len(data)
    return lines, Cursor(cursor.offset + end)


def _whole_lines(data: bytes, limit: int, value_limit: int) -> list[str]:
    """Cut lines that are all there, without the newline of the last."""
    if len(data) > limit or may_be_rich(data, value_limit):
        raw = data.split(b"\n")
        if max(map(len, raw)) > limit or any(is_rich(line, value_limit) for line in raw):
            return [_whole_line(line, limit, value_limit) for line in raw]
    # No newline is ever part of a broken character, so all can be decoded at once.
    text = data.decode("utf-8", "replace")
    lines = text.split("\n")
    return [line.removesuffix("\r") for line in lines] if "\r" in text else lines


def _whole_line(line: bytes, limit: int, value_limit: int) -> str:
    return _last_line(line, limit, value_limit).removesuffix("\r")


def _last_line(line: bytes, limit: int, value_limit: int) -> str:
    """Decode a line without a newline behind it, to which a carriage return would belong."""
    if len(line) > limit or is_rich(line, value_limit):
        return cut_line(line, limit)
    return line.decode("utf-8", "replace")


def cut_line(line: bytes, limit: int) -> str:
    """
    Keep the beginning of a line that is too long, or too rich, up to a whole character.

    :param line: All of it, or more than is kept: :data:`LINE_LIMIT` bytes, or the limit if that is
        lower. Nobody can do anything with megabytes of half a line.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return decoder.decode(line[: min(limit, LINE_LIMIT)]) + CUT_MARK
