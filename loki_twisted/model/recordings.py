"""
Recordings: what an agent printed, with times, to be played again.

A recording is JSON lines in UTF-8. The first is a :class:`Heading`, then come :class:`Piece` after
:class:`Piece`, and a :class:`Ending` at last; one that was broken off has none. Pieces are cut
anywhere, also within a line or a character.
"""

from __future__ import annotations

import base64
from typing import Literal

import msgspec

VERSION = 1


class _Entry(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="kind"):
    """An entry; ``kind`` says of which kind."""


class Heading(_Entry, frozen=True, kw_only=True, tag="loki"):
    """
    Whose output it is.

    :ivar driven_by: The name of the provider whose language it is.
    :ivar started_at: ISO 8601.
    """

    version: int = VERSION
    driven_by: str
    started_at: str
    model: str | None = None


class Piece(_Entry, frozen=True, kw_only=True, tag="piece"):
    """
    Some bytes.

    :ivar at_ms: When they came, since the start of the session.
    :ivar text: The bytes, if they are UTF-8; else they stand in ``base64``.
    """

    at_ms: int
    stream: Literal["stdout", "stderr"]
    text: str | None = None
    base64: str | None = None

    @property
    def data(self) -> bytes:
        """The bytes."""
        if self.text is not None:
            return self.text.encode()
        return base64.b64decode(self.base64 or "")


class Ending(_Entry, frozen=True, kw_only=True, tag="end"):
    """
    How the agent ended.

    :ivar exit_code: As a shell gives it; None where nobody knows.
    """

    at_ms: int
    exit_code: int | None = None


Entry = Heading | Piece | Ending

_decode = msgspec.json.Decoder(Entry).decode


def piece_of(at_ms: int, stream: Literal["stdout", "stderr"], data: bytes) -> Piece:
    """Make a piece of some bytes."""
    try:
        return Piece(at_ms=at_ms, stream=stream, text=data.decode())
    except UnicodeDecodeError:
        return Piece(at_ms=at_ms, stream=stream, base64=base64.b64encode(data).decode())


def line_of(entry: Entry) -> bytes:
    """Write an entry as a line, with its end."""
    return msgspec.json.encode(entry) + b"\n"


def entry_of(line: bytes | str) -> Entry:
    """
    Read a line.

    :raises msgspec.MsgspecError: if it is none of a recording.
    """
    entry: Entry = _decode(line)
    return entry
