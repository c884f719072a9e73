"""Connections to the file of the log."""

from __future__ import annotations

import contextlib
from typing import Final

import apsw

from loki_twisted.log.faults import Damaged
from loki_twisted.log.page_sums import overlook_sums, way_to_logs
from loki_twisted.log.query import rows_of
from loki_twisted.log.spending_rows import let_spendings_grow
from loki_twisted.model.errors import StorageRefused

BUSY_MS: Final = 5_000
"""How long a connection waits for another program to let go of the database."""

KEPT_WAL_BYTES: Final = 16 * 1024 * 1024
"""The file of the write-ahead log is not left longer than this."""

NEXT_TIME: Final = (apsw.BusyError, apsw.FullError)
"""Another program holds the database; or there is room for commits and not for copying them."""

_WAIT_FOR_READERS_MS: Final = 100
_WRITER_CACHE_KIB: Final = 8_192


def connect_writer(path: str, *, checks_sums: bool = True) -> apsw.Connection:
    """
    Connect for writing. Of these connections there is one at a time.

    :param checks_sums: Whether pages whose sums are wrong are damaged.
    :raises apsw.Error: if that fails.
    """
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE, vfs=way_to_logs())
    try:
        connection.set_busy_timeout(BUSY_MS)
        if not checks_sums:
            overlook_sums(connection)
        if connection.readonly("main"):
            raise StorageRefused(f"The log {path} cannot be written to: it is read-only.")
        try:
            mode = connection.pragma("journal_mode", "wal")
        except apsw.SQLError as error:  # a header of no known format is no better than no header
            raise Damaged(str(error)) from error
        if mode != "wal":
            raise StorageRefused(f"The log {path} lies where SQLite cannot keep a write-ahead log.")
        connection.pragma("synchronous", "full")
        connection.pragma("cache_size", -_WRITER_CACHE_KIB)
        connection.pragma("journal_size_limit", KEPT_WAL_BYTES)
        # The writer decides when to checkpoint, and sees whether it succeeds.
        connection.wal_autocheckpoint(0)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        let_spendings_grow(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: str) -> apsw.Connection:
    """
    Connect for reading only. While one is open, SQLite's idea of what is committed is kept.

    :raises apsw.Error: if that fails.
    """
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY, vfs=way_to_logs())
    connection.set_busy_timeout(BUSY_MS)
    rows_of(connection, "SELECT count(*) FROM meta")
    return connection


def copy_all(connection: apsw.Connection) -> None:
    """
    Copy the write-ahead log into the database, sync that, and begin with an empty one.

    Where that is not possible, it is done the next time.

    :raises apsw.Error: if it fails otherwise.
    """
    connection.set_busy_timeout(_WAIT_FOR_READERS_MS)
    try:
        with contextlib.suppress(*NEXT_TIME):
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        connection.set_busy_timeout(BUSY_MS)
