"""Where a server keeps its files, and that no second server does so too."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from typing import Final

from loki_twisted.model.errors import StorageExposed, StorageMisnamed, StorageRefused

_LOCK = "lock"

LEAST_FREE_BYTES: Final = 1024 * 1024
"""With less room than this on the disk nothing new is begun: what runs needs the rest."""
_LEAST_FREE_FILES: Final = 32
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class DataDirectory:
    """
    A directory (0700) that belongs to one running server, from construction to :meth:`release`.

    It is held by a lock that the kernel drops with the process, so what a
    killed server leaves behind keeps nobody out. The lock file itself stays.

    :param path: The directory; it is created if it is not there, and so are its parents.
    :raises StorageRefused: if another server holds it, or if it can not be made; as
        StorageExposed if it belongs to another user or others may write to it, as
        StorageMisnamed if its name is not UTF-8. Nothing in it was changed then.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        _refuse_other_bytes(self.path)
        try:
            directory = _open_directory(self.path)
            try:
                _refuse_strangers(self.path, os.fstat(directory))
                self._lock: int | None = _lock(self.path, directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise StorageRefused(
                f"The data directory {self.path} cannot be used: {error.strerror}."
            ) from error

    def is_intact(self) -> bool:
        """Whether the lock lies where it did: nobody has removed or replaced the directory."""
        try:
            there = os.stat(os.path.join(self.path, _LOCK))
        except OSError:
            return False
        return self._lock is not None and os.path.samestat(there, os.fstat(self._lock))

    def release(self) -> None:
        """Let another server have it. May be repeated."""
        if self._lock is not None:
            # Our number stays in it: who leaves does not wait for a disk that takes nothing.
            os.close(self._lock)
            self._lock = None


def whereabouts(path: str) -> tuple[tuple[int, int] | None, ...]:
    """Say which files a log and its write-ahead log are, as they lie there now."""
    return tuple(_file_at(path + ending) for ending in ("", "-wal"))


def _file_at(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def lack_of_room(path: str) -> str | None:
    """
    Say what is missing for something new to be begun on the disk of a directory.

    :returns: A sentence, or None if there is room, and where that cannot be told.
    """
    try:
        disk = os.statvfs(path)
    except OSError:
        return None  # that it is gone is told elsewhere
    free = disk.f_bavail * disk.f_frsize
    if free < LEAST_FREE_BYTES:
        return f"There is no room left on the disk of the server's data ({free // 1000} kB free)."
    # Some file systems have no table of files that could be full, and say that it has none.
    if disk.f_files and disk.f_favail < _LEAST_FREE_FILES:
        return "No more files can be made on the disk of the server's data."
    return None


def sync_directory(path: str) -> None:
    """
    Have the names in a directory outlive a power loss.

    :raises OSError: if that fails.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_other_bytes(path: str) -> None:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:  # SQLite cannot open a file below it
        raise StorageMisnamed(
            f"The data directory {path!a} cannot be used: its name is not UTF-8. Choose another "
            "one with --data-dir."
        ) from None


def _open_directory(path: str) -> int:
    _make_above(path)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    else:
        os.chmod(path, 0o700)  # whatever the umask took away
        sync_directory(os.path.dirname(path))
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


def _make_above(path: str) -> None:
    """Make the directories above, in which nobody else may write: they could replace ours."""
    above = os.path.dirname(path)
    if os.path.isdir(above):
        return
    _make_above(above)
    with contextlib.suppress(FileExistsError):
        os.mkdir(above, 0o755)
    # What is synced in a directory is lost with it.
    sync_directory(os.path.dirname(above))


def _refuse_strangers(path: str, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        msg = f"The data directory {path} belongs to user {status.st_uid}, not to us."
        raise StorageExposed(f"{msg} Choose another one with --data-dir.")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        msg = f"The data directory {path} may be written to by other users."
        raise StorageExposed(f"{msg} Take that away with: chmod go-w {path}")


def _lock(path: str, directory: int) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    lock = os.open(_LOCK, flags, 0o600, dir_fd=directory)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.fchmod(lock, 0o600)
        os.ftruncate(lock, 0)
        _write_name(lock)
    except BlockingIOError as error:
        pid = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        os.close(lock)
        holder = f"another server (pid {pid})" if pid else "another server"
        raise StorageRefused(f"The data directory {path} is in use by {holder}.") from error
    except OSError:
        os.close(lock)
        raise
    return lock


def _write_name(lock: int) -> None:
    """Say who holds a lock, for whoever asks for it next, if there is room for that."""
    try:
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
