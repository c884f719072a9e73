"""A timer that sees for how long the reactor could do nothing else, and why."""

from __future__ import annotations

import os
import time
from typing import Final

from benchmarks.history_logs import REACTOR

BEAT_SECONDS: Final = 0.001
_SCHEDULED: Final = "/proc/thread-self/schedstat"
"""Of a thread: nanoseconds on a processor, nanoseconds that it waited for one (Linux)."""


class Beat:
    """
    A timer that goes every millisecond, and sees when it could not.

    Made, and stopped, in the reactor's thread.

    :ivar late: By how many seconds it was late at most.
    :ivar kept: The same without what its thread waited for a processor that other processes had. So
        it is what is our own fault: what the thread did, what it waited for, Python's lock too.
    :ivar busy: How many seconds of the processor its thread took at most between two beats.
    """

    def __init__(self) -> None:
        self.late = self.kept = self.busy = 0.0
        self._scheduled = os.open(_SCHEDULED, os.O_RDONLY | os.O_CLOEXEC)
        self._wait()

    def _wait(self) -> None:
        self._due = time.perf_counter() + BEAT_SECONDS
        self._spent = time.thread_time()
        self._waited = self._waited_so_far()
        self._call = REACTOR.callLater(BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        late = time.perf_counter() - self._due
        self.late = max(self.late, late)
        self.kept = max(self.kept, late - (self._waited_so_far() - self._waited))
        self.busy = max(self.busy, time.thread_time() - self._spent)
        self._wait()

    def _waited_so_far(self) -> float:
        return int(os.pread(self._scheduled, 100, 0).split()[1]) / 1e9

    def stop(self) -> None:
        """Go no more."""
        self._call.cancel()
        os.close(self._scheduled)
