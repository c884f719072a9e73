"""Long lists of events: read and sent a piece at a time, and no more read than is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import apsw
import pytest
from twisted.internet.defer import Deferred, ensureDeferred, fail, succeed
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.log import history
from loki_twisted.log.interface import Batch, Page
from loki_twisted.log.opening import Opened
from loki_twisted.log.rows import MAX_BLOCK_BYTES, new_block
from loki_twisted.model.blocks import block_of_facts
from loki_twisted.model.errors import StorageFailed
from loki_twisted.model.events import Fact
from loki_twisted.model.filters import EVERY_KIND, EventFilter, mask_of_types
from loki_twisted.web.event_lists import GRACE_SECONDS, MOST_LISTS, PATIENCE_SECONDS
from loki_twisted.web.event_pages import BYTES_PER_READ, EventPages
from tests.fakes_stream import dechunked
from tests.fakes_web import AT_MS, Connection, Server, request_bytes
from tests.log_support import MS, opened, put_blocks

EVENTS = 60
TARGET = f"/api/events/history?limit={EVENTS}"


class Long:
    """
    A server whose log holds some large events, each in a block of its own.

    :ivar reads: How often the log was read.
    :ivar most: How many reads succeed.
    """

    def __init__(self) -> None:
        self.here = Server()
        for number in range(EVENTS):
            facts = [Fact("log:info", {"n": number, "message": "x" * 50_000})]
            self.here.log.append(Batch(session_id="s", at_ms=AT_MS, facts=facts))
        self.reads, self.most = 0, 10**6
        self._read = self.here.log.read
        self.here.log.read = self._count  # type: ignore[method-assign]

    def _count(self, *arguments: Any) -> Deferred[Page]:
        self.reads += 1
        if self.reads > self.most:
            return fail(StorageFailed("The disk is gone."))
        return self._read(*arguments)

    def begin(self, method: str = "GET", version: str = "1.1") -> Connection:
        """Ask for all, on a connection that takes nothing beyond some bytes until it is resumed."""
        connection = self.here.connect()
        transport = connection.transport
        write = transport.write

        def write_or_pause(data: bytes) -> None:
            write(data)
            if len(transport.value()) > 65_536:
                transport.producer.pauseProducing()

        transport.write = write_or_pause
        transport.writeSequence = lambda parts: write_or_pause(b"".join(parts))
        request = request_bytes(method, TARGET).replace(b"HTTP/1.1", b"HTTP/" + version.encode())
        connection.send(request)
        return connection


def resume(connection: Connection) -> None:
    """Take everything from now on."""
    transport = connection.transport
    del transport.write, transport.writeSequence
    if transport.producer is not None:
        transport.producer.resumeProducing()


def numbers_in(body: bytes) -> list[int]:
    answer = json.loads(body)
    assert answer["count"] == len(answer["events"])
    assert answer["completeFrom"] == 1
    return [event["data"]["n"] for event in answer["events"]]


def test_a_long_list_is_sent_as_the_client_takes_it() -> None:
    """What a client does not take is not read, and in the end it has all, in order, as JSON."""
    long = Long()
    connection = long.begin()
    begun = long.reads
    assert begun < 5
    assert len(connection.transport.value()) < 262_144

    resume(connection)

    response = connection.response()
    assert response.status == 200
    assert response.header("content-type") == "application/json"
    assert response.header("transfer-encoding") == "chunked"
    assert response.header("cache-control") == "no-store"
    assert numbers_in(dechunked(response.body)) == list(range(EVENTS))
    assert long.reads == EVENTS
    assert not connection.is_closed
    connection.close()


def test_the_connection_goes_on_behind_it() -> None:
    """The next request on the same connection is answered."""
    long = Long()
    connection = long.begin()
    resume(connection)
    before = len(connection.transport.value())

    connection.send(request_bytes("GET", "/health/live"))

    assert connection.transport.value()[before:].startswith(b"HTTP/1.1 200")
    connection.close()


def test_a_short_list_has_its_length() -> None:
    """What is short comes in one piece, as all answers do."""
    response = Long().here.ask("GET", "/api/events/history?limit=2")

    assert response.header("content-length") == str(len(response.body))
    assert numbers_in(response.body) == [EVENTS - 2, EVENTS - 1]


def test_an_old_client() -> None:
    """Over HTTP/1.0 the end of the connection is the end of the list."""
    long = Long()
    connection = long.begin(version="1.0")
    resume(connection)

    assert b"chunked" not in connection.transport.value()[:1000]
    body = connection.transport.value().partition(b"\r\n\r\n")[2]
    assert numbers_in(body) == list(range(EVENTS))
    assert connection.is_closed


def test_head_of_a_long_list() -> None:
    """Only the headers come, and no more is read than was to see that it is long."""
    long = Long()
    connection = long.begin("HEAD")
    resume(connection)

    assert (connection.response().status, connection.response().body) == (200, b"")
    assert long.reads < EVENTS / 2
    connection.close()


def test_a_client_that_leaves() -> None:
    """Nothing more is read for it."""
    long = Long()
    connection = long.begin()
    reads = long.reads

    connection.close()
    long.here.clock.advance(2 * PATIENCE_SECONDS)

    assert long.reads == reads


def test_a_client_that_takes_nothing() -> None:
    """It is cut after a minute, and not before; then its place is free, and nothing is timed."""
    long = Long()
    connection = long.begin()
    long.here.clock.pump([1] * int(PATIENCE_SECONDS))
    assert not connection.is_closed

    long.here.clock.pump([1] * 10)

    assert connection.is_closed
    assert b"count" not in connection.transport.value()
    assert len(long.here.lists) == 0
    assert long.here.clock.getDelayedCalls() == []


def test_a_log_that_fails_in_the_midst() -> None:
    """The connection is cut: nobody takes half a list for a whole one."""
    long = Long()
    connection = long.begin()
    long.most = long.reads + 3
    with capturedLogs() as captured:
        resume(connection)

    assert connection.is_closed
    assert not connection.transport.value().endswith(b"0\r\n\r\n")
    assert [type(event["log_failure"].value) for event in captured] == [StorageFailed]


def test_a_list_that_is_overtaken() -> None:
    """What was to come next is dropped while the client pauses: it is cut, with no gap in it."""
    long = Long()
    connection = long.begin()
    for _ in range(EVENTS - 5):
        long.here.log.drop_first_block()
    with capturedLogs() as captured:
        resume(connection)

    assert connection.is_closed
    sent = dechunked(connection.transport.value().partition(b"\r\n\r\n")[2])
    numbers = [int(found) for found in re.findall(rb'"n":(\d+)', sent)]
    assert numbers == list(range(len(numbers)))
    assert b'"count"' not in sent
    assert [event["log_level"].name for event in captured] == ["info"]


def test_a_log_that_fails_at_once() -> None:
    """Then the answer is a problem, as of any other route."""
    long = Long()
    long.most = 1
    with capturedLogs():
        response = long.here.ask("GET", TARGET)

    assert (response.status, response.code) == (503, "SERVICE_UNAVAILABLE")


# How many there may be


def test_more_lists_than_there_may_be() -> None:
    """One more is told to come again, and a short one is answered; a place is free in the end."""
    long = Long()
    connections = [long.begin() for _ in range(MOST_LISTS)]
    assert all(each.response().status == 200 for each in connections)

    refused = long.here.ask("GET", TARGET)
    assert (refused.status, refused.code) == (503, "SERVICE_UNAVAILABLE")
    assert refused.header("retry-after") == "1"
    assert long.here.ask("GET", "/api/events/history?limit=1").status == 200

    resume(connections[0])
    connections[1].close()
    freed = [long.begin(), long.begin()]
    assert all(each.response().status == 200 for each in freed)
    assert long.here.ask("GET", TARGET).status == 503
    for each in (*connections, *freed):
        each.close()
    assert len(long.here.lists) == 0


def test_what_takes_no_place() -> None:
    """Neither one that only its headers are asked of, nor one whose client left while it began."""
    long = Long()
    long.here.ask("HEAD", TARGET)
    read, answers = long.here.log.read, []

    def read_later(*arguments: Any) -> Deferred[Page]:
        answers.append((waiting := Deferred[Page](), read(*arguments)))
        return waiting

    long.here.log.read = read_later  # type: ignore[method-assign]
    connection = long.begin()
    connection.close()
    while answers:
        waiting, page = answers.pop()
        page.chainDeferred(waiting)

    assert len(long.here.lists) == 0


# The end of the server


def test_the_end_of_the_server() -> None:
    """Who takes gets all of it, who takes nothing is cut after a second, and no more begin."""
    long = Long()
    taking, idle = long.begin(), long.begin()
    with capturedLogs() as captured:
        ended = long.here.lists.close()
        long.here.clock.pump([0.1] * 5)
        resume(taking)
        assert not idle.is_closed
        assert long.here.ask("GET", TARGET).status == 503
        long.here.clock.pump([0.1] * 10)

    assert numbers_in(dechunked(taking.response().body)) == list(range(EVENTS))
    assert idle.is_closed
    assert ended.called
    assert [event["log_level"].name for event in captured] == ["info"]
    assert not taking.is_closed
    taking.close()
    assert long.here.clock.getDelayedCalls() == []


def test_the_end_has_an_end() -> None:
    """Who takes too slowly is cut too: the server does not wait for ever."""
    long = Long()
    connection = long.begin()
    ended = long.here.lists.close()
    producer = connection.transport.producer
    for _ in range(int(GRACE_SECONDS * 2)):
        assert not ended.called
        producer.resumeProducing()
        long.here.clock.pump([0.1] * 5)
    long.here.clock.pump([0.1] * 2)

    assert ended.called
    assert connection.is_closed


def test_the_end_while_a_list_is_looked_for() -> None:
    """However long it would go on, it is given up with the next read."""
    long = Long()
    waiting: Deferred[Page] = Deferred()
    long.here.log.read = lambda *_: waiting  # type: ignore[method-assign]
    connection = long.here.connect()
    connection.send(request_bytes("GET", TARGET))

    long.here.lists.close()
    waiting.callback(Page((), 5))

    assert (connection.response().status, connection.response().code) == (
        503,
        "SERVICE_UNAVAILABLE",
    )
    connection.close()


# How much is read


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
        number: int = self._counted(history.behind_last, before, wanted, count)
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
