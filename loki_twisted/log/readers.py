"""Threads that read, so that the reactor never waits for the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import apsw
import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from loki_twisted.kernel.threads import DaemonPool
from loki_twisted.log.faults import Damaged, is_damage, storage_error
from loki_twisted.log.interface import ILogReactor
from loki_twisted.log.lanes import Lane, Lanes
from loki_twisted.log.opening import suspect
from loki_twisted.model.errors import StorageDamaged, Unavailable

Value = TypeVar("Value")


@attrs.frozen(slots=True, eq=False)
class _Question:
    """
    A query that waits.

    :ivar answer: Fires with what comes of it.
    """

    query: Callable[[apsw.Connection], Any]
    answer: Deferred[Any]


class Readers:
    """
    A thread for each connection that reads.

    A thread is given a question when it has none, and no earlier: what is answered in one
    turn of the reactor is at most one for each thread, however many were asked.

    :param path: The file of the log.
    :ivar damage: What of it was met first, or None.
    """

    _log = Logger()

    def __init__(self, reactor: ILogReactor, path: str) -> None:
        self._reactor = reactor
        self._path = path
        self._pool: DaemonPool | None = None
        self._free: list[apsw.Connection] = []
        self._lanes: Lanes[_Question] = Lanes()
        self._unanswered = 0
        self._stops: list[Deferred[None]] = []
        self.damage: StorageDamaged | None = None

    def start(self, connections: Sequence[apsw.Connection]) -> None:
        """
        Begin to work with connections; they stay the caller's to close.

        :raises StorageFailed: if there are no threads for them.
        """
        # All at once: later there may be none, and the question for which it is would have no end.
        pool = DaemonPool(len(connections), len(connections), "log-reader")
        try:
            pool.start()
        except RuntimeError as error:
            raise storage_error("opened", error) from error
        self._free.extend(connections)
        self._pool = pool

    def ask(
        self, query: Callable[[apsw.Connection], Value], lane: Lane = Lane.SHORT
    ) -> Deferred[Value]:
        """
        Run a query in a thread.

        :param lane: Which others it waits with.
        :raises Unavailable: (through the Deferred) before the start and after the stop.
        :raises StorageFailed: (through the Deferred) if the log cannot be read.
        """
        if self._pool is None or self._stops:
            return fail(Unavailable("The log cannot be read: it is not open."))
        answer: Deferred[Value] = Deferred()
        self._unanswered += 1
        self._lanes.add(lane, _Question(query, answer))
        self._hand_out()
        return answer

    def stop(self) -> Deferred[None]:
        """
        Take no more queries.

        :returns: Fires when the last is answered and the threads have ended.
        """
        if self._pool is None:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._stops.append(stopped)
        self._maybe_stop()
        return stopped

    def _maybe_stop(self) -> None:
        if self._stops and self._pool is not None and not self._unanswered:
            pool, self._pool = self._pool, None
            pool.stop()
            stops, self._stops = self._stops, []
            for stopped in stops:
                stopped.callback(None)

    def _hand_out(self) -> None:
        """Give those that are next to the threads that have nothing to do."""
        while self._free and self._pool is not None:
            taken = self._lanes.take()
            if taken is None:
                return
            self._pool.callInThread(self._in_thread, self._free.pop(), *taken)

    def _in_thread(self, connection: apsw.Connection, lane: Lane, question: _Question) -> None:
        began = self._reactor.seconds()
        result: object
        try:
            result = self._result(connection, question.query)
        except BaseException:  # noqa: BLE001 - whatever it is, whoever asked is told
            result = Failure()
        seconds = self._reactor.seconds() - began
        self._reactor.callFromThread(
            self._answered, connection, lane, seconds, question.answer, result
        )

    def _result(self, connection: apsw.Connection, query: Callable[[apsw.Connection], Any]) -> Any:
        try:
            return query(connection)
        except (Damaged, apsw.Error) as error:
            if is_damage(error):
                suspect(self._path)
            raise storage_error("read", error, connection.system_errno) from error

    def _answered(
        self,
        connection: apsw.Connection,
        lane: Lane,
        seconds: float,
        answer: Deferred[Any],
        result: object,
    ) -> None:
        # The thread goes on while the reactor is at what comes of the answer.
        self._free.append(connection)
        self._lanes.done(lane, seconds)
        self._hand_out()
        if isinstance(result, Failure):
            self._maybe_damaged(result.value)
            answer.errback(result)
        else:
            answer.callback(result)
        self._unanswered -= 1
        self._maybe_stop()

    def _maybe_damaged(self, error: BaseException | None) -> None:
        if isinstance(error, StorageDamaged):
            self._log.critical("{error}", error=error)
            self.damage = self.damage or error
