"""How many values a line of JSON has, told before anybody reads it."""

from __future__ import annotations

import re
from typing import Final

VALUE_LIMIT: Final = 32 * 1024
"""
Values of a line, unless its reader can do with more.

To decode a million takes up to half a second, in which nothing else is done, and to look at them
takes as long again. A text of any length is one.
"""

MOST_VALUE_LIMIT: Final = 64 * 1024
"""What a reader can do with at most: one that looks at few of them."""

SHORT_BYTES: Final = 64 * 1024
"""
A line of no more bytes may have any number of values. It has no more than half as many, as each but
the first stands behind a mark; in a text that is no JSON there may be more marks.
"""

_MARKS: Final = (b",", b"[", b"{")
"""What stands before a value."""

_STRINGS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


class Richness:
    """
    Counts the values of a line that comes in pieces, in a time that its length bounds.

    :param limit: How many may be too many for whoever reads it.
    :ivar values: How many have begun so far, as far as its brackets and commas tell.
    """

    def __init__(self, limit: int = VALUE_LIMIT) -> None:
        self.values = 0
        self._size = 0
        self._limit = min(limit, MOST_VALUE_LIMIT)
        self._is_in_string = False
        self._is_escaped = False

    @property
    def is_too_rich(self) -> bool:
        """Whether it has more values than anybody should be given."""
        return self._size > SHORT_BYTES and self.values > self._limit

    def add(self, data: bytes) -> None:
        """Go on with what comes next of the line."""
        if not data:
            return
        self._size += len(data)
        text = data[self._is_escaped :]
        self._is_escaped = _ends_escaped(text)
        text = text[: len(text) - self._is_escaped]
        # A string that goes on here begins here, and whatever is open ends here: so there is never
        # one without end, for which all of the rest would be gone through again and again.
        begin = b'"' if self._is_in_string else b""
        outside = _STRINGS.sub(b"", begin + text + b'"')
        self._is_in_string = not outside.endswith(b'"')
        self.values += sum(map(outside.count, _MARKS))


def may_be_rich(data: bytes, limit: int) -> bool:
    """Say cheaply whether it is worth it to count the values of some lines one by one."""
    return len(data) > max(limit, SHORT_BYTES) and sum(map(data.count, _MARKS)) > limit


def is_rich(line: bytes, limit: int) -> bool:
    """Whether a line that is all there has more values than a limit."""
    if not may_be_rich(line, limit):
        return False
    richness = Richness(limit)
    richness.add(line)
    return richness.is_too_rich


def _ends_escaped(text: bytes) -> bool:
    """Whether a text ends behind a backslash that escapes what comes next."""
    return (len(text) - len(text.rstrip(b"\\"))) % 2 == 1
