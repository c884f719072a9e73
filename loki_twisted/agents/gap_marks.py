"""
Marks of agents whose output finds no room: what is to be told when there is some again.

On a full disk nothing can be written down. So the mark is a bit in the mode of a file that is there
anyway, of which nothing else is ever changed: the time of that change is the time of the mark.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from loki_twisted.agents.files import AgentFiles, open_at_once
from loki_twisted.agents.keeper.layout import LOCK

_PLAIN = 0o600
_MARKED = 0o700
_NS_PER_MS = 1_000_000


class GapMarks:
    """
    The marks of all agents.

    :param directory: Where the directories of agents are.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def begin(self, session_id: str, *, anew: bool = False) -> int | None:
        """
        Mark an agent, unless it is marked.

        :param anew: Whether a mark that is there is to be one of now.
        :returns: Since when it is: milliseconds since the Unix epoch; None if it cannot be.
        """
        with suppress(OSError, ValueError), self._file(session_id) as file:
            if anew or not _is_marked(os.fstat(file)):
                os.fchmod(file, _MARKED)  # its time is that of the change, also of one to the same
            return _since(os.fstat(file))
        return None

    def end(self, session_id: str) -> bool:
        """
        Take the mark away.

        :returns: Whether none is left; if not, it could not be done now.
        """
        try:
            with self._file(session_id) as file:
                if _is_marked(os.fstat(file)):
                    os.fchmod(file, _PLAIN)
        except (FileNotFoundError, ValueError):
            return True
        except OSError as error:
            return error.errno == errno.ELOOP
        return True

    def found(self) -> Iterator[tuple[str, int | None]]:
        """Say of each agent that there is since when it is marked, or None."""
        try:
            names = os.listdir(self._directory)
        except OSError:
            return
        for name in names:
            yield name, self._of(name)

    def _of(self, session_id: str) -> int | None:
        with suppress(OSError):
            found = os.lstat(os.path.join(self._directory, session_id, LOCK))
            return _since(found) if _is_marked(found) else None
        return None

    @contextmanager
    def _file(self, session_id: str) -> Iterator[int]:
        path = AgentFiles.of(self._directory, session_id).path(LOCK)
        file = open_at_once(path, os.O_RDONLY | os.O_NOFOLLOW)  # an agent may have put a link there
        try:
            yield file
        finally:
            os.close(file)


def _is_marked(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == _MARKED


def _since(found: os.stat_result) -> int:
    return found.st_ctime_ns // _NS_PER_MS
