"""
Cutting the log: what retention decides is done here, on the connection that writes.

There are two ways, and nobody feels either:

- With a commit. Its transaction drops about as much as it adds, twice as much while there is too
  much. So in the long run that costs no sync of the disk, and the file does not grow.
- When there is nothing else to do, in slices of a few milliseconds, each a transaction of its
  own. They are not synced: if the power fails, what was dropped may be there again, no more.

Blocks are looked at from the oldest on, each once. Those that stay for the sake of running
sessions are looked at again when a session has ended, or half as much was said since as stays. So
each event that is said costs a look at two that stay, however many run, and no more than
half of what must stay is there beside it.

Slices also give free pages back to the system, where the file can do that and has too many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

import apsw
import attrs

from loki_twisted.log import holdings
from loki_twisted.log.changes import Changes
from loki_twisted.log.interface import Bounds
from loki_twisted.log.progress import progress_of
from loki_twisted.log.query import number_of
from loki_twisted.log.retention import (
    ALL,
    Choice,
    Excess,
    Floors,
    Held,
    Retention,
    Stored,
    choose,
    excess_of,
)
from loki_twisted.log.rows import BlockRow

_CAN_SHRINK: Final = 2  # auto_vacuum = incremental
_SHRUNK_PAGES: Final = 16
_SPARE_SHARE: Final = 10
_LEAST_SPARE_PAGES: Final = 32


@attrs.frozen(slots=True)
class Budget:
    """
    How much may be done at once.

    :ivar rows: How many blocks are looked at.
    :ivar size: Nothing more is dropped when so many bytes are exceeded.
    :ivar lookups: How many floors are looked up, each up to a millisecond.
    """

    rows: int
    size: int
    lookups: int


SLICE: Final = Budget(rows=192, size=256 * 1024, lookups=2)
"""What is done at once when there is nothing else to do. Measured: 1 to 5 ms."""

WITH_COMMIT: Final = Budget(rows=64, size=64 * 1024, lookups=1)
"""What may be done with any commit, beside twice of what it adds."""


class Cutter:
    """
    Cuts one log. For the writer's thread.

    :param connection: The connection that writes.
    :param bounds: What the log holds.
    :param now_ms: The wall clock.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        retention: Retention,
        bounds: Bounds,
        now_ms: Callable[[], int],
    ) -> None:
        held = holdings.held(connection) or Held(bounds.complete_from)
        self._connection = connection
        self._retention = retention
        self._now_ms = now_ms
        self._now = self._committed = progress_of(bounds, held)
        self._floors = Floors(retention.running_events, partial(holdings.floor_of, connection))
        self._page_size = number_of(connection, "page_size")
        self._can_shrink = number_of(connection, "auto_vacuum") == _CAN_SHRINK
        self._newest_block = holdings.newest_block(connection)
        self._outdated = Excess()
        self._is_paused = False
        self.look()

    @property
    def bounds(self) -> Bounds:
        """What the log holds, with what the open transaction has done."""
        return self._now.bounds

    def look(self) -> None:
        """See what has become too old; and go on, if it was paused."""
        self._is_paused = False
        age = self._retention.age_ms
        if age is not None:
            now = self._now_ms()
            self._outdated = Excess(before_ms=now - age, beyond_ms=now + age)

    def pause(self) -> None:
        """Drop nothing until it is told to :meth:`look`."""
        self._is_paused = True

    def undo(self) -> None:
        """Forget what was done in a transaction that was rolled back."""
        self._now = self._committed

    def added(self, rows: Sequence[BlockRow], changes: Changes) -> None:
        """Take note of what was written. To be called in the transaction that wrote it."""
        self._committed = self._now
        if rows:
            self._count(rows)
        ended = [row[0] for row in changes.sessions.values() if row[2]]
        for session_id in (*changes.forgotten, *ended):
            self._floors.ended(session_id)
        if changes.forgotten or ended:
            self._look_again()

    def cut_with(self, rows: Sequence[BlockRow]) -> None:
        """
        Drop about as much as was added, if there is too much. To be called in the same transaction.

        :param rows: What was added. It stays, because those who wait for it have not been told.
        :raises apsw.Error: if that fails.
        :raises Damaged: if what is there is not what was written.
        """
        excess = self._excess()
        if not excess or self._is_paused:
            return
        budget = Budget(
            2 * sum(row[1] - row[0] + 1 for row in rows) + WITH_COMMIT.rows,
            2 * sum(len(row[-1]) for row in rows) + WITH_COMMIT.size,
            WITH_COMMIT.lookups,
        )
        before = rows[0][0] if rows else self._newest_block
        self._drop(self._choose_of_complete(excess, budget, before).dropped)

    def slice(self) -> bool:
        """
        Do a little, in a transaction of its own.

        :returns: Whether there may be more to do at once.
        :raises apsw.Error: if that fails.
        :raises Damaged: if what is there is not what was written.
        """
        self._committed = self._now
        if self._is_paused:
            return False
        choice = None if self._now.next_of_kept is None else self._choose_of_kept()
        if not (choice and choice.passed) and (excess := self._excess()):
            choice = self._choose_of_complete(excess, SLICE, self._newest_block)
        if not (choice and choice.passed):
            return self._shrink()
        if choice.dropped:
            with self._unsynced():
                self._drop(choice.dropped)
        return True

    def _count(self, rows: Sequence[BlockRow]) -> None:
        first, newest = rows[0][0], rows[-1][1]
        bounds = self._now.bounds
        if bounds.oldest > bounds.newest:
            bounds = attrs.evolve(bounds, oldest=first)
        self._now = attrs.evolve(self._now, bounds=attrs.evolve(bounds, newest=newest))
        self._newest_block = rows[-1][0]
        for row in rows:
            self._floors.said(row[3], row[1] - row[0] + 1)
        if self._is_worth_a_look():
            self._look_again()

    def _is_worth_a_look(self) -> bool:
        if not self._now.is_worth_a_look(self._retention.running_events):
            return False
        # Who began anew before the end would never come to it.
        return self._now.has_looked or not self._excess()

    def _look_again(self) -> None:
        self._now = self._now.begin_again()
        self.look()

    def _excess(self) -> Excess:
        size = 0
        if self._retention.size is not None:
            pages, free = self._pages()
            size = excess_of((pages - free) * self._page_size, self._retention.size)
        events = excess_of(len(self._now.bounds), self._retention.events)
        return attrs.evolve(self._outdated, events=events, size=size)

    def _choose_of_complete(self, excess: Excess, budget: Budget, before: int) -> Choice:
        choice = self._choose(self._now.next_of_complete, before, excess, budget)
        first = choice.undecided
        is_end = first is None and choice.passed < budget.rows
        if is_end or (first is not None and not self._outdated.is_outdated(first)):
            self._outdated = Excess()  # nothing is, until the next look
        if choice.next_seq is not None:
            self._now = attrs.evolve(self._now, next_of_complete=choice.next_seq)
        return choice

    def _choose_of_kept(self) -> Choice:
        start = self._now.next_of_kept or 0
        choice = self._choose(start, self._now.held.complete_from, ALL, SLICE)
        self._now = attrs.evolve(self._now, next_of_kept=choice.next_seq)
        return choice

    def _choose(self, start: int, before: int, excess: Excess, budget: Budget) -> Choice:
        self._floors.allow(budget.lookups)
        blocks = holdings.stored(self._connection, start, before, budget.rows)
        return choose(blocks, excess, budget.size, self._floors.spares)

    def _drop(self, blocks: Sequence[Stored]) -> None:
        if not blocks:
            return
        held = self._now.held.without(blocks)
        holdings.drop(self._connection, blocks, held)
        oldest = holdings.oldest(self._connection) if held.kept else None
        bounds = attrs.evolve(
            self._now.bounds,
            oldest=oldest or held.complete_from,
            complete_from=held.complete_from,
            kept=held.kept,
        )
        self._now = attrs.evolve(self._now, held=held, bounds=bounds)

    def _shrink(self) -> bool:
        if not self._can_shrink:
            return False
        pages, free = self._pages()
        if free <= max(pages // _SPARE_SHARE, _LEAST_SPARE_PAGES):
            return False
        with self._unsynced():
            self._connection.execute(f"PRAGMA incremental_vacuum({_SHRUNK_PAGES})").fetchall()
        return True

    def _pages(self) -> tuple[int, int]:
        """How many pages the database has, and how many of them are free."""
        connection = self._connection
        pages = number_of(connection, "page_count")
        return pages, number_of(connection, "freelist_count")

    @contextmanager
    def _unsynced(self) -> Iterator[None]:
        """
        Make a transaction that the next commit of events will sync.

        It has to be whole and in its order, and the write-ahead log sees to that without a sync. It
        need not last: a slice tells nobody that something is on disk, and where it is lost,
        what it dropped is there again, with the bounds of then, and goes again. A checkpoint
        syncs it before it copies it.
        """
        connection = self._connection
        connection.pragma("synchronous", "normal")
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        finally:
            connection.pragma("synchronous", "full")
