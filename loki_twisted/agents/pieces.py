"""What one read of a spool gives, and how much: what becomes of it holds the reactor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from loki_twisted.agents.lines import Cursor

PIECE_LINES: Final = 2_000
"""At most so many lines are given at a time."""

FORMED_LINES: Final = 400
"""
At most so many, where more of them are not plain.

A line of JSON costs up to eight times as much as a plain one, one with escape sequences four times.
"""

TURN_WORK: Final = 1_000
"""
So much work of agents is begun in a turn of the reactor.

A unit is a plain line, or 256 bytes: 2 to 8 microseconds, with all that becomes of it.
"""

_FORMED_WORK: Final = 8
_BYTES: Final = 256
"""So many are as much work as a line."""


@attrs.frozen(slots=True)
class Piece:
    """
    What one read has found.

    :ivar lines: May be empty, in a long line whose end was not read yet, and in the dropped rest of
        one that was too long.
    :ivar cursor: The place behind it.
    :ivar last_bytes: A few bytes before the place of the next read.
    :ivar work: What will become of it, for :class:`~loki_twisted.kernel.shares.Shares`.
    """

    lines: Sequence[str]
    cursor: Cursor
    last_bytes: bytes
    work: int


def portion_of(data: bytes) -> bytes:
    """Give the beginning of some lines that may be taken at once; all of them, if so."""
    few = first_lines(data, PIECE_LINES)
    return first_lines(few, FORMED_LINES) if _formed(few) > FORMED_LINES else few


def work_of(data: bytes) -> int:
    """Say how much work lines are, in the units of :data:`TURN_WORK`."""
    plain = data.count(b"\n") + len(data) // _BYTES
    return 1 + plain + _FORMED_WORK * min(_formed(data), FORMED_LINES)


def first_lines(data: bytes, count: int) -> bytes:
    """Give data up to the end of its first so many lines; all of it, if it has no more."""
    if data.count(b"\n") <= count:
        return data
    end = -1
    for _ in range(count):
        end = data.index(b"\n", end + 1)
    return data[: end + 1]


def _formed(data: bytes) -> int:
    """About how many lines are not plain: more, if some have many braces or escape sequences."""
    return data.count(b"{") + data.count(b"\x1b")
