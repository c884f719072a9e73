"""Long lists of events: read and sent a piece at a time, as their clients take them."""

from __future__ import annotations

import json
import re
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import LogLevel, capturedLogs

from loki_twisted.log.interface import Batch, Page
from loki_twisted.model.errors import StorageFailed
from loki_twisted.model.events import Fact
from loki_twisted.stream.patience import GRACE_SECONDS, PATIENCE
from loki_twisted.stream.taking import PACE_BYTES
from loki_twisted.web.event_lists import MOST_LISTS
from loki_twisted.web.places import WAIT_SECONDS
from tests.fakes_stream import dechunked
from tests.fakes_web import AT_MS, Connection, Server, request_bytes

EVENTS = 60
PATIENCE_SECONDS = PATIENCE.stall_seconds
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


class Held:
    """
    Lets the log of a server answer later.

    :param passed: How many reads before it answer at once.
    """

    def __init__(self, long: Long, passed: int) -> None:
        self._read, self._passed = long.here.log.read, passed
        self.answers: list[tuple[Deferred[Page], Deferred[Page]]] = []
        long.here.log.read = self.read  # type: ignore[method-assign]

    def read(self, *arguments: Any) -> Deferred[Page]:
        page = self._read(*arguments)
        self._passed -= 1
        if self._passed >= 0:
            return page
        self.answers.append((waiting := Deferred[Page](), page))
        return waiting

    def answer(self) -> None:
        """Answer, and whatever is asked then."""
        while self.answers:
            waiting, page = self.answers.pop()
            page.chainDeferred(waiting)


def test_a_log_that_takes_its_time() -> None:
    """A client that took all there was is not cut, however long it is until there is more."""
    long = Long()
    held = Held(long, passed=3)
    connection = long.here.connect()
    connection.send(request_bytes("GET", TARGET))

    long.here.clock.pump([1] * int(3 * PATIENCE_SECONDS))

    assert held.answers
    assert not connection.is_closed
    held.answer()
    assert numbers_in(dechunked(connection.response().body)) == list(range(EVENTS))
    connection.close()


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


def full(long: Long) -> list[Connection]:
    """Take all places."""
    connections = [long.begin() for _ in range(MOST_LISTS)]
    assert all(each.response().status == 200 for each in connections)
    return connections


def close_all(long: Long, connections: list[Connection]) -> None:
    """Leave; no place is taken then, and nothing is timed."""
    for each in connections:
        each.close()
    assert len(long.here.lists) == 0
    assert long.here.clock.getDelayedCalls() == []


def take_steadily(long: Long, connections: list[Connection], seconds: int, count: int) -> None:
    """Let time pass in which clients take so many bytes a second."""
    for _ in range(seconds):
        for each in connections:
            if each.transport.producer is not None:
                each.protocol.requests[0].sentLength += count
        long.here.clock.advance(1)


def test_a_place_that_becomes_free() -> None:
    """Who comes when there is none waits for it, and short answers wait for nothing."""
    long = Long()
    connections = full(long)
    waiting = [long.begin() for _ in range(3)]
    assert long.here.ask("GET", "/api/events/history?limit=1").status == 200
    assert not any(each.responses() for each in waiting)

    resume(connections[0])
    connections[1].close()

    assert [len(each.responses()) for each in waiting] == [1, 1, 0]
    assert all(each.response().status == 200 for each in waiting[:2])
    close_all(long, [*connections, *waiting])


def test_nothing_is_held_for_who_waits() -> None:
    """What was read to see that a list is long is read again when it is its turn, and once."""
    long = Long()
    connections = full(long)
    waiting = long.begin()
    reads = long.reads
    connections[0].close()
    assert reads < long.reads < reads + 5
    resume(waiting)
    assert numbers_in(dechunked(waiting.response().body)) == list(range(EVENTS))
    close_all(long, [*connections, waiting])


def test_no_place_becomes_free() -> None:
    """While all clients take what they get, who has waited long enough is told to come again."""
    long = Long()
    connections = full(long)
    waiting = long.begin()
    take_steadily(long, connections, int(WAIT_SECONDS) - 1, PACE_BYTES)
    assert waiting.responses() == []

    take_steadily(long, connections, 1, PACE_BYTES)

    refused = waiting.response()
    assert (refused.status, refused.code) == (503, "SERVICE_UNAVAILABLE")
    assert refused.header("retry-after") == "1"
    assert not any(each.is_closed for each in connections)
    close_all(long, [*connections, waiting])


def test_who_is_stuck_longest_is_cut_for_another() -> None:
    """Nobody is cut before five seconds without a byte, and only as many as others wait for."""
    long = Long()
    connections = full(long)
    take_steadily(long, connections[:7] + connections[8:], 2, PACE_BYTES)
    waiting = long.begin()
    long.here.clock.pump([1] * 2)
    assert not any(each.is_closed for each in connections)
    assert waiting.responses() == []

    long.here.clock.pump([1] * 20)

    assert [each.is_closed for each in connections] == [at == 7 for at in range(MOST_LISTS)]
    assert waiting.response().status == 200
    close_all(long, [*connections, waiting])


def test_who_takes_too_little_is_cut_for_another() -> None:
    """A client that drips holds its place only as long as nobody waits for it."""
    long = Long()
    connections = full(long)
    for _ in range(30):
        take_steadily(long, connections[:1], 1, PACE_BYTES // 20)
        for each in connections[1:]:
            each.protocol.requests[0].sentLength += PACE_BYTES
    assert not any(each.is_closed for each in connections)
    waiting = long.begin()

    take_steadily(long, connections, 1, PACE_BYTES // 20)

    assert [each.is_closed for each in connections] == [at == 0 for at in range(MOST_LISTS)]
    assert waiting.response().status == 200
    close_all(long, [*connections, waiting])


def test_the_end_while_one_waits() -> None:
    """It is refused at once, and does not come to be sent."""
    long = Long()
    connections = full(long)
    waiting = long.begin()
    ended = long.here.lists.close()
    assert waiting.response().status == 503
    assert "shutting down" in waiting.response().json["error"]
    long.here.clock.pump([0.1] * 15)
    assert ended.called
    close_all(long, [*connections, waiting])


def test_what_takes_no_place() -> None:
    """Neither one that only its headers are asked of, nor one whose client left while it began."""
    for method in ("GET", "HEAD"):
        long = Long()
        long.here.ask("HEAD", TARGET)
        held = Held(long, passed=0)
        connection = long.begin(method)
        connection.close()
        with capturedLogs() as events:
            held.answer()

        assert [each for each in events if each["log_level"] >= LogLevel.warn] == []
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


def test_the_end_just_before_a_list_is_begun() -> None:
    """What was read by then is enough to begin with, and it is not begun."""
    long = Long()
    held = Held(long, passed=1)
    connection = long.here.connect()
    connection.send(request_bytes("GET", TARGET))

    ended = long.here.lists.close()
    long.here.clock.pump([0.1] * 2)
    held.answer()

    assert ended.called
    assert connection.response().status == 503
    assert len(long.here.lists) == 0
    connection.close()
