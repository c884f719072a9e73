"""Errors of the database, in words of ours."""

from __future__ import annotations

import errno

import apsw
import pytest

from loki_twisted.log.faults import Damaged, storage_error
from loki_twisted.model.errors import StorageFailed, StorageFull


@pytest.mark.parametrize(
    ("error", "system_errno"),
    [
        (apsw.FullError("database or disk is full"), 0),
        (apsw.IOError("disk I/O error"), errno.ENOSPC),
        (apsw.IOError("disk I/O error"), errno.EDQUOT),
        (apsw.IOError("disk I/O error"), errno.EFBIG),
        (OSError(errno.ENOSPC, "No space left on device"), 0),
    ],
)
def test_no_room(error: Exception, system_errno: int) -> None:
    """Whatever the system calls it, a disk without room is told as such."""
    assert type(storage_error("written", error, system_errno)) is StorageFull


def test_the_cause_is_told() -> None:
    """Any other error is told with what SQLite says and what the system says."""
    failed = storage_error("written", apsw.IOError("disk I/O error"), errno.EIO)

    assert type(failed) is StorageFailed
    assert str(failed) == "The log could not be written: disk I/O error (Input/output error)."


def test_an_error_of_the_system_is_told_once() -> None:
    """An error that carries its own number is not explained twice."""
    failed = storage_error("opened", PermissionError(errno.EACCES, "Permission denied"))

    assert str(failed) == "The log could not be opened: [Errno 13] Permission denied."


def test_an_error_without_words() -> None:
    """An error that says nothing is told by its name."""
    assert str(storage_error("read", MemoryError())) == "The log could not be read: MemoryError."


@pytest.mark.parametrize("error", [Damaged("wrong"), apsw.CorruptError("malformed")])
def test_damage_is_told(error: Exception) -> None:
    """Whoever meets damage is told what will become of it."""
    assert "it is damaged" in str(storage_error("read", error))
    assert "starts again, it is checked" in str(storage_error("read", error))
