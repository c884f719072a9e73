"""
The log as its writer works with it.

- There is one connection that writes and checkpoints. When something fails with it, it is closed
  and never used again, because what it wrote may or may not be on disk. Until a probe has
  written with another one, whatever is asked for fails.
- The connections for reading stay open as long as the log. So SQLite keeps in mind what was
  committed, and the probe writes over what a failed commit left in the write-ahead log. (Its
  checksums follow from one another, so nothing behind the probe counts any more.)
- What there is too much of is dropped with commits, and between them: see ``log/cutting.py``. Where
  that fails because of what stood there before, the log keeps everything from then on; it
  can be written to all the same. Where the disk fails, that is no other failure than a commit's.
- The write-ahead log is copied into the database when there is nothing else to do, or when it has
  become too long. Nobody else does that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from itertools import chain
from time import perf_counter
from typing import Final

import apsw
import attrs

from loki_twisted.log.changes import Changes, merged
from loki_twisted.log.checking import bounds_of
from loki_twisted.log.connecting import KEPT_WAL_BYTES, NEXT_TIME, connect_writer, copy_all
from loki_twisted.log.cutting import Cutter
from loki_twisted.log.faults import Damaged, is_damage, storage_error
from loki_twisted.log.interface import Bounds
from loki_twisted.log.knocking import knock
from loki_twisted.log.messages import (
    Closed,
    Committed,
    Entry,
    Failed,
    Heard,
    Recovered,
    Report,
    Shortened,
    Unshortened,
)
from loki_twisted.log.opening import Opened, suspect
from loki_twisted.log.query import number_of
from loki_twisted.log.retention import Retention
from loki_twisted.log.rows import BlockRow, join_neighbours
from loki_twisted.log.statements import write
from loki_twisted.model.errors import StorageFailed

_CHECKPOINT_PAGES: Final = 1_000
_SLICES_PAGES: Final = 128
_OVERDUE_PAGES: Final = 4_000
_OVERLONG_PAGES: Final = 16_000
_WAITING_SHARE: Final = 16

# Another value each time: what is as it was SQLite does not write.
_PROBE: Final = """INSERT INTO meta VALUES ('probe', hex(randomblob(8)))
ON CONFLICT(name) DO UPDATE SET value = excluded.value"""


class Ledger:
    """
    The log as its writer works with it. Not for use by several threads.

    :param report: Called with the outcome of all that is done.
    :param retention: How much is kept.
    :param now_ms: The wall clock.
    """

    def __init__(
        self,
        path: str,
        opened: Opened,
        report: Callable[[Report], None],
        retention: Retention,
        now_ms: Callable[[], int],
    ) -> None:
        self._path = path
        self._report = report
        self._retention = retention
        self._now_ms = now_ms
        # None from a failure to the next probe that succeeds.
        self._connection: apsw.Connection | None = None
        self._readers = opened.readers
        self._newest = opened.bounds.newest
        self._keeps_all = False
        self._is_tidying = False
        self._pages = 0
        self._overdue_pages = _OVERDUE_PAGES
        self._failure = Failed((), StorageFailed("The log is closed."), is_passing=False)
        self._work_with(opened.connection, opened.bounds)

    def commit(self, entries: Sequence[Entry], is_idle: Callable[[], bool]) -> None:
        """
        Write entries in one transaction.

        :param is_idle: Asked afterwards, whether there is time to checkpoint.
        """
        if self._connection is None:
            self._report(attrs.evolve(self._failure, entries=entries))
            return
        began = perf_counter()
        try:
            blocks = join_neighbours(chain.from_iterable(entry.blocks for entry in entries))
            changes = merged(entry.changes for entry in entries)
            self._write(self._connection, [new.row for new in blocks], changes)
        except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it was
            self._fail(entries, error)
            return
        if blocks:
            self._newest = blocks[-1].block.last_seq
        seconds = perf_counter() - began
        told = [new.block for new in blocks]
        self._report(Committed(entries, told, self._cutter.bounds, seconds))
        try:
            self._maybe_checkpoint(_CHECKPOINT_PAGES if is_idle() else _OVERDUE_PAGES)
        except apsw.Error as error:
            self._fail((), error)

    def look(self) -> None:
        """See what has become too old."""
        self._cutter.look()

    def tidy(self) -> bool:
        """
        Drop a little of what there is too much of, if there is, or checkpoint what was dropped.

        :returns: Whether there is more to do.
        """
        if self._connection is None or self._keeps_all:
            return False
        before = self._cutter.bounds
        try:
            if self._is_tidying and self._maybe_checkpoint(_SLICES_PAGES):
                return True
            more = self._cutter.slice()
            if self._cutter.bounds != before:
                self._report(Shortened(self._cutter.bounds))
            if self._is_tidying and not more:
                # Only now the file itself becomes shorter, if it can.
                self._maybe_checkpoint(1)
            self._is_tidying = more
        except Exception as error:  # noqa: BLE001 - whatever it was, it must not end the thread
            self._cutter.undo()
            if not self._lives_with(error):
                self._fail((), error)
            return False
        return more

    def _write(
        self, connection: apsw.Connection, rows: Sequence[BlockRow], changes: Changes
    ) -> None:
        cutter = self._cutter
        connection.execute("BEGIN IMMEDIATE")
        write(connection, rows, changes)
        cutter.added(rows, changes)
        try:
            if not self._keeps_all:
                cutter.cut_with(rows)
        except Exception as error:
            if not self._lives_with(error):
                raise
            # What is wrong with the old is no reason not to write the new.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            cutter.undo()
            connection.execute("BEGIN IMMEDIATE")
            write(connection, rows, changes)
            cutter.added(rows, changes)
        connection.execute("COMMIT")

    def _lives_with(self, error: Exception) -> bool:
        """Whether the log can be written to although something in it could not be dropped."""
        if isinstance(error, NEXT_TIME):
            self._cutter.pause()
            return True
        if is_damage(error):
            suspect(self._path)
        elif isinstance(error, apsw.Error):
            return False
        self._keeps_all = True
        self._report(Unshortened(error))
        return True

    def try_out(self) -> None:
        """Write something, for whoever has to know now whether that can be done."""
        if self._connection is None:
            return
        try:
            self._connection.execute(_PROBE)
        except apsw.Error as error:
            self._fail((), error)

    def knock(self) -> None:
        """See whether the disk takes anything still. It is given nothing."""
        try:
            if self._connection is not None:
                knock(f"{self._path}-wal")  # Closing the database would take SQLite's locks off it.
        except OSError as error:
            self._fail((), error)
        else:
            self._report(Heard())

    def probe(self) -> None:
        """Try to write with a new connection, if there is none."""
        if self._connection is not None:
            return
        try:
            knock(f"{self._path}-wal")
            self._connection = connect_writer(self._path)
            copy_all(self._connection)
            bounds = bounds_of(self._connection)
            if bounds.newest != self._newest:
                msg = f"its newest event is number {bounds.newest}, not {self._newest}"
                raise Damaged(msg)
            self._connection.execute(_PROBE)
            self._work_with(self._connection, bounds)
        except Exception as error:  # noqa: BLE001 - it is told, and tried again
            self._fail((), error)
            return
        self._report(Recovered(bounds))

    def close(self) -> Closed:
        """Close all connections, and leave a single file behind."""
        problem = None
        for reader in self._readers:
            reader.close(force=True)
        if self._connection is not None:
            try:
                copy_all(self._connection)
                self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
            except apsw.Error as error:
                problem = error
            self._connection.close(force=True)
        return Closed(problem)

    def _fail(self, entries: Sequence[Entry], error: Exception) -> None:
        system_errno = 0
        if self._connection is not None:
            system_errno = self._connection.system_errno
            self._connection.close(force=True)
            self._connection = None
        is_passing = not is_damage(error)
        if not is_passing:
            suspect(self._path)
        failure = storage_error("written", error, system_errno)
        failure.__cause__ = error
        self._failure = Failed((), failure, is_passing)
        self._report(attrs.evolve(self._failure, entries=entries))

    def _work_with(self, connection: apsw.Connection, bounds: Bounds) -> None:
        self._connection = connection
        self._cutter = Cutter(connection, self._retention, bounds, self._now_ms)
        if self._retention.size is not None:
            # What is waiting to be copied is on the disk too.
            size = self._retention.size // _WAITING_SHARE
            self._overdue_pages = min(_OVERDUE_PAGES, size // number_of(connection, "page_size"))
            connection.pragma("journal_size_limit", min(KEPT_WAL_BYTES, size))

    def _maybe_checkpoint(self, pages: int) -> bool:
        """
        Copy the write-ahead log into the database, if it has become too long.

        :param pages: So many pages are too long.
        """
        connection = self._connection
        if connection is None:
            return False
        self._pages += connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE, True)[0]
        if self._pages < min(pages, self._overdue_pages):
            return False
        self._pages = 0
        with contextlib.suppress(*NEXT_TIME):
            length, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            if length > _OVERLONG_PAGES:
                # Somebody was always reading. Now they wait, until it begins from the front again.
                copy_all(connection)
        return True
