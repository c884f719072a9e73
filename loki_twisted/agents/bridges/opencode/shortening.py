"""JSON that comes in pieces, with its long texts cut, so that a document of any size is small."""

from __future__ import annotations

import re

_STRING = re.compile(rb'[^"\\]++|\\u[0-9a-fA-F]{4}|\\[^u]|"')
_REST = re.compile(rb'(?:[^"\\]++|\\u[0-9a-fA-F]{4}|\\[^u])++')
_FIRST_HALF = re.compile(rb"\\u[dD][89abAB]")
_LONGEST_ESCAPE = 6
_CONTINUATION = 0xC0, 0x80


class Shortener:
    """
    Takes a JSON document, and cuts each text in it that is longer than a limit.

    What stands between the texts is left as it is. It need not be valid: then neither is what
    comes out.

    :param most_text: Bytes that may be left of a text, escapes and all.
    :param most: Bytes that may be left of the whole.
    :ivar size: How many bytes came.
    """

    def __init__(self, most_text: int, most: int) -> None:
        self.size = 0
        self._most_text = most_text
        self._most = most
        self._kept = bytearray()
        self._rest = b""
        self._is_short = True
        self._is_text = False
        self._length = 0
        self._dropped = 0
        self._is_half = False

    @property
    def is_too_large(self) -> bool:
        """Whether it is beyond the limit of the whole."""
        return len(self._kept) > self._most

    def feed(self, data: bytes) -> None:
        """Take a piece."""
        self.size += len(data)
        if self._is_short:
            if self.size <= self._most_text:  # So small that no text in it can be too long.
                self._kept += data
                return
            self._is_short = False
            data = bytes(self._kept) + data
            self._kept.clear()
        data = self._rest + data
        at = 0
        while at < len(data) and not self.is_too_large:
            at = self._take_text(data, at) if self._is_text else self._take_other(data, at)
            if at < 0:
                return
        self._rest = b""

    def text(self) -> str:
        """Give what has become of it; broken UTF-8 becomes U+FFFD."""
        return (bytes(self._kept) + self._rest).decode("utf-8", "replace")

    def _take_other(self, data: bytes, at: int) -> int:
        """Take what is no text; return where it goes on."""
        end = data.find(b'"', at) + 1
        if end == 0:
            self._kept += data[at:]
            return len(data)
        self._kept += data[at:end]
        self._is_text, self._is_half = True, False
        self._length = self._dropped = 0
        return end

    def _take_text(self, data: bytes, at: int) -> int:
        """Take a part of a text; return where it goes on, or -1 if more must come for that."""
        # What is dropped is passed all at once.
        found = (_REST.match(data, at) if self._dropped else None) or _STRING.match(data, at)
        if found is None:
            if len(data) - at < _LONGEST_ESCAPE:
                self._rest = data[at:]
                return -1
            end = at + 2  # An escape that is none: it passes, and is no JSON.
        else:
            end = found.end()
        piece = data[at:end]
        if piece == b'"':
            self._end_text()
        else:
            self._keep(piece)
        return end

    def _keep(self, piece: bytes) -> None:
        room = 0 if self._dropped else self._most_text - self._length
        if len(piece) > room:
            whole = len(piece)
            piece = b"" if piece[:1] == b"\\" else piece[: _before_character(piece, room)]
            self._dropped += whole - len(piece)
            if self._is_half and not piece:  # The first half of a character cannot stand alone.
                del self._kept[-_LONGEST_ESCAPE:]
                self._length -= _LONGEST_ESCAPE
                self._dropped += _LONGEST_ESCAPE
        self._is_half = _FIRST_HALF.match(piece) is not None
        self._length += len(piece)
        self._kept += piece

    def _end_text(self) -> None:
        if self._dropped:
            self._kept += b" [cut, %d bytes in all]" % (self._length + self._dropped)
        self._kept += b'"'
        self._is_text = False


def _before_character(data: bytes, at: int) -> int:
    """The place of the beginning of the character that a place is in."""
    mask, value = _CONTINUATION
    while at > 0 and data[at] & mask == value:
        at -= 1
    return at
