"""What can go wrong with a database, in words of ours."""

from __future__ import annotations

import errno
import os
from typing import Final

import apsw
from twisted.python.failure import Failure

from loki_twisted.model.errors import StorageDamaged, StorageFailed, StorageFull

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

READ_ONLY: Final = "The log could not be written: its disk is read-only."
"""What is told of a disk that takes nothing any more, of nobody."""


class Damaged(Exception):
    """A database holds what we never wrote, or no longer what we wrote."""


_DAMAGE: Final = (Damaged, apsw.CorruptError, apsw.NotADBError)


def is_wrong_sum(error: Exception) -> bool:
    """Say whether an error says that a page does not have the sum that stands in it."""
    return getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA


def is_damage(error: Exception) -> bool:
    """Say whether an error says that a file is damaged, and not that it could not be reached."""
    return isinstance(error, _DAMAGE) or is_wrong_sum(error)


def storage_error(verb: str, error: Exception, system_errno: int = 0) -> StorageFailed:
    """
    Translate an error of the database or of the operating system.

    :param verb: What was tried, as a participle: ``written``.
    :param system_errno: The ``errno`` behind an error of SQLite, or 0.
    :returns: :class:`StorageFull` if there was no room, :class:`StorageDamaged` if it is damaged,
        else :class:`StorageFailed`.
    """
    number = error.errno or 0 if isinstance(error, OSError) else system_errno
    if isinstance(error, apsw.FullError) or number in _NO_ROOM:
        return StorageFull(f"The log could not be {verb}: there is no room left on its disk.")
    if is_damage(error):
        return StorageDamaged(
            f"The log could not be {verb}: it is damaged ({words_of(error)}). "
            "When the server starts again, it is checked."
        )
    if number == errno.EROFS and verb == "written":
        return StorageFailed(READ_ONLY)
    cause = f" ({os.strerror(number)})" if number and not isinstance(error, OSError) else ""
    return StorageFailed(f"The log could not be {verb}: {words_of(error)}{cause}.")


def words_of(error: Exception) -> str:
    """Say what an error says."""
    if is_wrong_sum(error):
        return "a page is not what was written"
    return str(error) or type(error).__name__


def translated(failure: Failure) -> Failure:
    """Make the failure of an opening one of ours."""
    if isinstance(failure.value, apsw.Error | OSError):
        raise storage_error("opened", failure.value) from failure.value
    return failure
