"""Keeping the places in log files that have lost their names, in case they turn up again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from loki_twisted.state.cursors import CursorNames
from loki_twisted.state.held import Position, furthest, position_as_text
from loki_twisted.state.log_places import Places
from loki_twisted.state.logs import LogReading


class Shelf:
    """
    Sees that each place is stored somewhere, while one change is stored after the other.

    It looks only at the files that are concerned: there may be thousands of others.
    """

    def __init__(
        self,
        names: CursorNames,
        kept: Places,
        wanted: Callable[[int], Position | None],
        shelved: Collection[str],
    ) -> None:
        """
        Begin with what is stored.

        :param kept: By cursor of a log, what it says.
        :param wanted: Of a file's inode, the place in it that is worth to be known.
        :param shelved: Cursors of files that have lost their names.
        """
        self._names = names
        self._kept_before = kept
        self._kept: dict[str, Position | None] = {}  # where that is other than before
        self._named: dict[int, set[str]] = {}  # of these, by inode
        self._wanted_before = wanted
        self._wanted: dict[int, Position | None] = {}  # where that is other than before
        self._shelved = set(shelved)
        self._unknown = {name for name in shelved if not self._is_known(name)}

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
            self._wanted[own.ino] = None  # it was read to its end, and is deleted
            self._unknown.add(self._names.left(own.ino))
        if reading.position is not None:
            if own is not None and own.ino == reading.position.ino:
                self._wanted[own.ino] = reading.position  # it may have been truncated
            self._want(reading.position)
        touched = {self._names.left(inode): inode for inode in self._moved(reading, cursors)}
        needed = {
            name: position_as_text(wanted)
            for name, inode in touched.items()
            if (wanted := self._wanted_in(inode)) is not None and self._is_needed(inode, wanted)
        }
        surplus = (self._shelved & touched.keys()) - needed.keys()
        surplus |= {name for name in self._unknown & self._shelved if not self._is_known(name)}
        self._unknown.clear()
        self._shelved = (self._shelved - surplus) | needed.keys()
        return {**needed, **dict.fromkeys(surplus)}

    def _wanted_in(self, inode: int) -> Position | None:
        return self._wanted[inode] if inode in self._wanted else self._wanted_before(inode)

    def _want(self, position: Position) -> None:
        found = furthest([position, self._wanted_in(position.ino)])
        self._wanted[position.ino] = found or position

    def _is_known(self, shelved: str) -> bool:
        """Whether a cursor of a file that has lost its name is of one that is still wanted."""
        inode = self._names.maybe_inode(shelved)
        return inode is not None and self._wanted_in(inode) is not None

    def _is_needed(self, inode: int, wanted: Position) -> bool:
        """Whether no name of a file is stored with all that was read of it."""
        before = [name for name in self._kept_before.names_of(inode) if name not in self._kept]
        stored = [place.offset for place in self._kept_before.of(before)]
        changed = (self._kept[name] for name in self._named.get(inode, ()))
        stored += [place.offset for place in changed if place is not None]
        return max(stored, default=-1) < wanted.offset

    def _moved(self, reading: LogReading, cursors: Mapping[str, str | None]) -> set[int]:
        """Note what cursors mean; gives the inodes that they concern."""
        found = set()
        for name, text in cursors.items():
            before = self._kept[name] if name in self._kept else self._kept_before.get(name)
            self._kept[name] = None
            if before is not None:
                self._named.get(before.ino, set()).discard(name)
                found.add(before.ino)
            if text is not None and reading.position is not None:
                self._kept[name] = reading.position
                self._named.setdefault(reading.position.ino, set()).add(name)
                found.add(reading.position.ino)
        return found
