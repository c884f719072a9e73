"""
Seeing whether a disk takes anything, without giving it anything.

A file system that has met an error may take nothing from then on. Nobody is told of that before
he writes, and it may be hours until the server does: agents lose what they print meanwhile.
"""

from __future__ import annotations

import errno
import os
from typing import Final

_TAKES_NOTHING: Final = frozenset({errno.EROFS, errno.EIO, errno.ESTALE})


def knock(path: str) -> None:
    """
    Write nothing to a file. Where the disk does not answer, that takes as long as it does not.

    :raises OSError: if the disk takes nothing. That the file is not there, say, is no such reason.
    """
    try:
        file = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.write(file, b"")
        finally:
            os.close(file)
    except OSError as error:
        if error.errno in _TAKES_NOTHING:
            raise OSError(error.errno, error.strerror) from error
