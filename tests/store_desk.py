"""What the tests of the log from outside share."""

from __future__ import annotations

from pathlib import Path

import attrs

from loki_twisted.log.interface import Batch, Bounds
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.events import Fact
from tests.log_support import (
    MS,
    ThreadedClock,
)


@attrs.frozen
class Desk:
    """A log and the clock that it works with."""

    clock: ThreadedClock
    path: Path
    log: SQLiteEventLog

    def start(self) -> None:
        self.clock.result(self.log.start())

    def stop(self) -> None:
        self.clock.result(self.log.stop())

    def append(self, *some: Fact, session_id: str = "session_1") -> Bounds:
        return self.clock.result(
            self.log.append(Batch(session_id=session_id, at_ms=MS, facts=some))
        )


def new_desk(path: Path) -> Desk:
    clock = ThreadedClock()
    return Desk(clock, path, SQLiteEventLog(clock, str(path), now_ms=lambda: MS))
