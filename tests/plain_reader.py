"""A reader of the stream on a plain socket: the bytes as they come, cut into frames."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
from collections.abc import Iterator

_ID = re.compile(rb"\Aid: (.*)\nevent: ")
_PLACE = re.compile(rb"\Aid: (.*)\Z")


class Frames:
    """
    Cuts the bytes of a response into the frames of its body.

    :ivar status: The status line, once it is there.
    :ivar ended: Whether a chunked body came to its end.
    """

    def __init__(self) -> None:
        self.status = b""
        self.ended = False
        self._raw = b""
        self._body = b""
        self._chunked = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take what came; gives the frames that are whole now, without their empty lines."""
        self._raw += data
        if not self.status:
            head, end, rest = self._raw.partition(b"\r\n\r\n")
            if not end:
                return []
            self.status = head.partition(b"\r\n")[0]
            self._chunked = b"\r\ntransfer-encoding: chunked" in head.lower()
            self._raw = rest
        *frames, self._body = (self._body + self._unchunked()).split(b"\n\n")
        return frames

    def _unchunked(self) -> bytes:
        if not self._chunked:
            data, self._raw = self._raw, b""
            return data
        pieces, position = [], 0
        while (end := self._raw.find(b"\r\n", position)) >= 0:
            length = int(self._raw[position:end], 16)
            behind = end + 2 + length + 2
            if behind > len(self._raw):
                break
            self.ended = not length
            pieces.append(self._raw[end + 2 : behind - 2])
            position = behind
        self._raw = self._raw[position:]
        return b"".join(pieces)


def id_of(frame: bytes) -> str | None:
    """The id of an event's frame, or None if it is another frame, or has none."""
    found = _ID.match(frame)
    return found[1].decode() if found else None


def place_of(frame: bytes) -> str | None:
    """The place that a frame tells which has nothing but an id, or None if it is another."""
    found = _PLACE.match(frame)
    return found[1].decode() if found else None


class PlainReader:
    """
    One connection that reads the stream.

    :param last_id: Sent as ``Last-Event-ID``, unless None.
    :param receive_bytes: How much the system takes for the reader; None for its own choice.
    :ivar frames: What the response was cut with.
    """

    def __init__(
        self,
        port: int,
        query: str = "",
        last_id: str | bytes | None = None,
        *,
        version: str = "1.1",
        receive_bytes: int | None = None,
    ) -> None:
        self.frames = Frames()
        self.socket = socket.socket()
        try:
            if receive_bytes is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            self.socket.connect(("127.0.0.1", port))
            request = f"GET /api/events?{query} HTTP/{version}\r\nHost: localhost\r\n".encode()
            if last_id is not None:
                given = last_id.encode() if isinstance(last_id, str) else last_id
                request += b"Last-Event-ID: " + given + b"\r\n"
            self.socket.sendall(request + b"\r\n")
        except OSError:
            self.socket.close()
            raise

    def read(self, seconds: float | None, most: int = 262_144) -> list[bytes] | None:
        """
        Wait for bytes.

        :param seconds: At most so long; None to wait until there are some.
        :param most: Take so many bytes at most.
        :returns: The frames that are whole with them; None at the end of the connection.
        :raises TimeoutError: if nothing came.
        """
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(most)
        except ConnectionError:
            return None
        return self.frames.feed(data) if data else None

    def events(self, seconds: float | None = 60) -> Iterator[tuple[str, bytes]]:
        """Give each event's frame that has an id, with it, to the end of the connection."""
        while (frames := self.read(seconds)) is not None:
            for frame in frames:
                name = id_of(frame)
                if name is not None:
                    yield name, frame

    def close(self, *, reset: bool = False) -> None:
        """
        Close the connection.

        :param reset: Whether as one does whose machine went down, rather than in peace.
        """
        if reset:
            with contextlib.suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
