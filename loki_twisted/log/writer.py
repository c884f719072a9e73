"""
The one thread that writes.

It takes what waits in its queue, up to a bound, and has it committed in one transaction:
one sync of the disk and one call into the reactor, however many wait. While nothing waits it
shortens the log, a little at a time, if there is too much of it.

Beside a busy reactor the time goes into waiting for Python's global lock. A thread claims the lock
only when nobody has released it for an interval, usually 5 ms. A reactor that makes a system
call every 0.2 ms releases it all the time, and has it back before the other thread is awake; that
way a commit took up to 5 s. So while there is a writer, the interval is 0.1 ms.

Measured on two cores with a disk that syncs in 0.3 ms, through ``SQLiteEventLog.append``:

========================================  ===============  ===============================
events of 370 bytes, with a cursor each   idle otherwise   beside a reactor always at work
========================================  ===============  ===============================
batches of 500 from 4 sources             350,000/s        310,000/s
batches of 1 from 64 sources              23,000/s         14,000/s
batches of 1 from 64 sources, 1 session   37,000/s         24,000/s
batches of 1 from 1 source                3,000/s          800/s
========================================  ===============  ===============================
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from loki_twisted.log.ledger import Ledger
from loki_twisted.log.messages import Entry, NotOpened, Order, Report
from loki_twisted.log.opening import Opened
from loki_twisted.log.retention import Retention

_SWITCH_SECONDS: Final = 0.0001  # see above
_COMMIT_BYTES: Final = 4 * 1024 * 1024
_COMMIT_BATCHES: Final = 1_024


class Writer:
    """
    The writer thread, as the reactor's thread sees it.

    :param path: The file of the log.
    :param open_log: Called first in the thread.
    :param report: Called in the thread, with each report in order.
    :param retention: How much of the log is kept.
    :param now_ms: The wall clock; called in the thread.
    """

    def __init__(
        self,
        path: str,
        open_log: Callable[[], Opened],
        report: Callable[[Report], None],
        retention: Retention,
        now_ms: Callable[[], int],
    ) -> None:
        self._path = path
        self._open_log = open_log
        self._report = report
        self._retention = retention
        self._now_ms = now_ms
        self._queue: SimpleQueue[Entry | Order] = SimpleQueue()
        # A process that has to end at once does not wait for it.
        self._thread = Thread(target=self._run, name="log-writer", daemon=True)

    def start(self) -> None:
        """Start the thread. The first report is :class:`Opened` or :class:`NotOpened`."""
        self._usual_interval = sys.getswitchinterval()
        try:
            self._thread.start()
        except RuntimeError as error:  # so Python says it, of whatever the system has no more of
            self._report(NotOpened(OSError(errno.EAGAIN, str(error))))
            return
        sys.setswitchinterval(min(_SWITCH_SECONDS, self._usual_interval))

    def submit(self, item: Entry | Order) -> None:
        """Give it something to do, behind all that it was given before."""
        self._queue.put(item)

    def join(self) -> None:
        """Wait for the thread. Its last report was :class:`NotOpened` or :class:`Closed`."""
        if self._thread.ident is not None:  # else none could be started
            self._thread.join()
        sys.setswitchinterval(self._usual_interval)

    def _run(self) -> None:
        try:
            opened = self._open_log()
        except Exception as error:  # noqa: BLE001 - it is told to who asked for the log
            self._report(NotOpened(error))
            return
        ledger = Ledger(self._path, opened, self._report, self._retention, self._now_ms)
        self._report(opened)
        # What the disk does not take is told at once, and not with the first event.
        ledger.try_out()
        for work in self._work(ledger.tidy):
            if work is Order.STOP:
                break
            if work is Order.PROBE:
                ledger.probe()
            elif work is Order.KNOCK:
                ledger.knock()
            elif work is Order.LOOK:
                ledger.look()
            else:
                ledger.commit(work, is_idle=self._queue.empty)
        self._report(ledger.close())

    def _work(self, tidy: Callable[[], bool]) -> Iterator[list[Entry] | Order]:
        """
        Wait for work, and give as many entries at once as there are and may be.

        :param tidy: Called while there is no work, as long as it says that there is more to do.
        """
        while True:
            entries: list[Entry] = []
            size = 0
            while self._queue.empty() and tidy():
                pass
            item: Entry | Order | None = self._queue.get()
            while isinstance(item, Entry):
                entries.append(item)
                size += item.size
                if size >= _COMMIT_BYTES or len(entries) >= _COMMIT_BATCHES:
                    item = None
                else:
                    item = self._maybe_next()
            if entries:
                yield entries
            if item is not None:
                yield item

    def _maybe_next(self) -> Entry | Order | None:
        try:
            return self._queue.get_nowait()
        except Empty:
            return None
