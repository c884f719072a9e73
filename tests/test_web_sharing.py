"""Tests of :mod:`loki_twisted.web.sharing`: what comes on many connections at the same moment."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.web.resource import IResource

from loki_twisted.kernel.shares import Shares
from loki_twisted.web.sharing import TURN_SECONDS
from tests.fakes_web import Connection, Server
from tests.test_agents_long_lines import take_a_turn
from tests.test_web_channel import LIVE, POST

BODY = b"Content-Length: 2\r\n\r\n{}"


class Busy(Server):
    """
    A server that takes its time to find what is asked for.

    :param part: Of a turn.
    """

    def __init__(self, part: float) -> None:
        super().__init__()
        self.answered = 0
        find = self.site.getResourceFor

        def find_slowly(request: Any) -> IResource:
            self.answered += 1
            self.clock.rightNow += TURN_SECONDS * part
            return find(request)

        self.site.getResourceFor = find_slowly  # type: ignore[method-assign]  # it takes time


def exhausted() -> Server:
    """A server in whose turn there is no room any more."""
    server = Server()
    server.site.shares.spend(2 * TURN_SECONDS)
    return server


def statuses(connections: list[Connection]) -> list[list[int]]:
    """With what each was answered so far."""
    return [[each.status for each in one.responses()] for one in connections]


@pytest.mark.promise("R27")
def test_those_who_ask_at_once_take_turns() -> None:
    """In a turn of the reactor some are answered, first come first served, and then others."""
    server = Busy(0.6)
    connections = [server.connect() for _ in range(5)]
    for each in connections:
        each.send(LIVE)
    assert statuses(connections) == [[200], [200], [], [], []]
    assert [each.transport.producerState for each in connections[1:3]] == ["producing", "paused"]
    take_a_turn(server.clock)
    assert statuses(connections) == [[200], [200], [200], [200], []]
    take_a_turn(server.clock)
    assert statuses(connections) == [[200]] * 5
    assert server.answered == 5
    assert {each.transport.producerState for each in connections} == {"producing"}
    take_a_turn(server.clock)
    connections[0].send(LIVE)
    assert statuses(connections[:1]) == [[200, 200]]


def test_what_comes_meanwhile_comes_behind() -> None:
    """Under TLS something may be on its way although nothing is to be read."""
    server = exhausted()
    connection = server.connect()
    connection.send(LIVE[:10])
    connection.send(LIVE[10:] + LIVE)
    assert connection.responses() == []
    take_a_turn(server.clock)
    assert [each.status for each in connection.responses()] == [200, 200]


def test_who_had_his_turn_is_read_on() -> None:
    """Also where that was not enough for anything to be done."""
    server = exhausted()
    connection = server.connect()
    connection.send(LIVE[:10])
    assert connection.transport.producerState == "paused"
    take_a_turn(server.clock)
    assert connection.transport.producerState == "producing"


def test_work_is_counted_once() -> None:
    """With what comes behind a body Twisted goes on in the midst of reading it."""
    server = Busy(0.3)
    connections = [server.connect() for _ in range(4)]
    for sent, each in zip([POST + BODY + LIVE, LIVE, LIVE, LIVE], connections, strict=True):
        each.send(sent)
    assert statuses(connections) == [[201, 200], [200], [200], []]


def test_who_waits_for_an_answer_does_not_wait_for_a_turn() -> None:
    """What comes behind a request that is being answered is kept by Twisted, in bounds."""
    server = Server()
    server.sessions.waiting = Deferred()
    connection = server.connect()
    connection.send(POST + BODY)
    server.site.shares.spend(2 * TURN_SECONDS)
    connection.send(LIVE)
    assert connection.transport.producerState == "producing"
    take_a_turn(server.clock)
    server.sessions.waiting.callback(None)
    assert statuses([connection]) == [[201, 200]]


def test_a_request_that_was_begun_waits_with_the_rest_of_it() -> None:
    """As much of it as is there is kept, and it is answered when the rest has had its turn."""
    server = Server()
    connection = server.connect()
    connection.send(POST + BODY[:-1])
    server.site.shares.spend(2 * TURN_SECONDS)
    connection.send(b"}")
    assert connection.responses() == []
    take_a_turn(server.clock)
    assert connection.response().status == 201


@pytest.mark.promise("R8")
def test_who_leaves_before_his_turn_leaves_nothing_behind() -> None:
    """Nobody waits for him, and nothing was done."""
    server = exhausted()
    connection, other = server.connect(), server.connect()
    connection.send(POST + BODY)
    other.send(LIVE)
    connection.close()
    take_a_turn(server.clock)
    assert other.response().status == 200
    assert connection.responses() == []
    assert server.audit.entries == []
    assert server.site.shares.has_room


def test_who_has_to_wait_is_not_refused_for_that_when_the_server_ends() -> None:
    """What was sent before is answered, and then the connection is closed."""
    server = exhausted()
    connection = server.connect()
    connection.send(LIVE)
    drained = server.site.drain()
    take_a_turn(server.clock)
    assert connection.response().status == 200
    assert connection.is_closed
    assert drained.called


def test_what_may_be_read_while_somebody_waits_is_not_read_for_long() -> None:
    """As Twisted goes on with reading when an answer before has been taken."""
    server = exhausted()
    connection = server.connect()
    connection.send(LIVE[:10])
    connection.protocol.resumeProducing()
    assert connection.transport.producerState == "producing"
    connection.send(LIVE[10:])
    assert connection.transport.producerState == "paused"
    take_a_turn(server.clock)
    assert connection.response().status == 200
    assert connection.transport.producerState == "producing"


class Full(Server):
    """A server that has no room for anybody until it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.site.shares = Shares(Clock(), TURN_SECONDS)
        self.site.shares.clock.rightNow = self.clock.rightNow
        self.site.shares.spend(2 * TURN_SECONDS)

    def pass_time(self, seconds: float) -> None:
        """Have time pass in which nobody has a turn."""
        self.clock.advance(seconds)
        self.site.shares.clock.rightNow += seconds

    def make_room(self) -> None:
        """Give everybody a turn."""
        take_a_turn(self.site.shares.clock)


@pytest.mark.promise("R27")
@pytest.mark.parametrize("ends", [False, True], ids=["serves", "ends"])
@pytest.mark.parametrize(
    ("first", "status"), [(LIVE, 200), (POST + BODY, 201), (POST + BODY[:-1], 201)]
)
def test_nobody_is_refused_because_the_server_has_no_time(
    first: bytes, status: int, ends: bool
) -> None:
    """However long that lasts; who sent all in time is answered, and others have what was left."""
    server = Full()
    connection = server.connect()
    connection.send(first)
    drained = server.site.drain() if ends else None
    server.pass_time(3600.0)
    assert connection.responses() == []
    server.make_room()
    server.pass_time(0.9)
    if first == POST + BODY[:-1]:
        server.site.shares.spend(2 * TURN_SECONDS)
        connection.send(BODY[-1:])
        server.pass_time(3600.0)
        assert connection.responses() == []
        server.make_room()
    assert connection.response().status == status
    assert connection.is_closed == (drained is not None and drained.called) == ends


def test_who_does_not_send_the_rest_of_a_request_has_no_more_time_than_others() -> None:
    """What it waited for its turn is added, and that is all."""
    server = Full()
    connection = server.connect()
    connection.send(LIVE[:10])
    server.pass_time(3600.0)
    server.make_room()
    server.pass_time(server.site.limits.head_seconds - 1.5)
    assert connection.responses() == []
    server.pass_time(2.0)
    assert connection.response().status == 408


def test_a_connection_that_fails_in_its_turn_is_cut() -> None:
    """As Twisted does where it fails at once; others have their turn."""
    server = exhausted()
    connection, other = server.connect(), server.connect()
    connection.send(LIVE)
    other.send(LIVE)

    def fail(line: bytes) -> None:
        raise ZeroDivisionError(line)

    connection.protocol.lineReceived = fail
    with capturedLogs() as logs:
        take_a_turn(server.clock)
    assert [each["log_failure"].type for each in logs if "log_failure" in each] == [
        ZeroDivisionError
    ]
    assert connection.is_closed
    assert other.response().status == 200


REQUESTS = st.lists(
    st.sampled_from(
        [
            LIVE,
            POST + BODY,
            POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        ]
    ),
    min_size=1,
    max_size=8,
)


@given(REQUESTS, st.data())
def test_whoever_waits_is_answered_the_same(requests: list[bytes], data: st.DataObject) -> None:
    """However requests are cut, and wherever there is no room: none is lost, twice or early."""
    whole = b"".join(requests)
    expected = [200 if each is LIVE else 201 for each in requests]
    server = Server()
    connection, begin = server.connect(), 0
    while begin < len(whole):
        end = begin + data.draw(st.integers(1, len(whole) - begin))
        if data.draw(st.booleans()):
            server.site.shares.spend(2 * TURN_SECONDS)
        connection.send(whole[begin:end])
        if data.draw(st.booleans()):
            take_a_turn(server.clock)
        begin = end
    for _ in range(3):
        take_a_turn(server.clock)
    assert [each.status for each in connection.responses()] == expected
