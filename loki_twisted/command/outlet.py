"""
Writing to where nobody may read just now, without waiting for somebody who does.

A terminal that was stopped, a pager that shows its first page, a pipe whose reader hangs: who
writes there waits, and with a server all its clients.
"""

from __future__ import annotations

import select
from typing import Final, TextIO

_PIECE: Final = 1024
"""Characters that are written at once: a pipe that takes any takes so many."""

_PATIENCE_MS: Final = 20
"""A reader that is only slow is waited for, once: until it reads again nobody waits any more."""


class Outlet:
    """A stream that is written to as long as somebody reads it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._room = _maybe_room(stream)
        self._is_stuck = False
        self._is_broken_off = False

    def write(self, text: str) -> bool:
        """
        Write lines, and have them written.

        :returns: Whether all of it was; what is left out may be anything from its end.
        :raises OSError: if it cannot be written to at all.
        """
        rest = f"\n{text}" if self._is_broken_off else text
        for begin in range(0, len(rest), _PIECE):
            if not self._has_room():
                self._is_broken_off = self._is_broken_off or begin > 0
                return False
            self._stream.write(rest[begin : begin + _PIECE])
            self._stream.flush()
            self._is_broken_off = False
        return True

    def _has_room(self) -> bool:
        if self._room is None:
            return True
        self._is_stuck = not self._room.poll(0 if self._is_stuck else _PATIENCE_MS)
        return not self._is_stuck


def _maybe_room(stream: TextIO) -> select.poll | None:
    """What tells whether a stream can be written to; None if it is none of the system's."""
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    return room
