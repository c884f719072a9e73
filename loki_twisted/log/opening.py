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
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Final

import apsw
import attrs
from twisted.logger import Logger

from loki_twisted.log import schema
from loki_twisted.log.checking import bounds_of, check_all, check_schema, refusal
from loki_twisted.log.connecting import NEXT_TIME, connect_reader, connect_writer, copy_all
from loki_twisted.log.faults import Damaged, is_damage, is_wrong_sum, words_of
from loki_twisted.log.interface import Bounds
from loki_twisted.log.page_sums import (
    EXCLUSIVE,
    has_sums,
    refuse_lost_sums,
    reserve_sums,
    way_to_logs,
)
from loki_twisted.log.place import sync_directory
from loki_twisted.log.query import rows_of
from loki_twisted.log.schema import Identity
from loki_twisted.log.spending_checks import renew_costs
from loki_twisted.log.upgrading import upgrade
from loki_twisted.model.errors import StorageForeign, StorageRefused

_SUSPECT: Final = ".suspect"
_COMPANIONS: Final = ("-wal", "-shm", "-journal")
_READERS: Final = 2
_INCREMENTAL: Final = 2

_log: Final = Logger()


@attrs.frozen(slots=True)
class Opened:
    """
    A log that is open: one connection to write, some to read.

    :ivar log_id: Random; another one for each file that was ever made.
    :ivar notices: What the operator must know of how it was opened, in sentences.
    :ivar is_begun_anew: Whether the one before was damaged, and put aside.
    """

    connection: apsw.Connection
    readers: tuple[apsw.Connection, ...]
    log_id: str
    bounds: Bounds
    notices: tuple[str, ...] = ()
    is_begun_anew: bool = False


def opener(path: str, now_ms: Callable[[], int]) -> Callable[[], Opened]:
    """Make what opens a log, as often as that has to be tried; why it takes long is said once."""
    said: set[str] = set()

    def say(words: str) -> None:
        if words not in said:
            said.add(words)
            _say(words)

    return partial(open_log, path, now_ms, say)


def _say(words: str) -> None:
    _log.info("{words}", words=words)


def open_log(path: str, now_ms: Callable[[], int], say: Callable[[str], None] = _say) -> Opened:
    """
    Open the log for writing, and make it if there is none.

    Takes some milliseconds, however much is in it. Only where an earlier server has marked it by
    :func:`suspect`, or it is of an earlier version, all of it is read.

    :param say: Told why it takes longer, before it does.
    :raises StorageForeign: if the file is of another program or a newer version, or no file, or
        has sums that cannot be kept here; it is not touched then.
    :raises StorageRefused: if it cannot be read, or not be written.
    """
    _refuse_what_is_not_ours(path)
    try:
        return _open_existing(path, say) if os.path.exists(path) else _open_new(path, say)
    except Exception as error:
        if not is_damage(error):
            raise
        return _open_instead(path, error, now_ms(), say)


def _open_instead(
    path: str, damage: Exception, milliseconds: int, say: Callable[[str], None]
) -> Opened:
    """Open a log of which only sums of pages are wrong; put aside what is damaged."""
    if is_wrong_sum(damage):
        try:
            _renew_sums(path, say)
            notice = (
                f"Pages of the log {path} had other sums than their own, as where another program"
                " writes to it. All of it was read, and is right."
            )
            return attrs.evolve(_open_existing(path, say), notices=(notice,))
        except Exception as error:
            if not is_damage(error):
                raise
            damage = error
    aside = move_aside(path, milliseconds)
    notice = (
        f"The log {path} was damaged ({words_of(damage)}). It is now {aside}; a new log was begun."
    )
    return attrs.evolve(_open_new(path, say), notices=(notice,), is_begun_anew=True)


def _renew_sums(path: str, say: Callable[[str], None]) -> None:
    """
    Write all pages of a log anew, with their sums, if all that stands in it is right.

    SQLite's own shell, say, does not write them: it may have added an index, or have copied the
    write-ahead log that a killed server left.

    :raises Damaged: if something is wrong. Of an earlier version no more is checked than it had.
    """
    with (
        closing(connect_writer(path, checks_sums=False)) as connection,
        _giving_room_back(connection),
    ):
        upgrade(connection, say)
        check_schema(connection)
        say(f"pages of {path} have wrong sums; all of it is read and written anew")
        check_all(connection, bounds_of(connection))
        renew_costs(connection)
        connection.pragma("auto_vacuum", _INCREMENTAL)  # as it was made; another may have left it
        connection.execute("VACUUM")
        copy_all(connection)


def _refuse_what_is_not_ours(path: str) -> None:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise StorageForeign(f"{path} is not a file, so the log cannot be kept in it.")
        with open(path, "rb") as file:
            header = file.read(schema.HEADER_BYTES)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageRefused(f"The log {path} cannot be opened: {error.strerror}.") from error
    identity = schema.identity_of(header)
    if identity in (Identity.FOREIGN, Identity.NEWER):
        raise refusal(path, identity)
    if identity is Identity.OURS and has_sums(header) and way_to_logs() == EXCLUSIVE:
        raise StorageForeign(
            f"The pages of the log {path} have sums, which this build of apsw cannot keep."
            " It was left as it is."
        )


def _open_existing(path: str, say: Callable[[str], None]) -> Opened:
    refuse_lost_sums(path)
    connection = connect_writer(path)
    try:
        with _giving_room_back(connection):
            upgrade(connection, say)
        check_schema(connection)
        # What is found in it may never have been synced, or in vain: then no later sync is about
        # it either. The system has it in memory all the same, and it would be told as if on disk.
        copy_all(connection)
        bounds = bounds_of(connection)
        if os.path.exists(path + _SUSPECT):
            say(f"damage of {path} was met before; all of it is read")
            check_all(connection, bounds)
            with contextlib.suppress(*NEXT_TIME):
                renew_costs(connection)
                os.unlink(path + _SUSPECT)
        readers = tuple(connect_reader(path) for _ in range(_READERS))
        return Opened(connection, readers, _log_id(connection), bounds)
    except BaseException:
        connection.close()
        raise


@contextlib.contextmanager
def _giving_room_back(connection: apsw.Connection) -> Iterator[None]:
    """
    Let go of what was written in vain to a disk that became full by it.

    It stands in the write-ahead log, and agents have nothing else to print to as long as it does.
    """
    try:
        yield
    except apsw.FullError:
        with contextlib.suppress(apsw.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            copy_all(connection)
        raise


def _open_new(path: str, say: Callable[[str], None]) -> Opened:
    if any(os.path.exists(path + ending) for ending in _COMPANIONS):
        raise Damaged("its main file is missing")
    _create(path)
    return _open_existing(path, say)


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
    flags = apsw.SQLITE_OPEN_READWRITE
    with closing(apsw.Connection(fresh, flags=flags, vfs=way_to_logs())) as connection:
        reserve_sums(connection)
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


def _log_id(connection: apsw.Connection) -> str:
    rows = rows_of(connection, "SELECT value FROM meta WHERE name = 'log_id'")
    if not rows:
        raise Damaged("its id is missing")
    return str(rows[0][0])
