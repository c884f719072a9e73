"""Threads that read, so that the reactor never waits for the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

import apsw
from twisted.internet.defer import Deferred, DeferredList, fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from loki_twisted.log.faults import DAMAGE, storage_error
from loki_twisted.log.opening import suspect
from loki_twisted.model.errors import Unavailable

Value = TypeVar("Value")


class _DaemonThread(Thread):
    """A thread for which a process that has to end at once does not wait."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, daemon=True, **kwargs)


class _Pool(ThreadPool):
    threadFactory = _DaemonThread  # noqa: N815 - Twisted's name


class Readers:
    """
    A thread for each connection that reads.

    :param path: The file of the log.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorFromThreads, path: str) -> None:
        self._reactor = reactor
        self._path = path
        self._pool: ThreadPool | None = None
        self._free: SimpleQueue[apsw.Connection] = SimpleQueue()
        self._running: set[Deferred[Any]] = set()

    def start(self, connections: Sequence[apsw.Connection]) -> None:
        """Begin to work with connections; they stay the caller's to close."""
        for connection in connections:
            self._free.put(connection)
        self._pool = _Pool(0, len(connections), "log-reader")
        self._pool.start()

    def ask(self, query: Callable[[apsw.Connection], Value]) -> Deferred[Value]:
        """
        Run a query in a thread.

        :raises Unavailable: (through the Deferred) before the start and after the stop.
        :raises StorageFailed: (through the Deferred) if the log cannot be read.
        """
        if self._pool is None:
            return fail(Unavailable("The log cannot be read: it is not open."))
        asked = deferToThreadPool(self._reactor, self._pool, self._answer, query)
        self._running.add(asked)
        return asked.addBoth(self._answered, asked).addErrback(self._tell_damage)

    def stop(self) -> Deferred[None]:
        """
        Take no more queries.

        :returns: Fires when the last is answered and the threads have ended.
        """
        pool, self._pool = self._pool, None
        answered = DeferredList(list(self._running))
        return answered.addCallback(lambda _: pool.stop() if pool is not None else None)

    def _answer(self, query: Callable[[apsw.Connection], Value]) -> Value:
        connection = self._free.get()
        try:
            return query(connection)
        except DAMAGE as error:
            suspect(self._path)
            raise storage_error("read", error) from error
        except apsw.Error as error:
            raise storage_error("read", error, connection.system_errno) from error
        finally:
            self._free.put(connection)

    def _answered(self, answer: Value, asked: Deferred[Any]) -> Value:
        self._running.discard(asked)
        return answer

    def _tell_damage(self, failure: Failure) -> Failure:
        if failure.value is not None and isinstance(failure.value.__cause__, DAMAGE):
            self._log.critical("{error}", error=failure.value)
        return failure
