"""
The kernel's inotify as a reader of the reactor.

A thin shell: it says what the kernel said, in order, with its error numbers, and that
notices were lost (``IN_Q_OVERFLOW``). What a notice means is for the caller to decide.
Twisted's own ``twisted.internet.inotify`` stops for good when one watched directory is
deleted, and does not tell of an overflow.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import attrs
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger
from twisted.python.failure import Failure

# What to watch for, and what a notice says (linux/inotify.h).
IN_ACCESS: Final = 0x0000_0001
IN_MODIFY: Final = 0x0000_0002
IN_ATTRIB: Final = 0x0000_0004
IN_CLOSE_WRITE: Final = 0x0000_0008
IN_CLOSE_NOWRITE: Final = 0x0000_0010
IN_OPEN: Final = 0x0000_0020
IN_MOVED_FROM: Final = 0x0000_0040
IN_MOVED_TO: Final = 0x0000_0080
IN_CREATE: Final = 0x0000_0100
IN_DELETE: Final = 0x0000_0200
IN_DELETE_SELF: Final = 0x0000_0400
IN_MOVE_SELF: Final = 0x0000_0800

# Only in notices, whether asked for or not.
IN_UNMOUNT: Final = 0x0000_2000
IN_Q_OVERFLOW: Final = 0x0000_4000
IN_IGNORED: Final = 0x0000_8000
IN_ISDIR: Final = 0x4000_0000

# How to watch.
IN_ONLYDIR: Final = 0x0100_0000
IN_DONT_FOLLOW: Final = 0x0200_0000
IN_EXCL_UNLINK: Final = 0x0400_0000
IN_MASK_ADD: Final = 0x2000_0000

_HEADER: Final = struct.Struct("iIII")
_READ_SIZE: Final = 16 * 1024
"""Bytes of one read: at most 1,024 notices, a few milliseconds of work."""


@attrs.frozen(slots=True)
class Notice:
    """
    One notice of the kernel.

    :ivar wd: The watch that it belongs to; -1 for ``IN_Q_OVERFLOW``.
    :ivar mask: What happened: bits of ``IN_...``.
    :ivar cookie: The same number for both halves of a rename, else 0.
    :ivar name: The entry of the watched directory; empty where the watched thing itself is meant.
    """

    wd: int
    mask: int
    cookie: int
    name: bytes


def notices_from(data: bytes) -> Iterator[Notice]:
    """
    Cut what a read of the descriptor returned.

    :param data: Whole notices; the kernel never returns a part of one.
    """
    offset = 0
    while offset < len(data):
        wd, mask, cookie, length = _HEADER.unpack_from(data, offset)
        offset += _HEADER.size
        yield Notice(wd, mask, cookie, data[offset : offset + length].rstrip(b"\0"))
        offset += length


class Inotify(FileDescriptor):
    """
    An inotify instance that the reactor reads. It reads from the moment it is made.

    :ivar closed: Whether :meth:`close` was called or the reactor has gone away.
    """

    _log = Logger()

    def __init__(
        self, reactor: IReactorFDSet, received: Callable[[Sequence[Notice]], None]
    ) -> None:
        """
        Make an instance, close-on-exec and non-blocking.

        :param received: Called with what one read returned, never with nothing. What it
            raises is logged, and the reading goes on.
        :raises OSError: if there are too many instances (``EMFILE``), or the system has no
            inotify (``ENOSYS``).
        """
        super().__init__(reactor)
        self._received = received
        self._fd = -1
        self.closed = False
        self._kernel = _kernel()
        self._fd = _checked(self._kernel.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self.connected = 1
        self.startReading()

    def fileno(self) -> int:
        """The descriptor, or -1 once it is closed."""
        return self._fd

    def add(self, path: bytes | str, mask: int) -> int:
        """
        Watch a file or a directory.

        :param mask: What to be told of, and how to watch: bits of ``IN_...``. A second call
            for the same inode replaces the mask.
        :returns: The watch descriptor; the same one for the same inode.
        :raises OSError: with the kernel's error number: ``ENOENT``, ``ENOTDIR``, ``EACCES``,
            ``ENOSPC`` when there are too many watches; ``EBADF`` after :meth:`close`.
        """
        raw = os.fsencode(path)
        if b"\0" in raw:  # C would take the part before it for the whole path
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        return _checked(self._kernel.inotify_add_watch(self._fd, raw, mask), path)

    def remove(self, wd: int) -> None:
        """
        Watch something no longer.

        Notices that were queued before may still come, then one ``IN_IGNORED``. Does nothing
        if the kernel has dropped the watch itself, or after :meth:`close`.
        """
        if not self.closed:
            self._kernel.inotify_rm_watch(self._fd, wd)

    def close(self) -> None:
        """End all watches. No notice comes after it. May be repeated."""
        self.connectionLost(Failure(ConnectionDone()))

    def doRead(self) -> None:  # noqa: N802  # Twisted's name
        """Read once: the reactor calls again while there is more."""
        try:
            data = os.read(self._fd, _READ_SIZE)
        except BlockingIOError:
            return
        with self._log.failuresHandled("what took the notices of inotify failed"):
            self._received(tuple(notices_from(data)))

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802  # Twisted's name
        """Close the descriptor; the reactor calls it when it goes away."""
        if self.closed:
            return
        self.closed = True
        super().connectionLost(reason)
        os.close(self._fd)
        self._fd = -1


def _kernel() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    try:
        library.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
        library.inotify_rm_watch.argtypes = (ctypes.c_int, ctypes.c_int)
        library.inotify_init1.argtypes = (ctypes.c_int,)
    except AttributeError as failure:  # a system without inotify
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from failure
    return library


def _checked(result: int, path: bytes | str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result
