"""
What an event costs at each stage of its way, in one process and without subscribers:
``python -m benchmarks.stages DIR LINES BATCH``.

The lines are worked on so many at a time: 500 are about what one read of a spool yields while an
agent prints as fast as it can, and one is what it yields when lines come slowly. Prints one line
of JSON: microseconds of processor time for each event, of all threads.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from twisted.internet.task import react

from loki_twisted.agents.lines import Cursor, cut_lines
from loki_twisted.agents.providers.plain import facts_of_line
from loki_twisted.log.interface import Batch
from loki_twisted.log.place import DataDirectory
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.blocks import Block, block_of_facts
from loki_twisted.model.events import Fact
from loki_twisted.model.filters import EventFilter, mask_of_types

_PADDING: Final = "x" * 80
_MS: Final = 1_795_478_400_000
_SESSION: Final = "session_1795478399000_1f2e3d4c"


class Stages(msgspec.Struct, frozen=True):
    """
    Microseconds for each event.

    :ivar cut_us: Cutting bytes into lines.
    :ivar parse_us: Turning a line into a fact.
    :ivar encode_us: Encoding a fact as the bytes of its event.
    :ivar append_us: Putting it into the log, with encoding it and with the sync.
    :ivar select_us: Taking what a filter wants, once for all subscribers that have it.
    """

    cut_us: float
    parse_us: float
    encode_us: float
    append_us: float
    select_us: float


class Meter:
    """Adds up processor time by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.process_time()

    def begin(self) -> None:
        """Count from here."""
        self._since = time.process_time()

    def end(self, stage: str) -> None:
        """Count to here, and on from here."""
        now = time.process_time()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now


def lines_of(first: int, count: int) -> bytes:
    """What the agent of the load programs prints."""
    return b"".join(
        b"[INFO] [bench] BENCH %d 8834455238000 %b\n" % (number, _PADDING.encode())
        for number in range(first, first + count)
    )


def facts_in(data: bytes, meter: Meter) -> Sequence[Fact]:
    """Cut and parse."""
    meter.begin()
    lines, _ = cut_lines(Cursor(), data)
    meter.end("cut")
    facts = [fact for line in lines for fact in facts_of_line("stdout", line)]
    meter.end("parse")
    return facts


def encoded(first: int, facts: Sequence[Fact], meter: Meter) -> Block:
    """Encode, and select by a filter."""
    wanted = EventFilter(mask=mask_of_types(["log:info", "task:*"]))
    meter.begin()
    block = block_of_facts(first, _MS, _SESSION, facts)
    meter.end("encode")
    block.select(wanted)
    meter.end("select")
    return block


async def main(reactor: Any, directory: str, lines: str, batch: str) -> None:
    """Work on all lines, and print what that took."""
    place = DataDirectory(str(Path(directory) / "server"))
    log = SQLiteEventLog(reactor, str(Path(place.path) / "log.db"))
    await log.start()
    meter = Meter()
    count, size = int(lines), int(batch)
    for first in range(0, count, size):
        data = lines_of(first, min(size, count - first))
        facts = facts_in(data, meter)
        encoded(first + 1, facts, meter)
        meter.begin()
        await log.append(
            Batch(session_id=_SESSION, at_ms=_MS, facts=facts, cursors={"bench": str(first)})
        )
        meter.end("append")
    await log.stop()
    place.release()
    each = {f"{stage}_us": 1e6 * taken / count for stage, taken in meter.seconds.items()}
    print(msgspec.json.encode(msgspec.convert(each, Stages)).decode())


if __name__ == "__main__":
    react(main, sys.argv[1:])
