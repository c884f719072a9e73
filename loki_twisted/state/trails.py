"""How far the logs of a state directory were read, by name and over renames."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import attrs

from loki_twisted.state.cursors import CursorNames
from loki_twisted.state.held import Position, furthest, maybe_position, position_as_text
from loki_twisted.state.log_places import Places
from loki_twisted.state.logs import LogReading
from loki_twisted.state.shelf import Shelf
from loki_twisted.state.whereabouts import Whereabouts

_REMEMBERED: Final = 256
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
        self._positions = Places()
        self._left: dict[int, Position] = {}
        self._former: dict[str, set[str]] = {}
        self._stored: dict[str, str] = {}
        self._kept = Places()  # by cursor of a log, as stored
        self._shelved: set[str] = set()  # cursors of files that have lost their names, as stored
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
                self._positions.put(path, position)
            elif self._names.is_left(name):
                self._left[position.ino] = position

    def position(self, path: str) -> Position | None:
        """How far a log was read; None if it was not."""
        return self._positions.get(path)

    def paths(self) -> list[str]:
        """All logs that were read."""
        return self._positions.names()

    def rename(self, paths: Iterable[str], whereabouts: Whereabouts) -> Collection[str]:
        """
        Let positions follow files that have got other names.

        :param paths: Logs that have changed.
        :returns: Those whose files had other names before, or none.
        """
        left: dict[int, Collection[str]] = {}  # by inode, where not all names stay
        renamed: dict[str, Position] = {}
        former: set[str] = set()
        for path in paths:
            inode = whereabouts.inode(path)
            own = self._positions.get(path)
            if own is not None and own.ino != inode:
                # It may have been read under another name since.
                others = left.get(own.ino, self._positions.names_of(own.ino))
                place = self._place_of(own, others, path, whereabouts)
                self._positions.put(path, furthest([own, place]) or own)
            if inode is None:
                continue
            names = left.get(inode, self._positions.names_of(inode))
            old = [n for n in names if n != path and whereabouts.inode(n) != inode]
            found = self._found_again(path, inode, old, whereabouts)
            if found is None:
                continue
            renamed[path] = found
            self._left.pop(inode, None)
            self._former.setdefault(path, set()).update(old)
            former.update(old)
            left[inode] = [n for n in names if n not in old]  # a second new name is another log
        before = [self._positions.get(path) for path in renamed]
        for path in former:
            self._positions.drop(path)
        for path, position in renamed.items():
            self._positions.put(path, position)
        self._leave(before)
        return renamed.keys()

    def _found_again(
        self, path: str, inode: int, old: Sequence[str], whereabouts: Whereabouts
    ) -> Position | None:
        """
        Say where to go on in a file that was known under other names, or under none.

        What was read last of it is true, and may be known under any of its names: it may have
        been renamed while it was read.

        :param old: Names of it that it has no more.
        :returns: None if there is no such place, or the file cannot be read.
        """
        shelved = self._left.get(inode)
        known = self._positions.of(old)
        if shelved is None and not known:
            return None
        own = self._positions.get(path)
        if own is not None and own.ino == inode:
            known.insert(0, own)
        if shelved is None and len(known) == 1:
            return known[0]
        true = whereabouts.true_of(path, known if shelved is None else [*known, shelved])
        if true is None:
            return None
        if not known and not true:
            del self._left[inode]  # another file has its inode
        return furthest(true) or next(iter(known), None)

    def _leave(self, positions: Iterable[Position | None]) -> None:
        """Remember files that have lost their names: they may come back under other ones."""
        for position in positions:
            if position is None:
                continue
            named = self._positions.furthest_in(position.ino)
            if named is None or named.offset < position.offset:
                known = furthest([position, self._left.pop(position.ino, None)])
                self._left[position.ino] = known or position
        while len(self._left) > _REMEMBERED:
            del self._left[next(iter(self._left))]

    def sound(
        self, readings: Iterable[LogReading], whereabouts: Whereabouts
    ) -> Sequence[LogReading]:
        """
        Leave out what was read before under another name: logs that were renamed meanwhile.

        They are to be read again, after :meth:`rename`. Where a log is only to be begun next, it
        is to be gone on with at the place that is known.
        """
        found: list[LogReading] = []
        names_of = self._positions.names_of
        met: dict[int, Position] = {}  # in the readings before
        for reading in readings:
            own = self._positions.get(reading.path)
            read = reading.left or reading.position or (None if reading.lost else own)
            if read is not None:
                place = furthest(
                    [
                        self._place_of(read, names_of(read.ino), reading.path, whereabouts),
                        met.get(read.ino),
                    ]
                )
                began = own.offset if own is not None and own.ino == read.ino else -1
                if place is not None and place.offset > began:
                    continue
            if reading.left is not None and reading.position is not None:
                next_ = reading.position
                others = names_of(next_.ino)
                place = self._place_of(next_, others, reading.path, whereabouts)
                place = furthest([next_, place, met.get(next_.ino)])
                reading = attrs.evolve(reading, position=place)  # noqa: PLW2901
            found.append(reading)
            for each in (reading.left, reading.position):
                if each is not None:
                    met[each.ino] = furthest([each, met.get(each.ino)]) or each
        return found

    def _place_of(
        self,
        position: Position,
        names: Iterable[str],
        path: str,
        whereabouts: Whereabouts,
    ) -> Position | None:
        """
        Say how far a file was read under other names, or before it lost its name.

        :param names: All that it has or had.
        """
        others = [n for n in names if n != path and not whereabouts.has_too(n, position)]
        return furthest([*self._positions.of(others), self._left.get(position.ino)])

    def _furthest_in(self, inode: int) -> Position | None:
        return self._positions.furthest_in(inode, self._left.get(inode))

    def after(self, readings: Iterable[LogReading]) -> dict[str, dict[str, str | None]]:
        """
        Say what is to be stored once the lines of some readings are.

        At any time each file that may turn up again is stored under one name or as one that has
        lost its name: so those with lines are to be stored before the others, in their order.

        :returns: By path of the log, its cursors; without what is stored already.
        """
        usable = [reading for reading in readings if reading.problem is None]
        read = {reading.path for reading in usable}
        shelf = Shelf(self._names, self._kept, self._furthest_in, self._shelved)
        changes: dict[str, dict[str, str | None]] = {}
        for reading in sorted(usable, key=lambda reading: not reading.lines):
            name = self._name(reading.path)
            text = None if reading.position is None else position_as_text(reading.position)
            cursors = {name: text} if text != self._stored.get(name) else {}
            for former in self._former.get(reading.path, ()):
                if former not in self._positions and former not in read:
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
                self._positions.drop(reading.path)
            else:
                self._positions.put(reading.path, reading.position)
                shelved = self._left.get(reading.position.ino)
                if shelved is not None and shelved.offset <= reading.position.offset:
                    del self._left[reading.position.ino]
            self._leave([reading.left, reading.lost])

    def _store(self, name: str, text: str | None) -> None:
        self._stored.pop(name, None)
        self._kept.drop(name)
        self._shelved.discard(name)
        if text is not None:
            self._stored[name] = text
            position = maybe_position(text)
            if self._names.is_left(name):
                self._shelved.add(name)
            elif position is not None and self._names.maybe_path(name) is not None:
                self._kept.put(name, position)

    def stored(self) -> Mapping[str, str]:
        """All cursors of this project, as they are stored now."""
        return self._stored
