"""Keeping the places in log files that have lost their names, in case they turn up again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from loki_twisted.state.cursors import CursorNames
from loki_twisted.state.held import Position, furthest, position_as_text
from loki_twisted.state.logs import LogReading


class Shelf:
    """Sees that each place is stored somewhere, while one change is stored after the other."""

    def __init__(
        self,
        names: CursorNames,
        kept: Mapping[str, Position],
        wanted: Iterable[Position],
        shelved: Collection[str],
    ) -> None:
        """
        Begin with what is stored.

        :param kept: By cursor of a log, what it says.
        :param wanted: The places that are worth to be known.
        :param shelved: Cursors of files that have lost their names.
        """
        self._names = names
        self._kept = dict(kept)
        self._named: dict[int, set[str]] = {}
        for name, position in kept.items():
            self._named.setdefault(position.ino, set()).add(name)
        self._wanted: dict[int, Position] = {}
        for position in wanted:
            self._want(position)
        self._shelved = set(shelved)

    def after(
        self, reading: LogReading, cursors: Mapping[str, str | None], own: Position | None
    ) -> dict[str, str | None]:
        """
        Say what is to be stored with some cursors.

        :param cursors: Of the log that was read, and the names that its file had before.
        :param own: The position before the reading.
        """
        for left in (reading.left, reading.lost):
            if left is not None:
                self._want(left)
        if own is not None and reading.position is None and reading.lost is None:
            self._wanted.pop(own.ino, None)  # it was read to its end, and is deleted
        if reading.position is not None:
            if own is not None and own.ino == reading.position.ino:
                self._wanted[own.ino] = reading.position  # it may have been truncated
            self._want(reading.position)
        touched = {self._names.left(inode): inode for inode in self._moved(reading, cursors)}
        needed = {name for name, inode in touched.items() if self._is_needed(inode)}
        known = {self._names.left(inode) for inode in self._wanted}
        surplus = (self._shelved & touched.keys()) - needed | (self._shelved - known)
        self._shelved = self._shelved - surplus | needed
        return {
            **{name: position_as_text(self._wanted[touched[name]]) for name in needed},
            **dict.fromkeys(surplus),
        }

    def _want(self, position: Position) -> None:
        self._wanted[position.ino] = (
            furthest([position, self._wanted.get(position.ino)]) or position
        )

    def _is_needed(self, inode: int) -> bool:
        """Whether no name of a file is stored with all that was read of it."""
        wanted = self._wanted.get(inode)
        stored = [self._kept[name].offset for name in self._named.get(inode, ())]
        return wanted is not None and max(stored, default=-1) < wanted.offset

    def _moved(self, reading: LogReading, cursors: Mapping[str, str | None]) -> set[int]:
        """Note what cursors mean; gives the inodes that they concern."""
        found = set()
        for name, text in cursors.items():
            before = self._kept.pop(name, None)
            if before is not None:
                self._named[before.ino].discard(name)
                found.add(before.ino)
            if text is not None and reading.position is not None:
                self._kept[name] = reading.position
                self._named.setdefault(reading.position.ino, set()).add(name)
                found.add(reading.position.ino)
        return found
