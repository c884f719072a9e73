"""Room on the disk for what an agent will print, taken before it is needed."""

from __future__ import annotations

import ctypes
import errno
import os

ROOM = 64 * 1024
"""So many bytes an agent can print into a stream after its disk has become full."""

_KEEP_SIZE = 1  # linux/falloc.h
_NOT_HERE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def take_room(file: int, start: int) -> bool:
    """
    Take room behind a place of a file, which becomes no longer by that.

    :param file: A descriptor that is open for writing.
    :returns: False if its file system, or this one, knows nothing of that.
    :raises OSError: if there is no room.
    """
    fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate64", None)
    if fallocate is None:
        return False
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if fallocate(file, _KEEP_SIZE, start, ROOM) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_HERE:
        return False
    raise OSError(number, os.strerror(number))
