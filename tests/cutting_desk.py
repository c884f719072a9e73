"""What the tests of cutting share: a ledger that shortens its log."""

from __future__ import annotations

from itertools import count as counted
from pathlib import Path
from typing import Any

import apsw
from twisted.internet.defer import Deferred

from loki_twisted.log import history
from loki_twisted.log.changes import changes_of
from loki_twisted.log.interface import Batch
from loki_twisted.log.ledger import Ledger
from loki_twisted.log.messages import (
    Committed,
    Entry,
    Report,
    Shortened,
)
from loki_twisted.log.opening import Opened, open_log
from loki_twisted.log.query import number_of
from loki_twisted.log.retention import Retention
from loki_twisted.log.rows import new_block
from loki_twisted.model.blocks import Block, block_of_facts
from loki_twisted.model.events import Fact
from loki_twisted.model.filters import EVERYTHING, EventFilter
from loki_twisted.model.sessions import SessionStatus
from tests.log_support import (
    MS,
    Happened,
    facts,
    frames,
    remembered,
    session,
)


class Desk:
    """
    A ledger that shortens its log, and what it reported.

    :ivar now_ms: The wall clock.
    """

    def __init__(self, path: Path | str, retention: Retention) -> None:
        self.path = str(path)
        self.retention = retention
        self.now_ms = MS
        self.reports: list[Report] = []
        self.told: list[Block] = []
        self.open()

    def open(self) -> None:
        self.log: Opened = open_log(self.path, lambda: MS)
        self.bounds = self.log.bounds
        self.ledger = Ledger(
            self.path, self.log, self._reported, self.retention, lambda: self.now_ms
        )

    def _reported(self, report: Report) -> None:
        self.reports.append(report)
        if isinstance(report, Committed):
            self.told += report.blocks
        if isinstance(report, Committed | Shortened):
            self.bounds = report.bounds

    @property
    def reader(self) -> apsw.Connection:
        return self.log.readers[0]

    def commit(self, *batches: Batch) -> Report:
        entries, seq = [], self.bounds.newest + 1
        for batch in batches:
            blocks = []
            if batch.facts:
                made = block_of_facts(seq, batch.at_ms, batch.session_id, batch.facts)
                blocks.append(new_block(made, batch.at_ms))
                seq += len(made)
            entries.append(Entry(blocks, changes_of(batch), 0, Deferred()))
        self.ledger.commit(entries, lambda: False)
        return self.reports[-1]

    def say(self, *some: Fact, session_id: str = "session_1") -> Report:
        return self.commit(Batch(session_id=session_id, at_ms=self.now_ms, facts=some))

    def run(self, session_id: str, status: SessionStatus = SessionStatus.RUNNING) -> None:
        row = session(session_id, status)
        self.commit(Batch(session_id=session_id, at_ms=self.now_ms, session=row))

    def settle(self) -> int:
        """Tidy up until there is no more to do; gives in how many slices."""
        for slices in counted(1):
            if not self.ledger.tidy():
                return slices
        raise AssertionError

    def read(self, wanted: EventFilter = EVERYTHING, after: int = 0, size: int = 10**9) -> list:
        found: list[bytes] = []
        while after < self.bounds.newest:
            page = history.read(self.reader, after, self.bounds.newest, wanted, size)
            assert after < page.reached <= self.bounds.newest
            assert page.complete_from == max(1, self.bounds.complete_from)
            found += frames(page.blocks, wanted, after)
            after = page.reached
        return found

    def time_of(self, seq: int) -> int:
        """The time of an event that is there, since the Unix epoch."""
        at_ms = history.time_of(self.reader, seq)
        assert at_ms is not None
        return at_ms

    def bytes_in_use(self) -> int:
        """What the limit of bytes is about: the pages of the database, but for the free ones."""
        pages, free, size = (
            number_of(self.log.connection, name)
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def held(self) -> list[Happened]:
        """The events that are in the log."""
        there = set(self.read())
        return [event for event in remembered(self.told) if event.frame in there]


class Desks:
    """A log that is opened again and again, each time with other limits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._desks: list[Desk] = []

    def __call__(self, **limits: Any) -> Desk:
        """Close it, and open it with other limits than before."""
        self.close()
        self._desks.append(Desk(self._path, Retention(**limits)))
        return self._desks[-1]

    def close(self) -> None:
        """Close it."""
        if self._desks:
            self._desks[-1].ledger.close()


def fill(desk: Desk, blocks: int, events: int = 1, session_id: str = "session_1") -> None:
    """Append as many blocks, each in a commit of its own."""
    for _ in range(blocks):
        desk.say(*facts(events), session_id=session_id)
