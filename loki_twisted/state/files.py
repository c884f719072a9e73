"""
Reading files that anybody may have put there.

An agent writes to its state directory as it likes: a pipe that never ends, a link to
``/etc/shadow``, a terabyte of holes. So no part of a path may be a symbolic link, nothing
but a regular file is read, and never more than a limit. Everything here may block and is
called in a thread.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import attrs
from twisted.logger import Logger

from loki_twisted.state.interface import Sighting
from loki_twisted.state.layout import ILayout, NotUnderstood

_log = Logger()

MAX_BYTES: Final = 4 * 1024 * 1024
"""The largest state file that is read."""

_PIECE: Final = 4096
_WALK: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NO_FILE: Final = {errno.ELOOP, errno.ENXIO}
"""What opening a symbolic link or a socket says."""


class Flaw(StrEnum):
    """Why a file says nothing."""

    MISSING = "missing"
    EMPTY = "empty"
    INVALID = "invalid"
    TOO_BIG = "too big"
    NOT_REGULAR = "not regular"
    UNREADABLE = "unreadable"


@attrs.frozen(slots=True)
class Content:
    """What a file holds; at least one byte, unless it is one that says something by being there."""

    data: bytes


@attrs.frozen(slots=True)
class NoContent:
    """
    Why there is nothing to read.

    :ivar reason: In words, to follow the file's name.
    :ivar mark: The same for the same obstacle, and different for different ones.
    """

    flaw: Flaw
    reason: str
    mark: str


@attrs.frozen(slots=True)
class Reading:
    """
    What reading a state file came to.

    :ivar sightings: What it says; empty where there is a flaw.
    :ivar mark: The same for the same content (or flaw), and different for different ones.
    :ivar size: How many bytes were read.
    """

    path: str
    mark: str
    size: int = 0
    sightings: Sequence[Sighting] = ()
    flaw: Flaw | None = None
    reason: str = ""


def open_beneath(root: str, path: str) -> int:
    """
    Open a file for reading, following no symbolic link below the root, and waiting for nobody.

    :param root: Absolute path of a directory.
    :param path: Relative path of the file.
    :returns: A descriptor for the caller to close. It need not be that of a regular file.
    :raises OSError: as ``open`` does; ``ELOOP`` for a link, ``ENOTDIR`` for one on the way.
    """
    *directories, name = path.split("/")
    at = os.open(root, _WALK)
    try:
        for directory in directories:
            below = os.open(directory, _WALK, dir_fd=at)
            os.close(at)
            at = below
        return os.open(name, _READ, dir_fd=at)
    finally:
        os.close(at)


def read_file(root: str, path: str, limit: int = MAX_BYTES) -> Content | NoContent:
    """
    Read a whole file.

    :param limit: The most bytes that it may have.
    """
    try:
        descriptor = open_beneath(root, path)
    except (FileNotFoundError, NotADirectoryError):
        return NoContent(Flaw.MISSING, "is not there", "missing")
    except OSError as failure:
        if failure.errno in _NO_FILE:
            return _not_regular()
        return _unreadable(failure)
    try:
        return _content(descriptor, limit)
    except OSError as failure:
        return _unreadable(failure)
    finally:
        os.close(descriptor)


def _content(descriptor: int, limit: int) -> Content | NoContent:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return _not_regular()
    if status.st_size > limit:
        return _too_big(limit, status)
    data = bytearray()
    while len(data) <= limit:
        expected = max(status.st_size + 1 - len(data), _PIECE)
        piece = os.read(descriptor, min(expected, limit + 1 - len(data)))
        if not piece:
            break
        data += piece
    if len(data) > limit:  # it grew while it was read
        return _too_big(limit, status)
    if not data:
        return NoContent(Flaw.EMPTY, "is empty", "empty")
    return Content(bytes(data))


def _not_regular() -> NoContent:
    return NoContent(Flaw.NOT_REGULAR, "is not a regular file", "not regular")


def _too_big(limit: int, status: os.stat_result) -> NoContent:
    reason = f"is larger than {limit} bytes, so it is not read"
    return NoContent(Flaw.TOO_BIG, reason, f"too big {status.st_ino} {status.st_size}")


def _unreadable(failure: OSError) -> NoContent:
    return NoContent(
        Flaw.UNREADABLE, f"cannot be read: {failure.strerror}", f"unreadable {failure.errno}"
    )


def read_state(root: str, path: str, layout: ILayout) -> Reading:
    """
    Read a state file and say what it means.

    What a layout raises that it should not is logged, and the file taken for invalid: it must
    not keep the others from being read.
    """
    found = read_file(root, path)
    if isinstance(found, NoContent) and found.flaw is Flaw.EMPTY and layout.is_marker(path):
        found = Content(b"")
    if isinstance(found, NoContent):
        return Reading(path, found.mark, flaw=found.flaw, reason=found.reason)
    mark = hashlib.blake2b(found.data, digest_size=16).hexdigest()
    size = len(found.data)
    problem = "could not be read: that is a fault of this server, see its log"
    with _log.failuresHandled("the layout failed to read {path}", path=path):
        try:
            return Reading(path, mark, size, layout.sightings(path, found.data))
        except NotUnderstood as failure:
            problem = str(failure)
    return Reading(path, mark, size, flaw=Flaw.INVALID, reason=problem)
