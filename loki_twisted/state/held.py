"""Log files that are held open, so that what is deleted or renamed can be read to its end."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock
from typing import Final

import attrs
import msgspec

from loki_twisted.state.files import open_beneath

_MARK: Final = 256
"""Bytes at either end of what was read that must still be the same."""

_LONG_MARK: Final = 4096
"""Bytes before the place by which it is found in another file: fewer may be alike by chance."""

_SEARCH: Final = 8 * 1024 * 1024
"""How much of another file is searched."""

_NO_LOG: Final = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
"""What opening says of what is not there, a symbolic link, a socket."""


class Position(msgspec.Struct, frozen=True):
    """
    Where in which file reading goes on.

    :ivar dev: Device of the file, and ``ino`` its inode.
    :ivar offset: How many bytes were read; whole lines.
    :ivar head: Digest of the first (up to 256) of these bytes, and ``tail`` of the last.
    :ivar long_tail: Digest of the last 4096; empty if there are fewer, or an older version
        has stored it.
    """

    dev: int
    ino: int
    offset: int
    head: str
    tail: str
    long_tail: str = ""


_decode: Final = msgspec.json.Decoder(Position).decode


def position_as_text(position: Position) -> str:
    """Write a position as it is stored."""
    return msgspec.json.encode(position).decode()


def maybe_position(text: str) -> Position | None:
    """Read what :func:`position_as_text` wrote; None if it is something else."""
    try:
        position = _decode(text)
    except ValueError:
        return None
    return position if position.offset >= 0 else None


def furthest(positions: Iterable[Position | None]) -> Position | None:
    """Of some places in one file, the one that most was read before; None if there is none."""
    known = (position for position in positions if position is not None)
    return max(known, key=lambda position: position.offset, default=None)


@attrs.frozen(slots=True)
class LogFile:
    """An open log. Everything about it may block."""

    descriptor: int
    dev: int
    ino: int

    @property
    def size(self) -> int:
        """Bytes that it has now."""
        return os.fstat(self.descriptor).st_size

    @property
    def is_deleted(self) -> bool:
        """Whether it has no name any more."""
        return os.fstat(self.descriptor).st_nlink == 0

    def read(self, size: int, offset: int) -> bytes:
        """Read some bytes; fewer only at the end of the file."""
        return os.pread(self.descriptor, size, offset)

    def position_at(self, offset: int) -> Position:
        """Describe a place, so that it can be found again."""
        length = min(_MARK, offset)
        head, tail = self.read(length, 0), self.read(length, offset - length)
        is_long = offset >= _LONG_MARK
        long_tail = _digest(self.read(_LONG_MARK, offset - _LONG_MARK)) if is_long else ""
        return Position(self.dev, self.ino, offset, _digest(head), _digest(tail), long_tail)

    def kept_to(self, position: Position) -> int | None:
        """
        Find where in this file a place in another is, if this one begins with that one's end.

        :param position: The place in the other file, which need not be there any more.
        :returns: The place in this file; None if it is not found.
        """
        data = self.read(_SEARCH, 0) if position.long_tail else b""
        end = data.find(b"\n", _LONG_MARK - 1) + 1
        while 0 < end < position.offset:
            if (
                _digest(data[end - _MARK : end]) == position.tail
                and _digest(data[end - _LONG_MARK : end]) == position.long_tail
            ):
                return end
            end = data.find(b"\n", end) + 1
        return None

    def still_has(self, position: Position) -> bool:
        """
        Whether it is the file of a position, and what was read is still there.

        Devices are not compared: some have another number after each start of the machine.
        """
        if self.ino != position.ino:
            return False
        here = self.position_at(position.offset)
        return (here.head, here.tail) == (position.head, position.tail)

    def close(self) -> None:
        """Let it go."""
        os.close(self.descriptor)


def maybe_log(root: str, path: str) -> LogFile | None:
    """
    Open a log.

    :param root: Absolute path of the state directory.
    :param path: Relative path of the log.
    :returns: None if there is no regular file.
    :raises OSError: if there may be one that cannot be opened now.
    """
    try:
        descriptor = open_beneath(root, path)
    except OSError as failure:
        if failure.errno in _NO_LOG:
            return None
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        return None
    return LogFile(descriptor, status.st_dev, status.st_ino)


class HeldLogs:
    """
    Logs held open for later, the ones last kept if there are too many. Used by many threads.

    A file that was taken out belongs to who took it.
    """

    def __init__(self, limit: int = 64) -> None:
        """
        Hold nothing yet.

        :param limit: How many files may be held; each costs a descriptor.
        """
        self._limit = limit
        self._lock = Lock()
        self._files: OrderedDict[tuple[str, str], LogFile] = OrderedDict()

    def take(self, root: str, path: str) -> LogFile | None:
        """Take out the file that was kept for a log, if it is still held."""
        with self._lock:
            return self._files.pop((root, path), None)

    def keep(self, root: str, path: str, file: LogFile) -> None:
        """Hold a file for a log, instead of the one that was held for it."""
        with self._lock:
            surplus = [self._files.pop((root, path), None)]
            self._files[root, path] = file
            while len(self._files) > self._limit:
                surplus.append(self._files.popitem(last=False)[1])
        for old in surplus:
            if old is not None:
                old.close()

    def forget(self, root: str, path: str) -> None:
        """Let the file of one log go."""
        file = self.take(root, path)
        if file is not None:
            file.close()

    def drop(self, root: str) -> None:
        """Let all files of a state directory go."""
        with self._lock:
            files = [self._files.pop(key) for key in list(self._files) if key[0] == root]
        for file in files:
            file.close()

    def __len__(self) -> int:
        return len(self._files)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()
