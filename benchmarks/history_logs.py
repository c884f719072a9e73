"""The logs that :mod:`benchmarks.history` asks, and what is measured of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import apsw
from twisted.internet import reactor

from loki_twisted.log.changes import NOTHING
from loki_twisted.log.opening import open_log
from loki_twisted.log.rows import NewBlock, new_block
from loki_twisted.log.statements import write
from loki_twisted.model.blocks import block_of_facts
from loki_twisted.model.events import Fact

REACTOR: Final[Any] = reactor  # Twisted's own types do not say all that it is

MS: Final = 1_790_000_000_000
SESSIONS: Final = tuple(f"session_{MS + n}_{n:08x}" for n in range(8))
SHAPES: Final = {"blocks of 150": 150, "blocks of 1": 1}
"""How many events are in a block."""

COMMIT_EVENTS: Final = 5_000


def fact_of(seq: int, newest: int) -> Fact:
    """What happened at a number: mostly log lines, some rare things, two that are unique."""
    message = f"line {seq} of an agent that has something to say about what it is doing now"
    if seq in (1, newest):
        return Fact("session:started" if seq == 1 else "session:stopped", {"status": "running"})
    if seq % 10_000 == 0:
        return Fact("metrics:update", {"tokensUsed": seq})
    if seq % 100 == 0:
        return Fact("task:progress", {"taskId": "t", "title": message, "status": "running"})
    level = "error" if seq % 100 == 1 else "info"
    return Fact(f"log:{level}", {"level": level, "message": message, "source": "agent"})


def blocks_of(events: int, per_block: int) -> Iterator[NewBlock]:
    """All blocks of a log; sessions take turns."""
    for number, seq in enumerate(range(1, events + 1, per_block)):
        last = min(seq + per_block - 1, events)
        facts = [fact_of(each, events) for each in range(seq, last + 1)]
        at_ms = MS + number
        yield new_block(block_of_facts(seq, at_ms, SESSIONS[number % 8], facts), at_ms)


def place_of(directory: Path, per_block: int) -> Path:
    """The directory of a log."""
    return directory / f"of-{per_block}"


def build(directory: Path, events: int, per_block: int) -> Path:
    """Make a log."""
    directory.mkdir(mode=0o700)
    path = directory / "log.db"
    log = open_log(str(path), lambda: MS)
    with closing(log.connection) as connection:
        connection.pragma("synchronous", "off")
        connection.wal_autocheckpoint(1_000)
        rows = []
        for new in blocks_of(events, per_block):
            rows.append(new.row)
            if len(rows) * per_block >= COMMIT_EVENTS or new.block.last_seq == events:
                connection.execute("BEGIN")
                write(connection, rows, NOTHING)
                connection.execute("COMMIT")
                rows = []
        for reader in log.readers:
            reader.close()
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    return path


def drop_from_cache(path: Path) -> None:
    """Have the system forget what it has read of a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
