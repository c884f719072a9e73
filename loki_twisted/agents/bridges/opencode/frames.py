"""Cutting a stream of Server-Sent Events into the events, each in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

from .shortening import Shortener

MOST_TEXT = 60 * 1024
"""Bytes that are left of a text in an event."""

MOST_EVENT = 1024 * 1024
"""Bytes of an event beyond which it is dropped, even with its texts cut."""

_FIELD = b"data:"


class Frames:
    """
    Takes pieces of the stream, and gives what their ``data`` lines say.

    Other fields are passed over: opencode says all in the data.
    """

    def __init__(self) -> None:
        self._data: Shortener | None = None
        self._head = b""
        self._is_data: bool | None = None

    def feed(self, data: bytes) -> Iterator[Shortener]:
        """Take a piece; give each event that ends in it."""
        begin = 0
        while (end := data.find(b"\n", begin)) >= 0:
            self._take(data[begin:end])
            begin = end + 1
            is_blank = self._is_data is None and self._head in (b"", b"\r")
            self._is_data, self._head = None, b""
            if is_blank and self._data is not None:
                yield self._data
                self._data = None
        self._take(data[begin:])

    def _take(self, piece: bytes) -> None:
        """Take a part of a line."""
        if self._is_data is None:
            self._head += piece
            if len(self._head) < len(_FIELD):
                return
            self._is_data = self._head.startswith(_FIELD)
            piece, self._head = self._head[len(_FIELD) :], b""
            if self._is_data:
                if self._data is None:
                    self._data = Shortener(MOST_TEXT, MOST_EVENT)
                else:
                    piece = b" " + piece  # A line end between two data lines is a blank in JSON.
        if self._is_data and self._data is not None:
            self._data.feed(piece)
