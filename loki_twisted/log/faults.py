"""What can go wrong with a database, in words of ours."""

from __future__ import annotations

import errno
import os
from typing import Final

import apsw

from loki_twisted.model.errors import StorageDamaged, StorageFailed, StorageFull

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Damaged(Exception):
    """A database holds what we never wrote, or no longer what we wrote."""


DAMAGE: Final = (Damaged, apsw.CorruptError, apsw.NotADBError)
"""The errors that say that a file is damaged, where others say that it could not be reached."""


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
    if isinstance(error, DAMAGE):
        return StorageDamaged(
            f"The log could not be {verb}: it is damaged ({_words(error)}). "
            "When the server starts again, it is checked."
        )
    cause = f" ({os.strerror(number)})" if number and not isinstance(error, OSError) else ""
    return StorageFailed(f"The log could not be {verb}: {_words(error)}{cause}.")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
