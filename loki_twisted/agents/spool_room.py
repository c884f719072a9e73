"""Room behind the end of a spool, so that a disk that becomes full takes nothing of it at once."""

from __future__ import annotations

import os
from contextlib import suppress

from loki_twisted.agents.keeper.room import ROOM, take_room


class SpoolRoom:
    """
    The room behind the end of one spool. The keeper takes the first of it; here more is taken as it
    is used up, and what is left is given back at the end.

    :param file: A descriptor of the spool, open for writing.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._until = 0
        self._is_possible = True

    def keep_behind(self, end: int) -> None:
        """
        See to it that there is room behind the end, as far as there is any on the disk.

        :param end: How long the spool is.
        """
        left = self._until - end
        # More than was ever taken is left of a spool that was emptied.
        if not self._is_possible or ROOM // 2 <= left <= ROOM:
            return
        with suppress(OSError):  # what was taken before is still there
            self._is_possible = take_room(self._file, end)
            self._until = end + ROOM

    def give_back(self) -> None:
        """Give back what is left. Nobody may write to the spool any more."""
        with suppress(OSError):
            os.ftruncate(self._file, os.fstat(self._file).st_size)
