"""A stretch of the log, a piece at a time: no more is read than is given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import apsw
import pytest
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.log import history
from loki_twisted.log.interface import Page
from loki_twisted.log.opening import Opened
from loki_twisted.log.rows import MAX_BLOCK_BYTES, new_block
from loki_twisted.model.blocks import block_of_facts
from loki_twisted.model.events import Fact
from loki_twisted.model.filters import EVERY_KIND, EventFilter, mask_of_types
from loki_twisted.web.event_pages import BYTES_PER_READ, EventPages
from tests.log_support import MS, behind_last, opened, put_blocks


class Reading:
    """
    Reads a log without threads.

    :ivar fetched: How many bytes of events were fetched so far.
    :ivar pages: How many pages of the database were looked at, over and over if need be.
    :ivar reads: How often it was read.
    """

    def __init__(self, log: Opened, newest: int) -> None:
        self._connection = log.readers[0]
        self._newest = newest
        self.fetched = self.pages = self.reads = 0

    def read(
        self, after: int, wanted: EventFilter, max_bytes: int, before: int | None = None
    ) -> Deferred[Page]:
        end = self._newest if before is None else min(self._newest, before - 1)
        page = self._counted(history.read, after, end, wanted, max_bytes)
        self.fetched += sum(len(block.body) for block in page.blocks)
        self.reads += 1
        return succeed(page)

    def behind_last(self, before: int, wanted: EventFilter, count: int) -> int:
        number: int = self._counted(behind_last, before, wanted, count)
        return number

    def _counted(self, query: Any, *arguments: Any) -> Any:
        self._looked_at()
        answer = query(self._connection, *arguments)
        self.pages += self._looked_at()
        return answer

    def _looked_at(self) -> int:
        kinds = (apsw.SQLITE_DBSTATUS_CACHE_HIT, apsw.SQLITE_DBSTATUS_CACHE_MISS)
        return sum(self._connection.status(kind, True)[0] for kind in kinds)


SMALL, LARGE = 3_000, 24_000
SPARE_BYTES = 16_384


def fill(log: Opened, count: int, per_block: int) -> None:
    """Events of 8 sessions in turn, with a rare one at each end."""
    blocks = []
    for number, seq in enumerate(range(1, count + 1, per_block)):
        kinds = ["log:info"] * per_block
        if seq == 1:
            kinds[0] = "session:started"
        if seq + per_block > count:
            kinds[-1] = "session:stopped"
        facts = [Fact(kind, {"message": "x" * 100}) for kind in kinds]
        session_id = f"session_{number % 8}"
        blocks.append(new_block(block_of_facts(seq, MS + seq, session_id, facts), MS + seq))
        assert len(blocks[-1].block.body) <= MAX_BLOCK_BYTES
    put_blocks(log, blocks)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[int, int], Opened]]:
    """A log of few events and one of many, each of single ones and of full blocks."""
    with ExitStack() as stack:
        made = {}
        for count in (SMALL, LARGE):
            for per_block in (1, 150):
                log = stack.enter_context(opened(tmp_path_factory.mktemp("log") / "log.db"))
                log.connection.pragma("synchronous", "off")  # only the outcome matters here
                fill(log, count, per_block)
                made[count, per_block] = log
        yield made


def given(log: Reading, wanted: EventFilter, after: int, before: int, limit: int) -> list[bytes]:
    """All events of a list."""
    walk = EventPages(log, wanted, after=after, before=before, limit=limit)  # type: ignore[arg-type]
    events: list[bytes] = []
    while not walk.is_over:
        events += SynchronousTestCase().successResultOf(ensureDeferred(walk.some()))
    assert walk.count == len(events)
    return events


def sizes_of(events: Sequence[bytes], log: Opened, per_block: int) -> list[int]:
    """The sizes of the blocks that hold some events."""
    numbers = [int(json.loads(event)["id"].split("_")[1]) for event in events]
    firsts = {(number - 1) // per_block * per_block + 1 for number in numbers}
    query = "SELECT length(body) FROM blocks WHERE first_seq = ?"
    return [log.connection.execute(query, (first,)).fetchall()[0][0] for first in firsts]


@pytest.mark.parametrize("per_block", [1, 150])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("limit", [1, 100, 300])
@pytest.mark.parametrize(
    ("session_id", "types", "matches"),
    [
        (None, None, 300),
        ("session_3", None, 300),
        ("session_9", None, 0),
        (None, "log:*", 300),
        (None, "task:*", 0),
        (None, "session:started", 1),
        (None, "session:stopped", 1),
        ("session_3", "log:*", 300),
        ("session_3", "task:*", 0),
        ("session_3", "session:started", 0),
        ("session_0", "session:started", 1),
    ],
)
def test_no_more_is_read_than_is_given(
    logs: Any,
    per_block: int,
    backwards: bool,
    limit: int,
    session_id: str | None,
    types: str | None,
    matches: int,
) -> None:
    """
    Hardly more is fetched than is given, in few reads, and of a log that is eight times as long
    hardly more is looked at for the same list.
    """
    wanted = EventFilter(session_id, EVERY_KIND if types is None else mask_of_types([types]))
    pages = []
    for count in (SMALL, LARGE):
        log = Reading(logs[count, per_block], count)
        after = log.behind_last(count + 1, wanted, limit) if backwards else 0
        events = given(log, wanted, after, count + 1, limit)
        assert len(events) == min(limit, matches)
        sizes = sizes_of(events, logs[count, per_block], per_block)
        assert log.fetched <= sum(sizes) + per_block * 300 + SPARE_BYTES
        assert log.reads <= 4
        pages.append(log.pages)

    assert pages[1] <= 2 * pages[0] + 50  # each row of an index is found in logarithmic time


@pytest.mark.parametrize("per_block", [1, 150])
@pytest.mark.parametrize("types", ["*", "log:*"])
@pytest.mark.parametrize("session_id", [None, "session_0"])
def test_nothing_is_read_beyond_the_end(
    logs: Any, per_block: int, types: str, session_id: str | None
) -> None:
    """However many events may be given, none is fetched but those of the blocks before the end."""
    wanted = EventFilter(session_id, EVERY_KIND if types == "*" else mask_of_types([types]))
    log = Reading(logs[SMALL, per_block], SMALL)

    events = given(log, wanted, 100, 103, 1_000)

    inside = 2 if session_id is None or per_block == 150 else len(events)
    assert len(events) == inside
    assert log.fetched == sum(sizes_of(events, logs[SMALL, per_block], per_block))
    assert log.reads <= 2


def test_a_list_that_begins_in_a_block(logs: Any) -> None:
    """What lies before it in its first block does not make the next read larger."""
    log = Reading(logs[SMALL, 150], SMALL)

    events = given(log, EventFilter(), 149, SMALL + 1, 100)

    sizes = sizes_of(events, logs[SMALL, 150], 150)
    assert len(events) == 100
    assert log.fetched <= sum(sizes) + max(sizes) + SPARE_BYTES


def test_a_list_of_many_events_is_read_in_large_pieces(logs: Any) -> None:
    """From a small first read on they grow."""
    log = Reading(logs[LARGE, 1], LARGE)

    events = given(log, EventFilter(), 0, LARGE + 1, 10_000)

    assert len(events) == 10_000
    assert log.reads <= 4 + log.fetched // BYTES_PER_READ
    assert log.fetched <= sum(map(len, events)) * 1.5
