"""Room behind the end of a spool, so that a disk that becomes full takes nothing of it at once."""

from __future__ import annotations

import fcntl
import os
import signal
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
        """
        Give back what is left, unless somebody else has the spool open.

        Who got away from a keeper that was killed may write to it still. The end that is seen and
        the end at which it is cut would not be the same then.
        """
        with suppress(OSError):
            # The kernel gives this only to who is alone with a file, and has others wait.
            fcntl.fcntl(self._file, fcntl.F_SETSIG, signal.SIGURG)  # others' waiting is no matter
            fcntl.fcntl(self._file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            os.ftruncate(self._file, os.fstat(self._file).st_size)
            fcntl.fcntl(self._file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
