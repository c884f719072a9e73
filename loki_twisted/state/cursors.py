"""Names of the cursors that say how far the logs of a project were read."""

from __future__ import annotations

from typing import Final

import attrs

from loki_twisted.state.entries import text_of

_LEFT: Final = "/left/"
"""Begins no path that is relative."""

_DIGITS: Final = 20
"""An inode has no more."""


@attrs.frozen(slots=True)
class CursorNames:
    """
    Names of the cursors of one project.

    They are ``state:<project dir>:<path>``, and ``<session id>/log:<project dir>:<path>`` for
    a log in a session's directory, so that it is forgotten with the session. In the name
    of the project directory ``%`` and ``:`` stand as ``%25`` and ``%3A``. The path is
    relative to the state directory. The cursor of a file that has lost its name is
    ``state:<project dir>:/left/<inode>``.
    """

    project_dir: str

    def part(self) -> str:
        """What is a part of each of the names."""
        return f":{self._place()}"

    def seen(self) -> str:
        """The cursor that says that the project was watched before."""
        return f"state:{self._place()}:"

    def name(self, path: str, session_id: str | None) -> str:
        """The cursor of a log."""
        rest = f"{self._place()}:{text_of(path)}"
        return f"state:{rest}" if session_id is None else f"{session_id}/log:{rest}"

    def left(self, inode: int) -> str:
        """The cursor of a file that has lost its name."""
        return f"{self.seen()}{_LEFT}{inode}"

    def is_left(self, name: str) -> bool:
        """Whether a cursor is one of a file that has lost its name."""
        return name.startswith(self.seen() + _LEFT)

    def maybe_inode(self, name: str) -> int | None:
        """The inode that such a cursor is about; None if it is another one."""
        text = name.removeprefix(self.seen() + _LEFT)
        inode = int(text) if len(text) <= _DIGITS and text.isdecimal() else None
        return inode if inode is not None and name == self.left(inode) else None

    def directory(self, session_id: str) -> str:
        """The cursor that says that a session had a directory when it was last told of."""
        return f"{session_id}/directory:{self._place()}"

    def maybe_session(self, name: str) -> str | None:
        """The session whose directory a cursor is about, or None."""
        session_id, found, rest = name.partition(f"/directory:{self._place()}")
        return session_id if found and not rest and "/" not in session_id else None

    def maybe_path(self, name: str) -> str | None:
        """The log that a cursor is about; None if it is no log of this project."""
        plain = f"state:{self._place()}:"
        if name.startswith(plain):
            return None if self.is_left(name) else name[len(plain) :] or None
        session_id, found, path = name.partition(f"/log:{self._place()}:")
        return path if found and "/" not in session_id else None

    def _place(self) -> str:
        return text_of(self.project_dir).replace("%", "%25").replace(":", "%3A")
