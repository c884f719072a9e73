"""Tests of :mod:`loki_twisted.web.pipelining`: requests that are sent together."""

from __future__ import annotations

import pytest

from loki_twisted.web.limits import Limits
from loki_twisted.web.pipelining import MOST_IN_TURN
from tests.fakes_web import Server
from tests.test_web_channel import LIVE, POST


def live(number: int) -> bytes:
    """A request that is told by its id."""
    return LIVE[:-2] + b"X-Request-ID: r%d\r\n\r\n" % number


def test_others_have_their_turn_between_requests_that_come_together() -> None:
    """Only so many are answered in one turn, the rest in the next ones; none is lost or early."""
    server = Server()
    connection = server.connect()
    connection.send(b"".join(live(number) for number in range(100)))
    assert len(connection.responses()) == MOST_IN_TURN
    assert connection.transport.producerState == "paused"
    connection.send(live(100))  # had been read already
    seen: list[int] = []
    server.clock.callLater(0, lambda: seen.append(len(connection.responses())))
    server.clock.advance(0)
    assert seen == [2 * MOST_IN_TURN]
    ids = [each.header("x-request-id") for each in connection.responses()]
    assert ids == [f"r{number}" for number in range(101)]
    assert connection.transport.producerState == "producing"


def test_requests_that_come_one_by_one_never_wait() -> None:
    """However many there are on one connection."""
    connection = Server().connect()
    for number in range(3 * MOST_IN_TURN):
        connection.send(live(number))
        assert len(connection.responses()) == number + 1


def test_who_takes_no_answers_gets_no_more() -> None:
    """A read may bring a thousand requests: their answers would wait in our memory."""
    server = Server()
    connection = server.connect()
    connection.protocol.pauseProducing()  # as its transport does when much is on the way
    connection.send(b"".join(live(number) for number in range(50)))
    server.clock.advance(0)
    assert len(connection.responses()) == 1
    assert connection.transport.producerState == "paused"
    server.site.shares.spend(1)
    connection.send(live(50))  # had been read already
    server.clock.advance(0)
    assert connection.transport.producerState == "paused"
    connection.protocol.resumeProducing()
    assert len(connection.responses()) == 1
    server.clock.advance(0)
    ids = [each.header("x-request-id") for each in connection.responses()]
    assert ids == [f"r{number}" for number in range(51)]
    assert connection.transport.producerState == "producing"


@pytest.mark.parametrize("last", [b"", LIVE[:-2] + b"Connection: close\r\n\r\n"])
def test_who_leaves_in_between_leaves_nothing_behind(last: bytes) -> None:
    """No call is waiting for a connection that is gone."""
    server = Server()
    connection = server.connect()
    connection.send(LIVE * (MOST_IN_TURN - bool(last)) + last + LIVE)
    if not last:
        connection.close()
    assert connection.is_closed
    assert len(connection.responses()) == MOST_IN_TURN
    assert [call for call in server.clock.getDelayedCalls() if call.getTime() == 0] == []


def test_a_body_comes_in_so_many_chunks() -> None:
    """More of them are refused, and what is behind them is not served."""
    for chunks, status in ((10, 201), (11, 413)):
        server = Server(limits=Limits(chunks=10))
        connection = server.connect()
        body = b"1\r\n \r\n" * (chunks - 1) + b"2\r\n{}\r\n0\r\n\r\n"
        connection.send(POST + b"Transfer-Encoding: chunked\r\n\r\n" + body + LIVE)
        assert connection.responses()[0].status == status
        assert len(connection.responses()) == 1 + (status == 201)
        assert connection.is_closed == (status == 413)
