"""Keeping the places in log files that have lost their names, in case they turn up again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from loki_twisted.state.cursors import CursorNames
from loki_twisted.state.held import Position, position_as_text
from loki_twisted.state.logs import LogReading


class Shelf:
    """Sees that each place is stored somewhere, while one change is stored after the other."""

    def __init__(
        self,
        names: CursorNames,
        kept: Mapping[str, int],
        wanted: Mapping[int, Position],
        shelved: Collection[str],
    ) -> None:
        """
        Begin with what is stored.

        :param kept: By cursor of a log, the inode of its file.
        :param wanted: By inode, the places that are worth to be known.
        :param shelved: Cursors of files that have lost their names.
        """
        self._names = names
        self._kept = dict(kept)
        self._count = Counter(kept.values())
        self._wanted = dict(wanted)
        self._shelved = set(shelved)

    def after(
        self, reading: LogReading, cursors: Mapping[str, str | None], own: Position | None
    ) -> dict[str, str | None]:
        """
        Say what is to be stored with some cursors.

        :param cursors: Of the log that was read, and the name that its file had before.
        :param own: The position before the reading.
        """
        for left in (reading.left, reading.lost):
            if left is not None:
                self._wanted[left.ino] = left
        if own is not None and reading.position is None and reading.lost is None:
            self._wanted.pop(own.ino, None)  # it was read to its end, and is deleted
        if reading.position is not None:
            self._wanted[reading.position.ino] = reading.position
        touched = {self._names.left(inode): inode for inode in self._moved(reading, cursors)}
        needed = {
            name
            for name, inode in touched.items()
            if inode in self._wanted and not self._count[inode]
        }
        known = {self._names.left(inode) for inode in self._wanted}
        surplus = (self._shelved & touched.keys()) - needed | (self._shelved - known)
        self._shelved = self._shelved - surplus | needed
        return {
            **{name: position_as_text(self._wanted[touched[name]]) for name in needed},
            **dict.fromkeys(surplus),
        }

    def _moved(self, reading: LogReading, cursors: Mapping[str, str | None]) -> set[int]:
        """Note what cursors mean; gives the inodes that they concern."""
        found = set()
        for name, text in cursors.items():
            before = self._kept.pop(name, None)
            if before is not None:
                self._count[before] -= 1
                found.add(before)
            if text is not None and reading.position is not None:
                self._kept[name] = reading.position.ino
                self._count[reading.position.ino] += 1
                found.add(reading.position.ino)
        return found
