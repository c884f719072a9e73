"""Tests of :mod:`loki_twisted.web.channel`: raw bytes into a connection, and time that passes."""

from __future__ import annotations

from itertools import count
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides, providedBy

from loki_twisted.web import channel
from loki_twisted.web.execution import ORDER_SECONDS
from loki_twisted.web.limits import Limits
from tests.bad_input import lines
from tests.bad_input.cases import PORT, Case
from tests.fakes_web import (
    PUBLIC,
    STRANGER,
    TOKEN,
    WITH_TOKEN,
    Connection,
    Response,
    Server,
    request_bytes,
)

H = b"Host: localhost:57374\r\n"
J = b"Content-Type: application/json\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\n" + H + b"\r\n"
POST = b"POST /api/sessions HTTP/1.1\r\n" + H + J
IN_CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"


def rows(*names: str) -> list[Case]:
    """The cases of some rows of the tables of bad input, which are asked over sockets as well."""
    return [
        attrs.evolve(case, sent=case.sent.replace(PORT, b"57374"))
        for case in lines.CASES
        if case.id.partition(".")[0] in names
    ]


def name_of(case: Case) -> str:
    """The name of a case."""
    return case.id


def closes_after(data: bytes, server: Server | None = None) -> Response:
    """Send bytes that end a connection; gives its last response."""
    connection = (server or Server()).connect()
    connection.send(data)
    assert connection.is_closed
    response = connection.responses()[-1]
    assert response.header("connection") == "close"
    check_common_headers(response)
    return response


def check_common_headers(response: Response) -> None:
    """What every response carries, whatever it answers."""
    assert response.header("x-content-type-options") == "nosniff"
    assert response.header("cross-origin-resource-policy") == "same-origin"
    policy = response.header("content-security-policy") or ""
    assert "default-src 'none'; frame-ancestors 'none'" in policy
    assert response.header("cache-control") == "no-store"
    assert response.header("vary") == "Origin"
    assert response.header("x-request-id")
    assert (response.header("x-response-time") or "").endswith("ms")
    assert response.header("date")
    assert response.header("server") is None
    assert "set-cookie" not in response.headers


# Lines and headers


@pytest.mark.threat("T24", "T36")
@pytest.mark.parametrize("case", rows("B1", "B2", "B3", "B4", "B32"), ids=name_of)
def test_what_is_no_http_is_not_understood(case: Case) -> None:
    """It is answered in our envelope, and nothing after it is served on its connection."""
    response = closes_after(case.sent + LIVE)
    assert (response.status, response.code) == (400, "BAD_REQUEST")


@pytest.mark.threat("T22")
@pytest.mark.parametrize("case", rows("B6"), ids=name_of)
def test_what_is_too_long_is_told_so(case: Case) -> None:
    """The request line, one header, all of them together, and their number have bounds."""
    response = closes_after(case.sent)
    assert (response.status, response.code) == (case.status, case.code)


def test_what_is_long_enough_is_served() -> None:
    """A hundred headers, and sixteen thousand bytes of them, are within the bounds."""
    server = Server()
    for more in (b"X: 1\r\n" * 99, b"X: " + b"x" * 16_000 + b"\r\n"):
        connection = server.connect()
        connection.send(LIVE[:-2] + more + b"\r\n")
        assert connection.response().status == 200


@pytest.mark.threat("T26")
@pytest.mark.parametrize("method", [b"get", b"GEt", b"FOO"])
def test_an_unknown_method(method: bytes) -> None:
    """It is not implemented, and routes nowhere."""
    response = closes_after(method + b" /health/live HTTP/1.1\r\n" + H + b"\r\n")
    assert (response.status, response.code) == (501, "NOT_IMPLEMENTED")


@pytest.mark.threat("T26")
@pytest.mark.parametrize("line", [b"TRACE / HTTP/1.1", b"CONNECT localhost:80 HTTP/1.1"])
def test_a_dangerous_method(line: bytes) -> None:
    """It is refused with the methods that there are."""
    response = closes_after(line + b"\r\n" + H + b"\r\n")
    assert (response.status, response.code) == (405, "METHOD_NOT_ALLOWED")
    assert response.header("allow") == "GET, HEAD, POST, DELETE, OPTIONS"


@pytest.mark.threat("T8", "T24")
@pytest.mark.parametrize(
    ("lines", "status", "code"),
    [
        (b"GET /health/live HTTP/1.1\r\n", 400, "BAD_REQUEST"),
        (b"GET /health/live HTTP/1.0\r\n", 400, "BAD_REQUEST"),
        (b"GET /health/live HTTP/1.1\r\nHost:\r\n", 400, "BAD_REQUEST"),
        (b"GET /health/live HTTP/1.1\r\nHost: evil\r\n" + H, 400, "BAD_REQUEST"),
        (b"GET /health/live HTTP/1.1\r\n" + H + b"Host: evil\r\n", 400, "BAD_REQUEST"),
        (b"OPTIONS * HTTP/1.1\r\n" + H, 501, "NOT_IMPLEMENTED"),
        (b"GET http://localhost/x HTTP/1.1\r\nHost: evil\r\n", 400, "BAD_REQUEST"),
        (b"GET http://evil/health/live HTTP/1.1\r\n" + H, 400, "BAD_REQUEST"),
    ],
)
def test_a_request_line_or_host_that_is_wrong(lines: bytes, status: int, code: str) -> None:
    """What another server might read differently ends the connection."""
    response = closes_after(lines + b"\r\n")
    assert (response.status, response.code) == (status, code)


def test_an_absolute_target_of_ours_is_served() -> None:
    """A client may talk to us as to a proxy, if target and Host name the same."""
    connection = Server().connect()
    connection.send(b"GET http://localhost:57374/health/live HTTP/1.1\r\n" + H + b"\r\n")
    assert connection.response().json["alive"]


@pytest.mark.parametrize("framing", [b"Content-Length: 2\r\n\r\n{}", IN_CHUNKS])
def test_so_is_one_with_a_body(framing: bytes) -> None:
    """The gate before the body reads the target as the routes do."""
    connection = Server().connect()
    line = b"POST http://localhost:57374/api/events/ticket HTTP/1.1\r\n"
    connection.send(line + H + J + framing)
    assert connection.response().status == 201


def test_both_naming_somebody_else_is_misdirected() -> None:
    """Target and Host that agree on another host are for that host."""
    connection = Server().connect()
    connection.send(b"GET http://evil/health/live HTTP/1.1\r\nHost: evil\r\n\r\n")
    assert connection.response().code == "HOST_NOT_ALLOWED"


# Framing


@pytest.mark.threat("T24")
@pytest.mark.parametrize("case", rows("B33", "B34", "B35", "B36"), ids=name_of)
def test_a_length_that_could_be_read_in_two_ways(case: Case) -> None:
    """What follows is not taken for a request of its own: the connection ends."""
    server = Server()
    response = closes_after(case.sent + LIVE, server)
    assert (response.status, response.code) == (400, "BAD_REQUEST")
    assert server.sessions.orders == []


@pytest.mark.threat("T24")
@pytest.mark.parametrize("case", rows("B38"), ids=name_of)
def test_chunks_that_are_wrong(case: Case) -> None:
    """A body that cannot be put together is not understood."""
    server = Server()
    response = closes_after(case.sent + LIVE, server)
    assert (response.status, response.code) == (400, "BAD_REQUEST")
    assert server.sessions.orders == []


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_body_in_pieces_is_put_together(size: int) -> None:
    """However the bytes arrive, and in whichever of the two framings."""
    body = b'{"provider": "claude"}'
    length = b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunks = b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\n" + body[:5]
    chunks += b"\r\n%x\r\n" % len(body[5:]) + body[5:] + b"\r\n0\r\nTrailer: x\r\n\r\n"
    for framed in (length, chunks):
        server = Server()
        connection = server.connect()
        data = POST + framed
        for start in range(0, len(data), size):
            connection.send(data[start : start + size])
        assert connection.response().status == 201
        assert not connection.is_closed


# Bodies


@pytest.mark.threat("T22")
@pytest.mark.parametrize("length", [1_048_577, 5_000_000, 10**18])
def test_a_declared_body_that_is_too_long(length: int) -> None:
    """It is refused before a byte of it is read, and before anything else is looked at."""
    connection = Server(WITH_TOKEN).connect(PUBLIC, STRANGER)
    connection.send(b"POST / HTTP/1.1\r\nHost: evil\r\nContent-Length: %d\r\n\r\n" % length)
    assert connection.is_closed
    assert connection.response().code == "PAYLOAD_TOO_LARGE"


@pytest.mark.threat("T22")
def test_a_body_that_grows_too_long() -> None:
    """One in chunks is counted while it comes, and dropped when it is too long."""
    server = Server()
    connection = server.connect()
    connection.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    for _ in range(16):
        connection.send(piece)
    assert not connection.is_closed
    connection.send(b"1\r\n \r\n0\r\n\r\n" + LIVE)
    assert connection.is_closed
    response = connection.response()
    assert (response.status, response.code) == (413, "PAYLOAD_TOO_LARGE")
    assert server.sessions.orders == []


def test_a_body_of_the_greatest_length() -> None:
    """A mebibyte is still taken, whatever is thought of what is in it."""
    connection = Server().connect()
    connection.send(POST + b"Content-Length: 1048576\r\n\r\n" + b" " * 1_048_576)
    assert connection.response().code == "BAD_REQUEST"
    assert not connection.is_closed


@pytest.mark.threat("T22", "order")
def test_the_gate_stands_before_the_body() -> None:
    """Whoever may not come in is told so before the body is read, and read no further."""
    cases: list[tuple[dict[str, str], int]] = [
        ({"Host": "evil"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
    ]
    for headers, status in cases:
        connection = Server(WITH_TOKEN).connect()
        fields = {"Content-Length": "1000000", "Expect": "100-continue", **headers}
        connection.send(request_bytes("POST", "/api/sessions", headers=fields))
        assert connection.is_closed
        assert connection.response().status == status


def test_a_refusal_before_the_body_can_be_read_by_an_allowed_page() -> None:
    """The page of this machine that forgot its token learns so, and not just that it failed."""
    connection = Server(WITH_TOKEN).connect()
    fields = {"Content-Length": "10", "Origin": "http://localhost:5173"}
    connection.send(request_bytes("POST", "/api/sessions", headers=fields))
    response = connection.response()
    assert response.status == 401
    assert response.header("access-control-allow-origin") == "http://localhost:5173"
    assert response.header("www-authenticate") == "Bearer"


def test_a_client_that_asks_is_told_to_go_on() -> None:
    """After the gate, and only then, a body is asked for."""
    server = Server(WITH_TOKEN)
    connection = server.connect()
    fields = {
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/json",
        "Content-Length": "2",
        "Expect": "100-continue",
    }
    connection.send(request_bytes("POST", "/api/sessions", headers=fields))
    assert connection.transport.value() == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.send(b"{}")
    assert connection.response().status == 201


# Connections that go on


def test_requests_follow_one_another() -> None:
    """A connection serves many requests, whether they come one by one or together."""
    connection = Server().connect()
    connection.send(LIVE)
    connection.send(LIVE + POST + b"Content-Length: 2\r\n\r\n{}" + LIVE)
    assert [each.status for each in connection.responses()] == [200, 200, 201, 200]
    assert not connection.is_closed


@pytest.mark.threat("T25")
def test_answers_come_in_order() -> None:
    """A request that takes its time keeps those behind it waiting, and none is lost."""
    from twisted.internet.defer import Deferred

    server = Server()
    server.sessions.waiting = Deferred()
    connection = server.connect()
    connection.send(POST + b"Content-Length: 2\r\n\r\n{}" + LIVE)
    assert connection.responses() == []
    server.sessions.waiting.callback(None)
    assert [each.status for each in connection.responses()] == [201, 200]


def test_a_client_that_wants_to_close_is_closed() -> None:
    """Also one that speaks HTTP/1.0."""
    for data in (
        LIVE[:-2] + b"Connection: close\r\n\r\n",
        LIVE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ):
        connection = Server().connect()
        connection.send(data)
        assert connection.response().status == 200
        assert connection.is_closed


@pytest.mark.threat("T6")
def test_an_upgrade_is_ignored() -> None:
    """There is no WebSocket here: the request is answered like any other."""
    connection = Server().connect()
    connection.send(LIVE[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert connection.response().status == 200


@pytest.mark.parametrize("wanted", ["mine", "A-1_b.c", "x" * 128])
def test_a_request_may_bring_its_id(wanted: str) -> None:
    """A sane one is kept, also where the request is refused before it is one."""
    fields = {"X-Request-ID": wanted}
    server = Server()
    assert server.ask("GET", "/health/live", headers=fields).header("x-request-id") == wanted
    data = request_bytes("POST", "/x", headers={**fields, "Content-Length": "9999999"})
    assert closes_after(data, server).header("x-request-id") == wanted


@pytest.mark.parametrize("wanted", ["", "a b", "x" * 129, "a/b", "<script>", "é"])
def test_a_strange_id_is_replaced(wanted: str) -> None:
    """What could harm a log or a page is not repeated; a new id is given for each request."""
    server = Server()
    ids = {
        server.ask("GET", "/health/live", headers={"X-Request-ID": wanted}).header("x-request-id")
        for _ in range(3)
    }
    assert len(ids) == 3
    assert wanted not in ids


def test_two_ids_are_replaced() -> None:
    """There is no telling which one is meant."""
    connection = Server().connect()
    connection.send(LIVE[:-2] + b"X-Request-ID: a\r\nX-Request-ID: b\r\n\r\n")
    assert connection.response().header("x-request-id") not in {"a", "b"}


# Time


def wait(server: Server, seconds: float) -> None:
    """Let time pass, in the steps in which the site looks at its connections."""
    for _ in range(int(seconds * 2)):
        server.clock.advance(0.5)


@pytest.mark.promise("R23")
@pytest.mark.threat("T21")
@pytest.mark.parametrize("data", [b"G", b"GET /health/live HTTP/1.1\nHost: x\n\n", LIVE[:-2]])
def test_a_head_has_ten_seconds(data: bytes) -> None:
    """A request that does not come, or comes by the byte, is given up."""
    server = Server()
    connection = server.connect()
    connection.send(data)
    wait(server, 9)
    assert not connection.is_closed
    wait(server, 2)
    assert connection.is_closed
    response = connection.response()
    assert (response.status, response.code) == (408, "REQUEST_TIMEOUT")
    check_common_headers(response)
    assert response.header("x-response-time") in {"10000ms", "10500ms", "11000ms"}


@pytest.mark.promise("R23")
@pytest.mark.threat("T21")
def test_dripping_bytes_win_no_time() -> None:
    """Each byte that comes does not begin the time anew."""
    server = Server()
    connection = server.connect()
    for byte in b"GET /health/liveXYZ":
        if not connection.is_closed:
            connection.send(bytes([byte]))
        wait(server, 1)
    assert connection.is_closed
    assert connection.response().status == 408


@pytest.mark.promise("R23")
@pytest.mark.threat("T21")
def test_a_body_has_thirty_seconds() -> None:
    """Also one that comes by the byte."""
    server = Server()
    connection = server.connect()
    connection.send(POST + b"Content-Length: 100\r\n\r\n")
    for _ in range(29):
        connection.send(b" ")
        wait(server, 1)
    assert not connection.is_closed
    wait(server, 2)
    assert connection.is_closed
    assert connection.response().status == 408


def test_a_silent_connection_is_closed_without_a_word() -> None:
    """A browser opens some that it never uses; an answer to nothing would confuse it."""
    server = Server()
    connection = server.connect()
    wait(server, 11)
    assert connection.is_closed
    assert connection.transport.value() == b""


def test_between_requests_there_is_a_minute() -> None:
    """A connection that is kept may be silent for so long, and is closed then."""
    server = Server()
    connection = server.connect()
    connection.send(LIVE)
    wait(server, 59)
    connection.send(LIVE)
    wait(server, 59)
    assert not connection.is_closed
    wait(server, 2)
    assert connection.is_closed
    assert [each.status for each in connection.responses()] == [200, 200]


def test_an_answer_may_take_its_time() -> None:
    """No deadline of the head or body runs then, and a stream is open for ever."""
    from twisted.internet.defer import Deferred

    server = Server()
    server.sessions.waiting = Deferred()
    slow, stream = server.connect(), server.connect()
    slow.send(POST + b"Content-Length: 2\r\n\r\n{}")
    stream.send(b"GET /api/events HTTP/1.1\r\n" + H + b"\r\n")
    wait(server, ORDER_SECONDS - 1)
    assert not slow.is_closed
    server.sessions.waiting.callback(None)
    assert slow.response().status == 201
    wait(server, 200)
    assert not stream.is_closed
    stream.close()
    slow.close()


class HalfClosingTransport(StringTransportWithDisconnection):
    """A transport that can close its writing half, as TCP can."""

    half_closed = False

    def loseWriteConnection(self) -> None:  # noqa: N802  # Twisted's name
        """Close what we write."""
        assert self.producer is None
        self.half_closed = True


def half_closing(server: Server) -> tuple[Any, HalfClosingTransport]:
    """A connection over such a transport."""
    transport = HalfClosingTransport()
    directlyProvides(transport, ITCPTransport, providedBy(transport))
    transport.setTcpNoDelay = lambda enabled: None  # type: ignore[attr-defined]  # of TCP
    protocol = server.site.buildProtocol(STRANGER)
    transport.protocol = protocol
    protocol.makeConnection(transport)
    return protocol, transport


def test_who_is_refused_gets_to_read_why() -> None:
    """What a refused client still sends is dropped for two seconds before it is cut."""
    server = Server()
    protocol, transport = half_closing(server)
    protocol.dataReceived(b"nonsense\r\n")
    assert transport.half_closed
    assert transport.connected
    written = transport.value()
    protocol.dataReceived(LIVE)
    wait(server, 1)
    assert transport.connected
    wait(server, 3)
    assert not transport.connected
    assert transport.value() == written
    assert server.clock.getDelayedCalls() == []


def test_a_refused_client_that_leaves_is_gone_at_once() -> None:
    """Nothing waits for somebody who has read the answer and closed."""
    server = Server()
    protocol, transport = half_closing(server)
    protocol.dataReceived(b"nonsense\r\n")
    transport.loseConnection()
    assert server.clock.getDelayedCalls() == []


class StuckTransport(StringTransportWithDisconnection):
    """A transport whose peer takes nothing, so that it cannot be closed but by force."""

    def loseConnection(self) -> None:  # noqa: N802  # Twisted's name
        """Wait for what is written to be taken, which it is not."""

    def abortConnection(self) -> None:  # noqa: N802  # Twisted's name
        """Cut."""
        super().loseConnection()


@pytest.mark.parametrize("data", [b"", LIVE, LIVE[:-2] + b"Connection: close\r\n\r\n"])
def test_who_takes_nothing_is_cut(data: bytes) -> None:
    """A connection that cannot be closed for want of a reader is cut after some time."""
    server = Server()
    transport = StuckTransport()
    protocol = server.site.buildProtocol(STRANGER)
    transport.protocol = protocol
    protocol.makeConnection(transport)
    protocol.dataReceived(data)
    wait(server, 64)
    assert not transport.connected
    assert server.clock.getDelayedCalls() == []


def test_who_is_refused_gets_no_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly the client takes the answers before, it is cut when its moment is over."""
    server = Server()
    transport = StuckTransport()
    protocol = server.site.buildProtocol(STRANGER)
    transport.protocol = protocol
    protocol.makeConnection(transport)
    left = count(100_000, -1)
    monkeypatch.setattr(channel, "on_the_way", lambda _: next(left))
    protocol.dataReceived(LIVE)
    wait(server, 70)
    assert transport.connected
    protocol.dataReceived(b"nonsense\r\n")
    wait(server, 4)
    assert not transport.connected


@pytest.mark.promise("R8")
def test_closed_connections_leave_nothing_behind() -> None:
    """Whatever a client did before it left, no timer runs on."""
    server = Server()
    beginnings = [b"", b"G", LIVE, LIVE[:-2], POST + b"Content-Length: 9\r\n\r\n{", b"\x16\x03"]
    for data in beginnings:
        connection = server.connect()
        if data:
            connection.send(data)
        connection.close()
    assert server.clock.getDelayedCalls() == []


# The law of it all


class AnythingAtAll(SynchronousTestCase):
    """Bytes that nobody would send."""

    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=40),
                st.sampled_from(
                    [
                        LIVE,
                        POST,
                        H,
                        b"\r\n",
                        b"\r\n\r\n",
                        b"GET /api/events HTTP/1.1\r\n",
                        b"Content-Length: 2\r\n",
                        b"Transfer-Encoding: chunked\r\n",
                        b"Expect: 100-continue\r\n",
                        b"2\r\n{}\r\n0\r\n\r\n",
                        b"{}",
                        b"HEAD /%2e%2e HTTP/1.0\r\n",
                    ]
                ),
            ),
            max_size=12,
        )
    )
    def test_any_bytes_are_answered_properly(self, pieces: list[bytes]) -> None:
        """Whatever comes, each answer is one of ours, none is a 500, and nothing is logged."""
        server = Server()
        connection: Connection = server.connect()
        for piece in pieces:
            if not connection.is_closed:
                connection.send(piece)
        for response in connection.responses():
            assert response.status != 500
            check_stream_or_common(response)
        connection.close()
        assert server.clock.getDelayedCalls() == []
        assert self.flushLoggedErrors() == []


def check_stream_or_common(response: Response) -> None:
    """A stream has its own caching; all else is as for every response."""
    if response.header("content-type") == "text/event-stream":
        assert response.header("x-request-id")
    else:
        check_common_headers(response)


def test_the_bounds_can_be_chosen() -> None:
    """Whoever builds the site says how much one may ask."""
    server = Server(limits=Limits(body_bytes=10, head_seconds=1, headers=3))
    assert closes_after(POST + b"Content-Length: 11\r\n\r\n", server).status == 413
    assert closes_after(LIVE[:-2] + b"A: 1\r\nB: 2\r\nC: 3\r\n\r\n", server).status == 431
    connection = server.connect()
    connection.send(b"G")
    wait(server, 2.5)
    assert connection.is_closed
