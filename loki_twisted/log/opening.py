"""
Opening the file of the log: making it, knowing it, and putting a damaged one aside.

A file that is not ours, or of a newer version, is left exactly as it is. A
damaged one is renamed and a new one begun: the server comes up, and nothing is thrown away.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import closing
from typing import Final

import apsw
import attrs

from loki_twisted.log import history, holdings, records, schema
from loki_twisted.log.connecting import INDEX_IN_MEMORY, connect_reader, connect_writer, copy_all
from loki_twisted.log.done_rows import check_done
from loki_twisted.log.faults import DAMAGE, Damaged
from loki_twisted.log.input_rows import INPUTS
from loki_twisted.log.interface import Bounds
from loki_twisted.log.message_rows import MESSAGES
from loki_twisted.log.place import sync_directory
from loki_twisted.log.query import rows_of
from loki_twisted.log.schema import Identity
from loki_twisted.log.spending_sums import days_are_whole
from loki_twisted.log.upgrading import upgrade
from loki_twisted.model.errors import StorageForeign, StorageRefused
from loki_twisted.model.filters import EVERYTHING
from loki_twisted.model.tasks import TaskQuery

_SUSPECT: Final = ".suspect"
_COMPANIONS: Final = ("-wal", "-shm", "-journal")
_READERS: Final = 2
_CHECKED_BYTES: Final = 1024 * 1024
_BEHIND_ALL: Final = 2**62
_INCREMENTAL: Final = 2


@attrs.frozen(slots=True)
class Opened:
    """
    A log that is open: one connection to write, some to read.

    :ivar log_id: Random; another one for each file that was ever made.
    :ivar notices: What the operator must know of how it was opened, in sentences.
    :ivar vfs: How SQLite reaches the file, for further connections; None for its usual way.
    """

    connection: apsw.Connection
    readers: tuple[apsw.Connection, ...]
    log_id: str
    bounds: Bounds
    notices: tuple[str, ...] = ()
    vfs: str | None = None

    @property
    def had_no_room(self) -> bool:
        """Whether it was opened on a full disk: it can be read, and probably not written."""
        return self.vfs is not None


def open_log(path: str, now_ms: Callable[[], int]) -> Opened:
    """
    Open the log for writing, and make it if there is none.

    Takes some milliseconds, however much is in it. Only where an earlier server has marked it by
    :func:`suspect`, or it is of an earlier version, all of it is read.

    :raises StorageForeign: if the file is of another program or a newer version, or no file; it is
        not touched then.
    :raises StorageRefused: if it cannot be read, or not be written.
    """
    _refuse_what_is_not_ours(path)
    try:
        return _open_existing(path) if os.path.exists(path) else _open_new(path)
    except DAMAGE as error:
        aside = move_aside(path, now_ms())
        notice = f"The log {path} was damaged ({error}). It is now {aside}; a new log was begun."
        return attrs.evolve(_open_new(path), notices=(notice,))


def _refuse_what_is_not_ours(path: str) -> None:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise StorageForeign(f"{path} is not a file, so the log cannot be kept in it.")
        with open(path, "rb") as file:
            identity = schema.identity_of(file.read(schema.HEADER_BYTES))
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageRefused(f"The log {path} cannot be opened: {error.strerror}.") from error
    if identity in (Identity.FOREIGN, Identity.NEWER):
        raise _refusal(path, identity)


def _refusal(path: str, identity: Identity) -> StorageForeign:
    return StorageForeign(f"{path} is {identity.value}. It was left as it is.")


def _open_existing(path: str) -> Opened:
    try:
        return _open_through(path, None)
    except apsw.Error as error:
        if not _lacks_room(error):
            raise
        # With the index in memory it can be read on a full disk too, and written later.
        return _open_through(path, INDEX_IN_MEMORY)


def _lacks_room(error: apsw.Error) -> bool:
    no_index = getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE
    return no_index or isinstance(error, apsw.FullError)


def _open_through(path: str, vfs: str | None) -> Opened:
    connection = connect_writer(path, vfs)
    try:
        upgrade(connection)
        _check_schema(connection)
        # What is found in it may never have been synced, or in vain: then no later sync is about
        # it either. The system has it in memory all the same, and it would be told as if on disk.
        copy_all(connection)
        bounds = bounds_of(connection)
        if os.path.exists(path + _SUSPECT):
            _check_all(connection, bounds)
            os.unlink(path + _SUSPECT)
        readers = tuple(connect_reader(path, vfs) for _ in range(_READERS))
        return Opened(connection, readers, _log_id(connection), bounds, vfs=vfs)
    except BaseException:
        connection.close()
        raise


def _open_new(path: str) -> Opened:
    if any(os.path.exists(path + ending) for ending in _COMPANIONS):
        raise Damaged("its main file is missing")
    _create(path)
    return _open_existing(path)


def bounds_of(connection: apsw.Connection) -> Bounds:
    """
    Say what a log holds.

    :raises Damaged: if its newest block, or what is written of its holes, is not what was written.
    """
    # Before any read of blocks, which uses it.
    held = holdings.held(connection)
    oldest = holdings.oldest(connection)
    if oldest is None:
        return Bounds(1, 0)
    start = holdings.newest_block(connection) - 1
    [last] = history.read(connection, start, _BEHIND_ALL, EVERYTHING, 0).blocks
    if held is None:
        return Bounds(oldest, last.last_seq)
    before = held.complete_from - oldest
    if not (1 <= held.complete_from <= last.first_seq and 0 <= held.kept <= max(0, before)):
        raise Damaged("what is written of its holes cannot be")
    return Bounds(oldest, last.last_seq, held.complete_from, held.kept)


def suspect(path: str) -> None:
    """Have all of a log checked the next time that it is opened."""
    with contextlib.suppress(OSError), open(path + _SUSPECT, "x"):
        # Damage was met already, and is told; no second error may hide it.
        os.chmod(path + _SUSPECT, 0o600)


def move_aside(path: str, milliseconds: int) -> str:
    """
    Rename a log and all that belongs to it.

    :returns: Its new path.
    """
    aside = f"{path}.corrupt-{milliseconds}"
    # The write-ahead log goes first: left alone it would be played into a new file.
    for ending in (*_COMPANIONS, _SUSPECT, ""):
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + ending, aside + ending)
    sync_directory(os.path.dirname(path))
    return aside


def _create(path: str) -> None:
    fresh = f"{path}.new"
    for ending in ("", *_COMPANIONS):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh + ending)
    # SQLite would ask the umask; the files that it puts beside it have the mode of this one.
    descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    with closing(apsw.Connection(fresh, flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
        connection.pragma("auto_vacuum", _INCREMENTAL)  # only while there is no table
        connection.execute("BEGIN")
        connection.pragma("application_id", schema.APPLICATION_ID)
        connection.pragma("user_version", schema.VERSION)
        for statement in schema.STATEMENTS:
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES ('log_id', ?)", (secrets.token_hex(8),))
        connection.execute("COMMIT")
    os.rename(fresh, path)
    sync_directory(os.path.dirname(path))


def _check_schema(connection: apsw.Connection) -> None:
    # Only now: a newer server that was killed may have left its version in the write-ahead log.
    version = connection.pragma("user_version")
    if isinstance(version, int) and version > schema.VERSION:
        raise _refusal(connection.filename, Identity.NEWER)
    found = {sql for (sql,) in rows_of(connection, "SELECT sql FROM sqlite_schema")}
    if version != schema.VERSION or not found.issuperset(schema.STATEMENTS):
        raise Damaged("its tables are not ours")


def _check_all(connection: apsw.Connection, bounds: Bounds) -> None:
    found = connection.pragma("integrity_check", 1)
    if found != "ok":
        raise Damaged(str(found))
    records.sessions(connection, -1, 0)
    records.tasks(connection, TaskQuery(limit=None))
    records.cursors(connection, "")
    INPUTS.all(connection)
    MESSAGES.all(connection)
    check_done(connection)
    after = events = 0
    while after < bounds.newest:
        page = history.read(connection, after, bounds.newest, EVERYTHING, _CHECKED_BYTES)
        events += sum(map(len, page.blocks))
        after = page.reached
    if events != len(bounds):
        msg = f"it has {events} events and not {len(bounds)}"
        raise Damaged(msg)
    if not records.totals_are_whole(connection):
        raise Damaged("it does not say how many tasks it has")
    if not days_are_whole(connection):
        raise Damaged("it does not say what was spent")
    if not holdings.spans_are_whole(connection):
        raise Damaged("its spans do not say what its blocks have")


def _log_id(connection: apsw.Connection) -> str:
    rows = rows_of(connection, "SELECT value FROM meta WHERE name = 'log_id'")
    if not rows:
        raise Damaged("its id is missing")
    return str(rows[0][0])
