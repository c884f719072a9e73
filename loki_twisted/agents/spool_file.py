"""The file of a spool: a plain one, whatever an agent has put in its place."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from loki_twisted.agents.files import open_at_once

_FLAGS: Final = os.O_RDWR | os.O_NOFOLLOW
_NOT_PLAIN: Final = frozenset({errno.EISDIR, errno.ELOOP, errno.ENXIO})
_ASIDE: Final = ".odd"


def open_spool(path: str) -> int:
    """
    Open a spool for reading and writing; make it if it is not there.

    A link, a pipe or a directory could not be read to an end, and so its session would never have
    one: it gets another name, and an empty file its place.

    :raises OSError: if that fails.
    """
    try:
        descriptor = open_at_once(path, _FLAGS)
    except OSError as error:
        if error.errno in _NOT_PLAIN:
            os.rename(path, path + _ASIDE)
        elif error.errno != errno.ENOENT:
            raise
    else:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        os.rename(path, path + _ASIDE)
    return os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
