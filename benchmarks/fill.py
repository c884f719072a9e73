"""
Makes a log of so many events, through the log itself: ``python -m benchmarks.fill DIR EVENTS``.

DIR is then one to be served as LOKI_DIR. The events are the lines of the agent of the load
programs, in batches as a tail gives them.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from loki_twisted.log.interface import Batch, Bounds
from loki_twisted.log.place import DataDirectory
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.events import Fact

_BATCH_EVENTS: Final = 500
_AT_ONCE: Final = 20
_PADDING: Final = "x" * 80


def batch(first: int, count: int, now_ns: int) -> Batch:
    """Make the batch of so many lines from a number on."""
    facts = [
        Fact(
            "log:info",
            {"level": "info", "message": f"BENCH {number} {now_ns} {_PADDING}", "source": "bench"},
        )
        for number in range(first, first + count)
    ]
    return Batch(
        session_id="session_1795478399000_1f2e3d4c",
        at_ms=1_795_478_400_000 + first,
        facts=facts,
        cursors={"bench": str(first + count)},
    )


async def fill(reactor: Any, directory: Path, events: int) -> None:
    """Make the log. The directory must be there, and be without one."""
    place = DataDirectory(str(directory / ".loki" / "server"))
    log = SQLiteEventLog(reactor, str(Path(place.path) / "log.db"))
    await log.start()
    waiting: deque[Deferred[Bounds]] = deque()
    now_ns = time.monotonic_ns()
    for first in range(0, events, _BATCH_EVENTS):
        waiting.append(log.append(batch(first, min(_BATCH_EVENTS, events - first), now_ns)))
        if len(waiting) >= _AT_ONCE:
            await waiting.popleft()
    for appended in waiting:
        await appended
    await log.stop()
    place.release()


async def main(reactor: Any, directory: str, events: str) -> None:
    """Make the log, and end."""
    await fill(reactor, Path(directory), int(events))


if __name__ == "__main__":
    react(main, sys.argv[1:])
