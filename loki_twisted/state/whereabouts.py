"""Which log is which: what the names of a state directory stand for at this moment."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from loki_twisted.state.held import Position, maybe_log


class Whereabouts:
    """Looks at logs of one state directory. An answer may be past when it is heard."""

    def __init__(self, root: str) -> None:
        """
        Look at nothing yet.

        :param root: Absolute path of the state directory.
        """
        self._root = root

    def inode(self, path: str) -> int | None:
        """The inode of the file that has a name now; None if there is none."""
        status = self._status(path)
        return None if status is None else status.st_ino

    def has_too(self, path: str, position: Position) -> bool:
        """
        Whether a name is one of several of the file of a position.

        A file that has one name and was read under another was renamed meanwhile, and perhaps
        back. Of two files with one inode on different devices neither is the other.
        """
        status = self._status(path)
        if status is None or status.st_ino != position.ino:
            return False
        return status.st_nlink > 1 or status.st_dev != position.dev

    def true_of(self, path: str, positions: Sequence[Position]) -> Sequence[Position] | None:
        """
        Say which places are such in the file that has a name now.

        :param positions: All of one inode.
        :returns: None if the file that has the name now cannot be read, or is of another inode.
        """
        try:
            file = maybe_log(self._root, path)
        except OSError:
            return None
        if file is None:
            return None
        try:
            if any(file.ino != position.ino for position in positions):
                return None
            return [position for position in positions if file.still_has(position)]
        except OSError:
            return None
        finally:
            file.close()

    def _status(self, path: str) -> os.stat_result | None:
        try:
            status = os.lstat(f"{self._root}/{path}")
        except OSError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None
