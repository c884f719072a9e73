"""The event log on SQLite: what the service makes and hands to the other rooms."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import apsw
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred, succeed
from twisted.logger import Logger, LogLevel
from zope.interface import implementer

from loki_twisted.kernel.repeating import repeating
from loki_twisted.log import history, input_rows, message_rows, records
from loki_twisted.log.done_rows import done_once
from loki_twisted.log.faults import translated
from loki_twisted.log.intake import Intake
from loki_twisted.log.interface import (
    SHORT_BYTES,
    Batch,
    Bounds,
    Ends,
    IEventLog,
    ILogReactor,
    IRecords,
    Observer,
    Page,
)
from loki_twisted.log.lanes import Lane, lane_of
from loki_twisted.log.limits import DEFAULT_LIMITS, Limits
from loki_twisted.log.moments import last_before
from loki_twisted.log.opening import Opened, opener
from loki_twisted.log.place import whereabouts
from loki_twisted.log.readers import Readers
from loki_twisted.log.retention import KEEP_ALL, Retention, seconds_between_looks
from loki_twisted.log.spending_sums import ledger
from loki_twisted.model.errors import StorageDamaged
from loki_twisted.model.filters import EventFilter
from loki_twisted.model.idempotency import CompletedRequest
from loki_twisted.model.inputs import Input, InputPage
from loki_twisted.model.ledger import LedgerPage, LedgerQuery
from loki_twisted.model.messages import Message, MessagePage
from loki_twisted.model.sessions import Session
from loki_twisted.model.tallies import Tally
from loki_twisted.model.tasks import Task, TaskCounts, TaskPage, TaskQuery

_SHORT_COUNT: Final = 1_024
"""Counting back over so many events is short: they stand in no more blocks."""

_KNOCK_SECONDS: Final = 1.0


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


@implementer(IEventLog, IRecords)
class SQLiteEventLog:
    """
    A log in one file. It can be started and stopped once.

    :param path: The file; it is made if it is not there. Its directory must be there, and no
        other server may use it: see :class:`loki_twisted.log.place.DataDirectory`.
    :param now_ms: The wall clock; called in the log's threads too. It names a damaged file that is
        put aside, and tells which events are too old.
    :param retention: How much is kept.
    :ivar log_id: Another one for each log that was ever made; empty before the start.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: ILogReactor,
        path: str,
        *,
        now_ms: Callable[[], int] = _wall_clock_ms,
        limits: Limits = DEFAULT_LIMITS,
        retention: Retention = KEEP_ALL,
    ) -> None:
        path = os.path.abspath(path)
        self.log_id, self._path = "", path
        self._place: tuple[tuple[int, int] | None, ...] | None = None
        self._intake = Intake(
            reactor,
            path,
            opener(path, now_ms),
            limits=limits,
            retention=retention,
            now_ms=now_ms,
        )
        self._readers = Readers(reactor, path)
        self._sums = DeferredLock()
        looks = repeating(reactor, self._intake.look, "What is too old could not be dropped")
        knocks = repeating(reactor, self._intake.knock, "It could not be seen how the disk is")
        self._timers = {looks: seconds_between_looks(retention), knocks: _KNOCK_SECONDS}

    def start(self) -> Deferred[None]:
        """
        Open the log. While there is no room on the disk to make it, that is tried again and again.

        :raises StorageForeign: (through the Deferred) if its file is of another program or a
            newer version; it is left as it is.
        :raises StorageRefused: (through the Deferred) if it cannot be read, or not be written.
        :raises StorageFailed: (through the Deferred) if it cannot be opened or made.
        """
        return self._intake.start().addCallback(self._opened).addErrback(translated)

    def give_up(self) -> None:
        """Wait no longer for room on the disk: the start fails. Nothing happens if it does not."""
        self._intake.give_up()

    def _opened(self, opened: Opened) -> None:
        self.log_id, self._place = opened.log_id, whereabouts(self._path)
        self._intake.notices.extend(opened.notices)
        level = LogLevel.critical if opened.is_begun_anew else LogLevel.warn
        for notice in opened.notices:
            self._log.emit(level, "{notice}", notice=notice)
        self._log.info(
            "log open: events {bounds.oldest} to {bounds.newest}, SQLite {version}",
            bounds=opened.bounds,
            version=apsw.sqlite_lib_version(),
        )
        self._readers.start(opened.readers)
        for timer, seconds in self._timers.items():
            timer.start(seconds, now=False)

    def stop(self) -> Deferred[None]:
        """
        Write what waits, and close the log.

        :returns: Fires when all is on disk and no thread is left. Whatever is asked for
            afterwards fails with :class:`~loki_twisted.model.errors.Unavailable`.
        """
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        # First, because of a disk that does not answer the rest may be given up.
        self._stop_timers()
        await self._intake.drain()
        self._stop_timers()  # if it was being opened
        await self._readers.stop()
        await self._intake.close()

    def _stop_timers(self) -> None:
        for timer in self._timers:
            if timer.running:
                timer.stop()

    @property
    def bounds(self) -> Bounds:
        """What the log holds."""
        return self._intake.bounds

    @property
    def notices(self) -> Sequence[str]:
        """What the operator must know of the log, beside ``failure``, in sentences."""
        met = self._readers.damage
        return [*self._intake.notices, *(() if met is None else (str(met),))]

    @property
    def commits(self) -> Tally:
        """How many commits there were, and how long they took."""
        return self._intake.commits

    @property
    def failure(self) -> str | None:
        """Why the log cannot be written now, or None."""
        return self._intake.failure

    @property
    def is_slow(self) -> bool:
        """Whether its disk has not answered for half a second: who writes there may wait."""
        return self._intake.is_slow

    def is_in_place(self) -> bool:
        """Whether its files lie where they were opened. Else nobody finds what is written now."""
        return self._place is None or self._place == whereabouts(self._path)

    def refuse_damaged(self) -> None:
        """
        See whether damage was met since it was opened. The next opening puts such a log aside.

        :raises StorageDamaged: if so, with what was met first.
        """
        damage = self._readers.damage or self._intake.failed
        if isinstance(damage, StorageDamaged):
            raise damage

    def append(self, batch: Batch) -> Deferred[Bounds]:
        """Put a batch into the log."""
        return maybeDeferred(self._intake.append, batch)

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Be told of every commit."""
        return self._intake.observers.add(observer)

    def read(
        self, after: int, wanted: EventFilter, max_bytes: int, before: int | None = None
    ) -> Deferred[Page]:
        """Read forwards."""
        newest = self.bounds.newest
        if before is not None:
            newest = min(newest, before - 1)
        if after >= newest:
            return succeed(Page((), after))
        return self._readers.ask(
            lambda connection: history.read(connection, after, newest, wanted, max_bytes),
            lane_of(wanted, is_short=max_bytes <= SHORT_BYTES),
        )

    def behind_last(self, before: int, wanted: EventFilter, count: int) -> Deferred[int]:
        """Count backwards."""
        begun = history.Count(min(before, self.bounds.newest + 1), count)
        lane = lane_of(wanted, is_short=count <= _SHORT_COUNT)
        return Deferred.fromCoroutine(self._behind_last(begun, wanted, lane))

    async def _behind_last(self, count: history.Count, wanted: EventFilter, lane: Lane) -> int:
        while True:
            # Others have their turn after each stretch.
            ask = partial(history.count_on, count=count, wanted=wanted)
            count = await self._readers.ask(ask, lane)
            if count.is_over:
                return count.behind

    def time_of(self, seq: int) -> Deferred[int | None]:
        """Look up one event's time."""
        bounds = self.bounds
        if not min(bounds.oldest, bounds.complete_from - 1) <= seq <= bounds.newest:
            return succeed(None)
        return self._readers.ask(lambda connection: history.time_of(connection, seq))

    def last_before(self, at_ms: int) -> Deferred[int]:
        """Find a time."""
        newest = self.bounds.newest
        return self._readers.ask(lambda connection: last_before(connection, at_ms, newest))

    def ends(self) -> Deferred[Ends]:
        """Both ends."""
        newest = self.bounds.newest
        return self._readers.ask(lambda connection: history.ends(connection, newest))

    def sessions(self, limit: int, offset: int) -> Deferred[list[Session]]:
        """Some of all sessions."""
        return self._readers.ask(partial(records.sessions, limit=limit, offset=offset), Lane.PAGES)

    def tasks(self, query: TaskQuery) -> Deferred[TaskPage]:
        """A page of tasks."""
        return self._readers.ask(lambda connection: records.tasks(connection, query), Lane.PAGES)

    def task(self, session_id: str, task_id: str) -> Deferred[Task | None]:
        """One task."""
        return self._readers.ask(lambda connection: records.task(connection, session_id, task_id))

    def task_counts(self, session_id: str) -> Deferred[TaskCounts]:
        """Counts of one session's tasks."""
        return self._readers.ask(lambda connection: records.task_counts(connection, session_id))

    def open_inputs(self) -> Deferred[list[Input]]:
        """All inputs that are open."""
        return self._readers.ask(input_rows.open_inputs, Lane.PAGES)

    def inputs(self, session_id: str, limit: int, offset: int) -> Deferred[InputPage]:
        """Inputs of a session."""
        ask = partial(input_rows.inputs, session_id=session_id, limit=limit, offset=offset)
        return self._readers.ask(ask, Lane.PAGES)

    def input(self, session_id: str, input_id: str) -> Deferred[Input | None]:
        """One input."""
        ask = partial(input_rows.input_of, session_id=session_id, input_id=input_id)
        return self._readers.ask(ask)

    def queued_messages(self) -> Deferred[list[Message]]:
        """All messages that wait."""
        return self._readers.ask(message_rows.queued_messages, Lane.PAGES)

    def messages(self, session_id: str, limit: int, offset: int) -> Deferred[MessagePage]:
        """Messages of a session."""
        ask = partial(message_rows.messages, session_id=session_id, limit=limit, offset=offset)
        return self._readers.ask(ask, Lane.PAGES)

    def ledger(self, query: LedgerQuery) -> Deferred[LedgerPage]:
        """What was spent."""
        ask = partial(ledger, query=query)
        if query.session_id is not None:
            return self._readers.ask(ask, Lane.PAGES)
        # One at a time, so that a thread is left for all others: it cannot be cut into stretches.
        return self._sums.run(self._readers.ask, ask, Lane.SCANS)

    def done_once(self, key: str) -> Deferred[CompletedRequest | None]:
        """What was done under a key."""
        return self._readers.ask(partial(done_once, key=key))

    def cursors(self, prefix: str, part: str = "") -> Deferred[dict[str, str]]:
        """The cursors whose name begins with a prefix."""
        return self._readers.ask(partial(records.cursors, prefix=prefix, part=part))
