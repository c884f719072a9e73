"""How far the logs of a state directory were read, by name and over renames."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

import attrs

from loki_twisted.state.entries import text_of
from loki_twisted.state.held import Position, maybe_position, position_as_text
from loki_twisted.state.logs import LogReading

_REMEMBERED: Final = 64
"""How many files that lost their names are remembered, in case they turn up under others."""


@attrs.frozen(slots=True)
class CursorNames:
    """
    Names of the cursors of one project.

    They are ``state:<project dir>:<path>``, and ``<session id>/log:<project dir>:<path>`` for
    a log in a session's directory, so that it is forgotten with the session. In the name
    of the project directory ``%`` and ``:`` stand as ``%25`` and ``%3A``. The path is
    relative to the state directory.
    """

    project_dir: str

    def seen(self) -> str:
        """The cursor that says that the project was watched before."""
        return f"state:{self._place()}:"

    def name(self, path: str, session_id: str | None) -> str:
        """The cursor of a log."""
        rest = f"{self._place()}:{text_of(path)}"
        return f"state:{rest}" if session_id is None else f"{session_id}/log:{rest}"

    def maybe_path(self, name: str) -> str | None:
        """The log that a cursor is about; None if it is no log of this project."""
        plain = f"state:{self._place()}:"
        if name.startswith(plain):
            return name[len(plain) :] or None
        session_id, found, path = name.partition(f"/log:{self._place()}:")
        return path if found and "/" not in session_id else None

    def _place(self) -> str:
        return text_of(self.project_dir).replace("%", "%25").replace(":", "%3A")


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
        self._stored: dict[str, str] = {}
        self.is_new = True

    def load(self, cursors: Mapping[str, str]) -> None:
        """
        Begin with what is stored.

        :param cursors: As stored; those of others are passed over.
        """
        self.is_new = self._names.seen() not in cursors
        for name, text in cursors.items():
            path = self._names.maybe_path(name)
            if path is None and name != self._names.seen():
                continue
            self._stored[name] = text
            position = maybe_position(text)
            if path is not None and position is not None:
                self._positions[path] = position

    def position(self, path: str) -> Position | None:
        """How far a log was read; None if it was not."""
        return self._positions.get(path)

    def paths(self) -> list[str]:
        """All logs that were read."""
        return list(self._positions)

    def rename(
        self, paths: Iterable[str], inode_of: Callable[[str], int | None]
    ) -> Collection[str]:
        """
        Let positions follow files that have got other names.

        :param paths: Logs that have changed.
        :param inode_of: Of a path, the inode that it has now; None if it is not there.
        :returns: Those whose files had other names before, or none.
        """
        by_inode = {position.ino: path for path, position in self._positions.items()}
        left: list[str] = []
        renamed: dict[str, Position] = {}
        for path in paths:
            inode = inode_of(path)
            own = self._positions.get(path)
            if inode is None or (own is not None and own.ino == inode):
                continue
            old = by_inode.get(inode)
            if old is None:
                if inode in self._left:
                    renamed[path] = self._left.pop(inode)
            elif inode_of(old) != inode:
                renamed[path] = self._positions[old]
                left.append(old)
                del by_inode[inode]  # a second new name is another log
        for old in left:
            del self._positions[old]
        # Files whose names were taken by others may come back under other names.
        lost = (self._positions[path] for path in renamed if path in self._positions)
        self._left.update({position.ino: position for position in lost})
        self._positions.update(renamed)
        return renamed.keys()

    def after(self, readings: Iterable[LogReading]) -> dict[str, dict[str, str | None]]:
        """
        Say what is to be stored once the lines of some readings are.

        :returns: By path of the log, its cursors; without what is stored already.
        """
        changes: dict[str, dict[str, str | None]] = {}
        for reading in readings:
            name = self._names.name(reading.path, self._session_of(reading.path))
            text = None if reading.position is None else position_as_text(reading.position)
            if text != self._stored.get(name):
                changes[reading.path] = {name: text}
        return changes

    def seen(self) -> dict[str, str | None]:
        """What is to be stored once all logs that were there at first have a position."""
        return {self._names.seen(): "1"} if self.is_new else {}

    def confirm(self, readings: Iterable[LogReading], cursors: Mapping[str, str | None]) -> None:
        """
        Note that the lines of some readings were taken.

        :param cursors: What was stored with them.
        """
        for name, text in cursors.items():
            if text is None:
                self._stored.pop(name, None)
            else:
                self._stored[name] = text
        self.is_new = self.is_new and self._names.seen() not in cursors
        for reading in readings:
            if reading.position is None:
                self._positions.pop(reading.path, None)
            else:
                self._positions[reading.path] = reading.position
            if reading.left is not None:
                self._left[reading.left.ino] = reading.left
        while len(self._left) > _REMEMBERED:
            del self._left[next(iter(self._left))]

    def stored(self) -> Mapping[str, str]:
        """All cursors of this project, as they are stored now."""
        return self._stored
