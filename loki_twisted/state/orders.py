"""
Orders to a run of Loki Mode: the files that it looks for between its iterations.

============================= ===========================================================
``PAUSE``                     wait before the next iteration, until the file is gone
``STOP``                      end before the next iteration
``HUMAN_INPUT.md``            heed this in the next iteration; the run moves it to
                              ``logs/human-input-<time>.md``, or, if it does not want it, to
                              ``logs/human-input-REJECTED-...``, which is all that it says
``signals/BUDGET_EXCEEDED``   (written by the run) it will pause again whatever we remove; one of
                              an earlier run, which nobody removes, says nothing
============================= ===========================================================

Every path is walked from the state directory down, and a symbolic link ends the walk: an agent
could have put it there.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from zope.interface import implementer

from loki_twisted.model.errors import Conflict, InvalidRequest, StorageFailed, StorageFull
from loki_twisted.state import runs
from loki_twisted.state.files import open_beneath
from loki_twisted.state.interface import InputFate, IRunControl, LiveRun, Orders, RunEnding

_PAUSE: Final = "PAUSE"
_INPUT: Final = "HUMAN_INPUT.md"
_BUDGET: Final = "signals/BUDGET_EXCEEDED"
_TOLD_IN: Final = "logs"
_TOLD_BY: Final = "human-input-"
_TOO_LARGE: Final = "TOOLARGE"
_REJECTED: Final = "REJECTED"

MOST_INPUT_BYTES: Final = 1024 * 1024
"""More than this a run rejects."""

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WALK: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE: Final = 0o644
_NO_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What a file system says that has no hard links."""


@implementer(IRunControl)
class RunControl:
    """See :class:`IRunControl`. It keeps nothing: all there is to know is in the files."""

    def live_runs(self, project_dir: str) -> Sequence[LiveRun]:
        """See :class:`IRunControl`."""
        return runs.live_runs(project_dir)

    def live_run(self, project_dir: str, name: str, pid: int) -> LiveRun | None:
        """See :class:`IRunControl`."""
        return runs.live_run(project_dir, name, pid)

    def orders(self, project_dir: str) -> Orders:
        """See :class:`IRunControl`."""
        root = _root(project_dir)
        return Orders(
            pause=_inode(root, _PAUSE) is not None,
            stop=_inode(root, runs.STOP) is not None,
            human_input=_inode(root, _INPUT) is not None,
            over_budget=_inode(root, _BUDGET) is not None and runs.is_of_last_run(root, _BUDGET),
        )

    def request_pause(self, project_dir: str) -> None:
        """See :class:`IRunControl`."""
        _touch(project_dir, _PAUSE)

    def withdraw_pause(self, project_dir: str) -> None:
        """See :class:`IRunControl`."""
        with _state_directory(project_dir, _PAUSE) as at, suppress(FileNotFoundError):
            os.unlink(_PAUSE, dir_fd=at)

    def request_stop(self, project_dir: str) -> None:
        """See :class:`IRunControl`."""
        _touch(project_dir, runs.STOP)

    def give_input(self, project_dir: str, text: str) -> str:
        """See :class:`IRunControl`."""
        data = text.encode("utf-8", "replace")
        if len(data) > MOST_INPUT_BYTES:
            fault = f"Loki Mode takes no more than {MOST_INPUT_BYTES} bytes"
            raise InvalidRequest.of([("input", fault)])
        draft = f".human-input-{secrets.token_hex(8)}.tmp"
        with _state_directory(project_dir, _INPUT) as at:
            try:
                receipt = _write(at, draft, data)
                _publish(at, draft)
            except FileExistsError:
                msg = "Another input waits for Loki Mode, which reads one before each iteration."
                raise Conflict(msg) from None
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(draft, dir_fd=at)
        return receipt

    def fate_of_input(self, project_dir: str, receipt: str) -> tuple[InputFate, str | None]:
        """See :class:`IRunControl`."""
        # The file stays the same one wherever it is moved to.
        root = _root(project_dir)
        if str(_inode(root, _INPUT)) == receipt:
            return InputFate.WAITING, _INPUT
        for name, inode in _listed(root, _TOLD_IN):
            if name.startswith(_TOLD_BY) and str(inode) == receipt:
                fate = InputFate.REJECTED if _REJECTED in name else InputFate.TAKEN
                return InputFate.TOO_LARGE if _TOO_LARGE in name else fate, f"{_TOLD_IN}/{name}"
        return InputFate.GONE, None

    def ending(self, project_dir: str, name: str, pid: int, since_ms: int) -> RunEnding | None:
        """See :class:`IRunControl`."""
        return runs.ending(project_dir, name, pid, since_ms)

    def clear(self, project_dir: str, name: str, pid: int, script: str | None) -> None:
        """See :class:`IRunControl`."""
        root = _root(project_dir)
        for place in (name, None):
            lock = runs.path_of(place, "session.lock.lockdir")
            for path in (runs.path_of(place, runs.PID), runs.path_of(place, "loki.pgid")):
                _remove_if_of(root, path, pid)
            if _remove_if_of(root, f"{lock}/owner.pid", pid):
                _beneath(root, lock, os.rmdir)
        _remove_if_of(root, f"{runs.CHECKOUTS}/{pid}", pid)
        if script is not None and runs.is_script(script):
            _remove_own_file(script)


def _root(project_dir: str) -> str:
    return os.path.join(project_dir, ".loki")


@contextmanager
def _state_directory(project_dir: str, name: str) -> Iterator[int]:
    """
    Open the state directory, and put what goes wrong there into our words.

    :param name: Of the file that it is about.
    """
    try:
        at = os.open(_root(project_dir), _WALK)
        try:
            yield at
        finally:
            os.close(at)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f".loki/{name} cannot be written: the disk is full.") from error
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENOTDIR, errno.ENOENT):
            msg = f".loki/{name} is not what it should be: {error.strerror}."
            raise Conflict(msg) from error
        raise StorageFailed(f".loki/{name} cannot be written: {error.strerror}.") from error


def _touch(project_dir: str, name: str) -> None:
    with _state_directory(project_dir, name) as at:
        os.close(os.open(name, _NEW, _MODE, dir_fd=at))


def _write(at: int, name: str, data: bytes) -> str:
    """Write a new file, and name it as no other one can be named."""
    file = os.open(name, _NEW | os.O_EXCL, _MODE, dir_fd=at)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        return str(os.fstat(file).st_ino)
    finally:
        os.close(file)


def _publish(at: int, draft: str) -> None:
    """
    Give the draft its name, whole and at once, unless something has it.

    :raises FileExistsError: if something has it.
    """
    try:
        os.link(draft, _INPUT, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with suppress(FileNotFoundError):
            os.stat(_INPUT, dir_fd=at, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        os.rename(draft, _INPUT, src_dir_fd=at, dst_dir_fd=at)


def _inode(root: str, path: str) -> int | None:
    """The inode of a name, whatever it stands for; None if there is none, or a link on the way."""
    found: list[int] = []

    def look(name: str, *, dir_fd: int) -> None:
        found.append(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_ino)

    _beneath(root, path, look)
    return found[0] if found else None


def _listed(root: str, directory: str) -> list[tuple[str, int]]:
    """List the names in a directory with their inodes."""
    try:
        descriptor = open_beneath(root, directory)
    except OSError:
        return []
    try:
        with os.scandir(descriptor) as entries:
            return [(entry.name, entry.inode()) for entry in entries]
    except NotADirectoryError:
        return []
    finally:
        os.close(descriptor)


def _remove_if_of(root: str, path: str, pid: int) -> bool:
    """Remove a file that names a process, if it names this one."""
    return runs.number_of(root, path) == pid and _beneath(root, path, os.unlink)


def _beneath(root: str, path: str, action: Callable[..., None]) -> bool:
    """
    Do something to a name, by way of real directories alone.

    :param action: Called with the name and ``dir_fd``.
    :returns: Whether that went well.
    """
    directory, _, name = path.rpartition("/")
    try:
        at = open_beneath(root, directory) if directory else os.open(root, _WALK)
    except OSError:
        return False
    try:
        action(name, dir_fd=at)
    except OSError:
        return False
    finally:
        os.close(at)
    return True


def _remove_own_file(path: str) -> None:
    with suppress(OSError):
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
            os.unlink(path)
