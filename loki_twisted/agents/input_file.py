"""The file that holds all that an agent is given to read. It only grows, until it has ended."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from loki_twisted.agents.files import open_at_once
from loki_twisted.agents.keeper.layout import INPUT, INPUT_END
from loki_twisted.model.errors import Conflict, OtherInput, StorageFailed, StorageFull


@attrs.frozen(slots=True)
class InputFile:
    """
    The input of one agent.

    :ivar directory: Absolute path of the agent's directory.
    """

    directory: str

    def add(self, data: bytes, at: int | None = None) -> int:
        """
        Put data on disk for the agent to read.

        :param at: The offset at which it is to stand: what of it stands there already, because
            who wrote it was killed, is not written again. None is the end.
        :returns: The offset behind it.
        :raises OtherInput: if something else stands there; then nothing is written.
        :raises StorageFailed: if not all that is new could be stored; then none of it is. Or if
            less is there than stood before the offset.
        :raises Conflict: if there is something new, and the input has ended.
        """
        with _storing():
            file = open_at_once(self._path(INPUT), os.O_RDWR | os.O_APPEND)
            try:
                size = os.fstat(file).st_size
                begin = size if at is None else at
                _check_same(data, os.pread(file, len(data), begin), begin, size)
                _append(file, self._fresh(data, begin, size), size)
            finally:
                os.close(file)
        return begin + len(data)

    def end(self) -> None:
        """
        Put on disk that nothing more will come. May be repeated.

        :raises StorageFailed: if that could not be stored.
        """
        with _storing():
            mark = os.open(self._path(INPUT_END), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.close(mark)
            directory = os.open(self.directory, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return os.path.exists(self._path(INPUT_END))

    def _fresh(self, data: bytes, begin: int, size: int) -> bytes:
        """Say what of the data is not there yet."""
        if size < begin:
            msg = f"Of {begin} bytes of input that were stored, {size} are left."
            raise StorageFailed(msg)
        fresh = data[size - begin :]
        if fresh and self.has_ended:
            msg = "The input of the agent has ended."
            raise Conflict(msg)
        return fresh

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)


def _check_same(data: bytes, stands: bytes, begin: int, size: int) -> None:
    """Make sure that what stands where data is to stand is its beginning."""
    if not data.startswith(stands):
        pairs = enumerate(zip(data, stands, strict=False))
        same = next((at for at, (ours, other) in pairs if ours != other), len(data))
        raise OtherInput.of(begin + stands.rfind(b"\n", 0, same) + 1, size)


def _append(file: int, data: bytes, size: int) -> None:
    """Write behind the bytes that a file has, wholly or not at all."""
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        # Also if there is nothing to write: who wrote it may have been killed before this.
        os.fdatasync(file)
    except OSError:
        os.ftruncate(file, size)
        raise


@contextmanager
def _storing() -> Iterator[None]:
    """Turn errors of the system into ours."""
    try:
        yield
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        msg = f"The input could not be stored: {error.strerror}."
        raise (StorageFull if is_full else StorageFailed)(msg) from error
