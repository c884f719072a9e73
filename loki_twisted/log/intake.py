"""
What goes into the log, as the reactor's thread sees it.

Events are numbered and encoded here, in the order of the calls, and handed to the writer
thread. What it reports comes back here: observers are told, waiters fire. After a
failure nothing is handed over until a probe has found that the log can be written again, so
all that was numbered in the meantime has failed, and numbers go on from what is on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from loki_twisted.log.entries import entry_of
from loki_twisted.log.faults import storage_error
from loki_twisted.log.interface import Batch, Bounds, ILogReactor
from loki_twisted.log.limits import Limits
from loki_twisted.log.messages import (
    Closed,
    Committed,
    Entry,
    Failed,
    NotOpened,
    Order,
    Recovered,
    Report,
    Shortened,
    Unshortened,
)
from loki_twisted.log.observers import Observers
from loki_twisted.log.opening import Opened
from loki_twisted.log.retention import Retention
from loki_twisted.log.silence import Silence
from loki_twisted.log.waiters import copy, fire, fire_all
from loki_twisted.log.writer import Writer
from loki_twisted.model.errors import StorageFailed, StorageFull, Unavailable
from loki_twisted.model.tallies import Tally

_SLOW_SECONDS: Final = 0.5


class _State(Enum):
    NEW = "The log is not open yet."
    OPENING = "The log is being opened."
    WAITING = "The log waits for room on its disk, to be opened."
    OPEN = "The log is open."
    DRAINING = "The log takes nothing more, because the server shuts down."
    CLOSING = "The log is being closed, because the server shuts down."
    CLOSED = "The log is closed."


class Intake:
    """
    The way into the log.

    :param path: The file of the log.
    :param open_log: Called first in the writer's thread.
    :param now_ms: The wall clock; called in that thread too.
    :ivar observers: Told of every commit, before those who wait for it.
    :ivar bounds: What the log holds.
    :ivar notices: What the operator must know of what was met on the way, in sentences.
    :ivar failed: Why the log cannot be written now, or None.
    :ivar commits: How many there were, and how long they took.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: ILogReactor,
        path: str,
        open_log: Callable[[], Opened],
        *,
        limits: Limits,
        retention: Retention,
        now_ms: Callable[[], int],
    ) -> None:
        self.observers = Observers()
        self.bounds = Bounds(1, 0)
        self._reactor = reactor
        self._limits = limits
        self.notices: list[str] = []
        self.commits = Tally()
        self._make_writer = partial(Writer, path, open_log, self._from_thread, retention, now_ms)
        self._writer = self._make_writer()
        self._state = _State.NEW
        self.failed: StorageFailed | None = None
        self._next_seq = 1
        self._queued_bytes = 0
        self._queued_batches = 0
        self._probe: IDelayedCall | None = None
        self._opened: Deferred[Opened] = Deferred()
        self._drained: list[Deferred[None]] = []
        self._closed: list[Deferred[None]] = []
        self._has_given_up = False
        self._silence = Silence(reactor, limits.patience_seconds)

    @property
    def failure(self) -> str | None:
        """Why the log cannot be written now, or None."""
        failed = self.failed or self._silence.failure()
        return None if failed is None else str(failed)

    @property
    def is_slow(self) -> bool:
        """Whether the disk has not answered for half a second."""
        return self._silence.lasts(_SLOW_SECONDS)

    def start(self) -> Deferred[Opened]:
        """Open the log, once. Without room for it that is tried on, until :meth:`give_up`."""
        self._open()
        return self._opened

    def give_up(self) -> None:
        """Wait for room no longer: if there is none now, the log is not opened."""
        self._has_given_up = True
        if self._state is _State.WAITING:
            self._cancel_probe()
            self._state = _State.CLOSED
            self._opened.errback(copy(self.failed or StorageFull(_State.WAITING.value)))

    def _open(self) -> None:
        self._probe = None
        self._state = _State.OPENING
        self._silence.asked()
        self._writer.start()

    def append(self, batch: Batch) -> Deferred[Bounds]:
        """Append; see :meth:`loki_twisted.log.interface.IEventLog.append`. Raises at once."""
        if self._state is not _State.OPEN:
            raise Unavailable(self._state.value)
        if (failed := self.failed or self._silence.failure()) is not None:
            raise copy(failed)
        entry = entry_of(batch, self._next_seq)
        if (
            self._queued_bytes + entry.size > self._limits.queued_bytes
            or self._queued_batches >= self._limits.queued_batches
        ):
            raise Unavailable("The disk is too slow: too much waits to be written to the log.")
        self._next_seq += len(batch.facts)
        self._queued_bytes += entry.size
        self._queued_batches += 1
        self._writer.submit(entry)
        self._silence.asked()
        return entry.waiter

    def look(self) -> None:
        """Have what has become too old dropped. To be called now and then."""
        if self._state is _State.OPEN:
            self._writer.submit(Order.LOOK)

    def knock(self) -> None:
        """Have it seen whether the disk takes anything still. To be called each second."""
        if self._state is not _State.OPEN:
            return
        self._silence.present()
        if not self._silence.is_waiting and self.failed is None:
            self._writer.submit(Order.KNOCK)
            self._silence.asked()

    def drain(self) -> Deferred[None]:
        """
        Take nothing more.

        :returns: Fires when nothing waits to be written.
        """
        self.give_up()
        self._silence.leave()
        if self._state is _State.NEW:
            self._state = _State.CLOSED
        elif self._state is _State.OPEN:
            self._state = _State.DRAINING
            self._cancel_probe()
        waiter: Deferred[None] = Deferred()
        self._drained.append(waiter)
        self._maybe_drained()
        return waiter

    def close(self) -> Deferred[None]:
        """
        End the writer. To be called when :meth:`drain` has fired.

        :returns: Fires when it has ended.
        """
        waiter: Deferred[None] = Deferred()
        self._closed.append(waiter)
        if self._state is _State.DRAINING:
            self._state = _State.CLOSING
            self._writer.submit(Order.STOP)
        elif self._state is _State.CLOSED:
            fire(self._closed)
        return waiter

    def _from_thread(self, report: Report) -> None:
        self._reactor.callFromThread(self._reported, report)

    def _reported(self, report: Report) -> None:
        match report:
            case Opened():
                self._on_opened(report)
            case NotOpened(error):
                self._on_not_opened(error)
            case Committed():
                self._on_committed(report)
            case Shortened(bounds):
                self.bounds = bounds
            case Unshortened():
                self._log.critical("{notice}", notice=report.notice)
                self.notices.append(report.notice)
            case Failed():
                self._on_failed(report)
            case Recovered(bounds):
                self._log.info("the log can be written again")
                self.failed = None
                self.bounds = bounds
            case Closed(problem):
                if problem is not None:
                    self._log.warn("the log was not tidied up: {problem}", problem=problem)
                self._on_closed()
        # Of Heard nothing more is to be said.
        self._silence.heard(has_more=self._queued_batches > 0)
        self._maybe_drained()

    def _on_not_opened(self, error: Exception) -> None:
        failure = storage_error("opened", error)
        if not isinstance(failure, StorageFull) or self._has_given_up:
            self._on_closed()
            self._opened.errback(error)
            return
        if self.failed is None:
            self._log.error("{error} It is tried again until there is some.", error=failure)
        self._writer.join()
        self._writer = self._make_writer()
        self.failed, self._state = failure, _State.WAITING
        self._probe = self._reactor.callLater(self._limits.probe_seconds, self._open)

    def _on_opened(self, opened: Opened) -> None:
        self.failed = None
        self.bounds = opened.bounds
        self._next_seq = opened.bounds.newest + 1
        self._state = _State.DRAINING if self._drained else _State.OPEN
        self._opened.callback(opened)

    def _on_committed(self, done: Committed) -> None:
        self.bounds = done.bounds
        self.commits.add(done.seconds)
        busy = self.observers.tell(done.blocks) if done.blocks else []
        self._take_out(done.entries)
        if busy:
            DeferredList(busy).addCallback(lambda _: fire_all(done.entries, done.bounds))
        else:
            fire_all(done.entries, done.bounds)

    def _on_failed(self, failed: Failed) -> None:
        if self.failure != str(failed.error):
            self._log.error("{error}", error=failed.error)
        self.failed = failed.error
        self._next_seq = self.bounds.newest + 1
        if self._probe is None and failed.is_passing and self._state is _State.OPEN:
            self._probe = self._reactor.callLater(self._limits.probe_seconds, self._send_probe)
        self._take_out(failed.entries)
        for entry in failed.entries:
            entry.waiter.errback(copy(failed.error))

    def _send_probe(self) -> None:
        self._probe = None
        self._writer.submit(Order.PROBE)

    def _cancel_probe(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None

    def _take_out(self, entries: Sequence[Entry]) -> None:
        self._queued_batches -= len(entries)
        self._queued_bytes -= sum(entry.size for entry in entries)

    def _maybe_drained(self) -> None:
        is_idle = self._state is _State.DRAINING and not self._queued_batches
        if is_idle or self._state is _State.CLOSED:
            fire(self._drained)

    def _on_closed(self) -> None:
        self._writer.join()
        self._state = _State.CLOSED
        fire(self._closed)
