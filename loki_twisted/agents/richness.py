"""How many values a line of JSON has, told before anybody reads it."""

from __future__ import annotations

import re
from typing import Final

MOST_VALUES: Final = 256 * 1024
"""
Of a line; a line that comes with one read has no more, because each takes a byte.

To decode a million of them takes a second, in which nothing else is done. A text of any length is
one.
"""

_STRINGS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


class Richness:
    """
    Counts the values of a line that comes in pieces, in a time that its length bounds.

    :ivar values: How many have begun so far, as far as its brackets and commas tell.
    """

    def __init__(self) -> None:
        self.values = 0
        self._is_in_string = False
        self._is_escaped = False

    @property
    def is_too_rich(self) -> bool:
        """Whether it has more values than anybody should be given."""
        return self.values > MOST_VALUES

    def add(self, data: bytes) -> None:
        """Go on with what comes next of the line."""
        if not data:
            return
        text = data[self._is_escaped :]
        self._is_escaped = _ends_escaped(text)
        text = text[: len(text) - self._is_escaped]
        # A string that goes on here begins here, and whatever is open ends here: so there is never
        # one without end, for which all of the rest would be gone through again and again.
        begin = b'"' if self._is_in_string else b""
        outside = _STRINGS.sub(b"", begin + text + b'"')
        self._is_in_string = not outside.endswith(b'"')
        self.values += sum(outside.count(each) for each in (b",", b"[", b"{"))


def _ends_escaped(text: bytes) -> bool:
    """Whether a text ends behind a backslash that escapes what comes next."""
    return (len(text) - len(text.rstrip(b"\\"))) % 2 == 1
