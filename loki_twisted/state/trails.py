"""How far the logs of a state directory were read, by name and over renames."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from loki_twisted.state.cursors import CursorNames
from loki_twisted.state.held import Position, maybe_position, position_as_text
from loki_twisted.state.logs import LogReading
from loki_twisted.state.shelf import Shelf

_REMEMBERED: Final = 64
"""How many files that lost their names are remembered, in case they turn up under others."""


class Trails:
    """
    The positions in all logs of a project.

    :ivar is_new: Whether the project was never watched before, or not until all logs that
        were there at first had a position.
    """

    def __init__(self, names: CursorNames, session_of: Callable[[str], str | None]) -> None:
        """
        Know nothing.

        :param session_of: Of a path, the session whose directory it lies in.
        """
        self._names = names
        self._session_of = session_of
        self._positions: dict[str, Position] = {}
        self._left: dict[int, Position] = {}
        self._former: dict[str, str] = {}
        self._stored: dict[str, str] = {}
        self._kept: dict[str, int] = {}  # by cursor of a log, the inode that it is stored with
        self.is_new = True

    def load(self, cursors: Mapping[str, str]) -> None:
        """
        Begin with what is stored.

        :param cursors: As stored; those of others are passed over.
        """
        self.is_new = self._names.seen() not in cursors
        for name, text in cursors.items():
            path = self._names.maybe_path(name)
            is_other = path is None and self._names.maybe_session(name) is None
            if is_other and name != self._names.seen() and not self._names.is_left(name):
                continue
            self._store(name, text)
            position = maybe_position(text)
            if position is None:
                continue
            if path is not None:
                self._positions[path] = position
            elif self._names.is_left(name):
                self._left[position.ino] = position

    def position(self, path: str) -> Position | None:
        """How far a log was read; None if it was not."""
        return self._positions.get(path)

    def paths(self) -> list[str]:
        """All logs that were read."""
        return list(self._positions)

    def rename(
        self,
        paths: Iterable[str],
        inode_of: Callable[[str], int | None],
        has: Callable[[str, Position], bool],
    ) -> Collection[str]:
        """
        Let positions follow files that have got other names.

        :param paths: Logs that have changed.
        :param inode_of: Of a path, the inode that it has now; None if it is not there.
        :param has: Whether a file with the inode of a position is the one that was read: another
            one may have been given the inode since.
        :returns: Those whose files had other names before, or none.
        """
        by_inode: dict[int, list[str]] = {}
        for path, position in self._positions.items():
            by_inode.setdefault(position.ino, []).append(path)
        left: list[str] = []
        renamed: dict[str, Position] = {}
        for path in paths:
            inode = inode_of(path)
            if inode is None:
                continue
            own = self._positions.get(path)
            is_own = own is not None and own.ino == inode
            names = [name for name in by_inode.get(inode, ()) if name != path]
            old = next((name for name in names if inode_of(name) != inode), None)
            if old is not None:
                position = self._positions[old]
                # It may have been renamed while it was read: then it was begun under this name.
                renamed[path] = own if own and is_own and own.offset > position.offset else position
                self._former[path] = old
                left.append(old)
                by_inode[inode].remove(old)  # a second new name is another log
            elif not names and not is_own and inode in self._left:
                position = self._left.pop(inode)
                if has(path, position):
                    renamed[path] = position
        for old in left:
            del self._positions[old]
        # Files whose names were taken by others may come back under other names.
        for path, position in renamed.items():
            own = self._positions.get(path)
            if own is not None and own.ino != position.ino:
                self._left[own.ino] = own
        self._positions.update(renamed)
        return renamed.keys()

    def is_premature(self, reading: LogReading, inode_of: Callable[[str], int | None]) -> bool:
        """
        Whether a log was begun that was renamed while it was read, and known under another name.

        :param inode_of: See :meth:`rename`, which is to be called before it is read again.
        """
        own = self._positions.get(reading.path)
        begun = reading.position
        if begun is None or reading.left is not None or (own is not None and own.ino == begun.ino):
            return False
        return any(
            position.ino == begun.ino and path != reading.path and inode_of(path) != begun.ino
            for path, position in self._positions.items()
        )

    def after(self, readings: Iterable[LogReading]) -> dict[str, dict[str, str | None]]:
        """
        Say what is to be stored once the lines of some readings are.

        At any time each file that may turn up again is stored under one name or as one that has
        lost its name: so those with lines are to be stored before the others, in their order.

        :returns: By path of the log, its cursors; without what is stored already.
        """
        usable = [reading for reading in readings if reading.problem is None]
        read = {reading.path for reading in usable}
        shelf = Shelf(
            self._names,
            self._kept,
            {each.ino: each for each in (*self._left.values(), *self._positions.values())},
            {name for name in self._stored if self._names.is_left(name)},
        )
        changes: dict[str, dict[str, str | None]] = {}
        for reading in sorted(usable, key=lambda reading: not reading.lines):
            name = self._name(reading.path)
            text = None if reading.position is None else position_as_text(reading.position)
            cursors = {name: text} if text != self._stored.get(name) else {}
            former = self._former.get(reading.path)
            if former is not None and former not in self._positions and former not in read:
                # Else a crash before that name is read would leave two places in one file.
                cursors[self._name(former)] = None
            if cursors:
                own = self._positions.get(reading.path)
                changes[reading.path] = cursors | shelf.after(reading, cursors, own)
        return changes

    def _name(self, path: str) -> str:
        return self._names.name(path, self._session_of(path))

    def sessions(self) -> set[str]:
        """The sessions that had a directory when they were last told of."""
        found = (self._names.maybe_session(name) for name in self._stored)
        return {session_id for session_id in found if session_id is not None}

    def after_sessions(
        self, there: Collection[str], gone: Collection[str]
    ) -> dict[str, str | None]:
        """
        Say what is to be stored once it is told of sessions, so that the next server misses them.

        :param there: Sessions that have directories.
        :param gone: Those that have lost them.
        """
        names = {self._names.directory(session_id): "1" for session_id in there}
        lost = {self._names.directory(session_id) for session_id in gone} - names.keys()
        return {
            **{name: text for name, text in names.items() if name not in self._stored},
            **{name: None for name in lost if name in self._stored},
        }

    def seen(self) -> dict[str, str | None]:
        """What is to be stored once all logs that were there at first have a position."""
        return {self._names.seen(): "1"} if self.is_new else {}

    def confirm(self, readings: Iterable[LogReading], cursors: Mapping[str, str | None]) -> None:
        """
        Note that the lines of some readings were taken.

        :param cursors: What was stored with them.
        """
        for name, text in cursors.items():
            self._store(name, text)
        self.is_new = self.is_new and self._names.seen() not in cursors
        for reading in readings:
            if reading.problem is not None:
                continue
            self._former.pop(reading.path, None)
            if reading.position is None:
                self._positions.pop(reading.path, None)
            else:
                self._positions[reading.path] = reading.position
            for left in (reading.left, reading.lost):
                if left is not None:
                    self._left[left.ino] = left
        while len(self._left) > _REMEMBERED:
            del self._left[next(iter(self._left))]

    def _store(self, name: str, text: str | None) -> None:
        self._stored.pop(name, None)
        self._kept.pop(name, None)
        if text is not None:
            self._stored[name] = text
            position = maybe_position(text)
            if position is not None and self._names.maybe_path(name) is not None:
                self._kept[name] = position.ino

    def stored(self) -> Mapping[str, str]:
        """All cursors of this project, as they are stored now."""
        return self._stored
