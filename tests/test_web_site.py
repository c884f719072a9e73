# ruff: noqa: N802, N815  # Twisted calls these methods
"""Tests of :mod:`loki_twisted.web.site`."""

from __future__ import annotations

import functools
import resource
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface.verify import verifyObject

from loki_twisted.web.access import AccessLog as Access
from loki_twisted.web.arrivals import parameters_in
from loki_twisted.web.gate import GatePolicy
from loki_twisted.web.limits import MOST_CONNECTIONS, Limits, limits_of_process
from loki_twisted.web.parameters import MOST_PARAMETERS
from loki_twisted.web.site import Request, Site
from tests.fakes_web import LOOPBACK, NEIGHBOUR, TOKEN, Connection, Server, request_bytes

LIVE = request_bytes("GET", "/health/live")


def test_it_is_what_twisted_expects() -> None:
    """A site makes protocols, and what they make of bytes are requests."""
    server = Server()
    assert verifyObject(IProtocolFactory, server.site)
    connection = server.connect()
    assert IRequest.providedBy(Request(connection.protocol))


@pytest.mark.threat("T36")
def test_http_2_is_not_offered() -> None:
    """None of the limits holds there."""
    assert Server().site.acceptableProtocols() == [b"http/1.1"]


def test_starting_and_stopping_leaves_nothing_behind() -> None:
    """Unlike Twisted's own site it runs no clock for an access log."""
    server = Server()
    server.site.doStart()
    assert server.clock.getDelayedCalls() == []
    server.site.doStop()


# Too many connections


@pytest.mark.threat("T21")
def test_too_many_connections_are_told_so() -> None:
    """Beyond the limit an answer comes at once, and the others are not disturbed."""
    server = Server(limits=Limits(connections=2))
    first, second = server.connect(), server.connect()
    third = server.connect()
    assert third.is_closed
    response = third.response()
    assert (response.status, response.code) == (503, "SERVICE_UNAVAILABLE")
    assert response.header("connection") == "close"
    assert response.header("retry-after") == "1"
    first.close()
    fourth = server.connect()
    for each in (second, fourth):
        each.send(LIVE)
        assert each.response().status == 200


def test_far_too_many_connections_are_cut() -> None:
    """Those that linger over their refusal are bounded too."""
    server = Server(limits=Limits(connections=-64))
    connection = server.connect()
    assert connection.is_closed
    assert connection.transport.value() == b""


def test_the_files_of_a_process_are_enough_for_so_many() -> None:
    """A fifth of the file descriptors is kept for other things."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 500), hard))
    try:
        assert limits_of_process() == Limits(connections=400, told=33)
        assert Site(Resource(), reactor=Clock()).limits == limits_of_process()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("soft", [64, 100, 128, 256, 1_024, 20_000])
def test_some_files_are_never_clients(soft: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few there are, the log, agents and those that are refused have theirs too."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    limits = limits_of_process()
    assert limits.connections >= 16
    assert limits.told >= 1
    assert soft < 128 or soft - limits.connections - limits.told >= 64


@pytest.mark.parametrize("soft", [resource.RLIM_INFINITY, 1_000_000])
def test_files_without_limit_give_some_limit(soft: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is not without end either."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert limits_of_process() == Limits(connections=MOST_CONNECTIONS)


class Sweeping(SynchronousTestCase):
    """The look at all connections, once a second."""

    def test_one_that_cannot_be_looked_at_disturbs_no_other(self) -> None:
        """Whatever is wrong with a connection, the deadlines of the others hold."""
        server = Server()
        broken, sound = server.connect(), server.connect()
        for connection in (broken, sound):
            connection.send(b"G")

        def fail(_: float) -> None:
            raise ValueError

        broken.protocol.check_deadline = fail
        server.clock.pump([1] * 12)
        assert sound.is_closed
        assert len(self.flushLoggedErrors(ValueError)) == 12
        broken.close()


# The end


def fired(waiting: Deferred[None]) -> bool:
    """Whether a Deferred has fired."""
    return bool(waiting.called)


def test_a_site_without_connections_is_drained() -> None:
    """There is nothing to wait for."""
    assert fired(Server().site.drain())


def test_a_site_with_idle_connections_is_drained_at_once() -> None:
    """They are closed, and nothing more is waited for."""
    server = Server()
    connections = [server.connect(), server.connect()]
    assert fired(server.site.drain())
    assert all(each.is_closed for each in connections)


def test_draining_waits_for_answers_that_are_under_way() -> None:
    """Idle connections are closed at once, the others after their answer, and then it is over."""
    server = Server()
    server.sessions.waiting = Deferred()
    idle, busy, begun = server.connect(), server.connect(), server.connect()
    idle.send(LIVE)
    busy.send(request_bytes("POST", "/api/sessions", body={}))
    begun.send(LIVE[:-2])
    drained = server.site.drain()
    assert idle.is_closed
    assert not busy.is_closed
    assert server.site.drain() is drained
    begun.send(b"\r\n")
    assert begun.is_closed
    assert begun.response().status == 200
    assert not fired(drained)
    server.sessions.waiting.callback(None)
    assert busy.response().status == 201
    assert busy.is_closed
    assert fired(drained)
    assert server.clock.getDelayedCalls() == []


POST = request_bytes("POST", "/api/sessions", body={})
BODY_AT = POST.index(b"\r\n\r\n") + 4


@pytest.mark.parametrize(
    "pieces",
    [
        [LIVE[:8]],
        [LIVE[:-2]],
        [POST[:BODY_AT]],
        [POST[: BODY_AT + 1]],
        [POST[: BODY_AT - 2], b"\r\n"],
    ],
)
@pytest.mark.parametrize("leaves", [True, False])
def test_draining_does_not_wait_for_the_rest_of_a_request(
    pieces: list[bytes], leaves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who does not send it in a moment is told so, and is cut unless it leaves."""
    server = Server()
    connection = server.connect()
    if not leaves:
        transport = connection.transport
        monkeypatch.setattr(transport, "abortConnection", transport.loseConnection)
        monkeypatch.setattr(transport, "loseConnection", lambda: None)
    first, *rest = pieces
    connection.send(first)
    drained = server.site.drain()
    for piece in rest:
        connection.send(piece)
    assert not connection.is_closed

    server.clock.pump([0.5] * int(2 * (server.site.limits.linger_seconds + 1)))

    assert fired(drained)
    assert connection.response().code == "REQUEST_TIMEOUT"
    assert server.clock.getDelayedCalls() == []


def test_an_answer_that_is_begun_while_draining_takes_its_time() -> None:
    """The rest of a request came in time, so it is carried out however long that takes."""
    server = Server()
    server.sessions.waiting = Deferred()
    connection = server.connect()
    connection.send(POST[:BODY_AT])
    drained = server.site.drain()
    connection.send(POST[BODY_AT:])
    server.clock.pump([0.5] * 40)
    assert not fired(drained)

    server.sessions.waiting.callback(None)

    assert connection.response().status == 201
    assert fired(drained)


# The access log


class AccessLog(SynchronousTestCase):
    """What is written down of a request."""

    def lines(self, *actions: Callable[[], Any]) -> list[str]:
        """Do something; gives what was logged of it at debug level."""
        with capturedLogs() as events:
            for action in actions:
                action()
        return [
            event["log_format"].format(**event)
            for event in events
            if event["log_level"] is LogLevel.debug
        ]

    @pytest.mark.threat("T12")
    def test_each_request_is_logged_without_what_is_secret(self) -> None:
        """Method, path, status, size, time and id; neither query nor header nor body."""
        server = Server(GatePolicy(debug=True))
        secret = f"/api/events?token={TOKEN}&types=task:*"
        headers = {"X-Request-ID": "mine", "Authorization": f"Bearer {TOKEN}"}
        (line,) = self.lines(lambda: server.ask("GET", secret, headers=headers))
        assert line.startswith("127.0.0.1 GET /api/events 401 ")
        assert line.endswith(" 0ms mine")
        assert TOKEN not in line

    def test_a_refused_request_is_logged_too(self) -> None:
        """Also one that never became a request, up to its query."""
        server = Server(GatePolicy(debug=True))
        data = f"POST /api/x?token={TOKEN} HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n".encode()
        (line,) = self.lines(lambda: server.connect().send(data))
        assert line.startswith("POST /api/x 413 ")
        assert TOKEN not in line
        (line,) = self.lines(lambda: server.connect().send(b"\xff\xfe?token\r\n"))
        assert " 400 " in line

    def test_a_client_that_leaves_is_logged(self) -> None:
        """A stream is logged when it ends, with what it has carried."""
        server = Server(GatePolicy(debug=True))
        connection = server.connect()
        opened = self.lines(lambda: connection.send(request_bytes("GET", "/api/events")))
        assert opened == []
        (line,) = self.lines(connection.close)
        assert line.startswith("127.0.0.1 GET /api/events 200 ")

    def test_it_is_kept_in_debug_mode_or_on_demand(self) -> None:
        """It costs time, so it is not kept for nobody."""
        for debug, wanted, kept in (
            (False, None, False),
            (True, None, True),
            (False, Access(), True),
        ):
            server = Server(GatePolicy(debug=debug))
            site = Site(server.api, reactor=server.clock, access=wanted)
            for data in (LIVE, b"nonsense\r\n"):
                send = functools.partial(Connection(site, LOOPBACK, NEIGHBOUR).send, data)
                assert bool(self.lines(send)) == kept


# Resources of others


class Broken(Resource):
    """A resource that fails."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        """Fail, after having begun if the path says so."""
        if request.path == b"/late":
            request.write(b"half an ans")
        raise ValueError("/secret/path")


class Arguments(Resource):
    """Remembers of each request how many arguments it has, and its target."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, bytes]] = []

    def render_GET(self, request: Request) -> bytes:
        """Remember one."""
        self.seen.append((len(request.args), request.uri))
        return b""


class Slow(Resource):
    """A resource that takes a body."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        """Give it back, and the names of what was taken for parameters."""
        return bytes(request.content.read()) + b"".join(request.args)


class OtherResources(SynchronousTestCase):
    """A site whose root is no API of ours."""

    def setUp(self) -> None:
        """Make one that fails."""
        self.site = Site(Broken(), reactor=Clock())

    def test_a_resource_that_fails_is_answered_in_our_envelope(self) -> None:
        """Nothing of the inside is told, and the log says more."""
        connection = Connection(self.site, LOOPBACK, NEIGHBOUR)
        connection.send(LIVE)
        response = connection.response()
        assert (response.status, response.code) == (500, "INTERNAL_ERROR")
        assert b"secret" not in response.body
        assert len(self.flushLoggedErrors(ValueError)) == 1

    def test_half_an_answer_is_cut(self) -> None:
        """What has begun as one answer does not end as another."""
        connection = Connection(self.site, LOOPBACK, NEIGHBOUR)
        connection.send(request_bytes("GET", "/late"))
        assert connection.is_closed
        assert b"INTERNAL_ERROR" not in connection.transport.value()
        assert b"0\r\n\r\n" not in connection.transport.value()
        assert len(self.flushLoggedErrors(ValueError)) == 1

    def test_bodies_are_bounded_there_too(self) -> None:
        """The limits are the site's, whatever it serves."""
        site = Site(Slow(), reactor=Clock(), limits=Limits(body_bytes=4))
        connection = Connection(site, LOOPBACK, NEIGHBOUR)
        connection.send(request_bytes("POST", "/", body=b"1234"))
        assert connection.response().body == b"1234"
        connection.send(request_bytes("POST", "/", body=b"12345"))
        assert connection.responses()[-1].code == "PAYLOAD_TOO_LARGE"

    @pytest.mark.threat("T22")
    def test_forms_are_not_parsed(self) -> None:
        """A form is a body like any other: nothing takes it apart before it is asked for."""
        site = Site(Slow(), reactor=Clock())
        connection = Connection(site, LOOPBACK, NEIGHBOUR)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.send(request_bytes("POST", "/", body=b"a=1", headers=form))
        assert connection.response().body == b"a=1"

    @pytest.mark.threat("T22")
    def test_a_query_of_very_many_parameters_is_not_taken_apart(self) -> None:
        """Neither by Twisted nor by the gate: it costs milliseconds, and anybody may send it."""
        for most, taken in ((MOST_PARAMETERS, MOST_PARAMETERS), (MOST_PARAMETERS + 1, 0)):
            query = "&".join(f"{number}=x" for number in range(most))
            root = Arguments()
            connection = Connection(Site(root, reactor=Clock()), LOOPBACK, NEIGHBOUR)
            connection.send(request_bytes("GET", f"/?{query}"))
            assert connection.response().status == 200
            assert root.seen == [(taken, f"/?{query}".encode())]
            assert len(parameters_in(f"/?{query}".encode())) == taken


# Over real sockets, where closing takes its turns


class Client(Protocol):
    """
    Sends something, and collects what comes until the other side closes.

    :ivar begun: Fires with the first bytes that come.
    :ivar over: Fires with all of them at the end.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.received = b""
        self.begun: Deferred[None] = Deferred()
        self.over: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        """Send."""
        assert self.transport is not None
        self.transport.write(self.data)

    def dataReceived(self, data: bytes) -> None:
        """Collect."""
        self.received += data
        if not self.begun.called:
            self.begun.callback(None)

    def connectionLost(self, reason: object = None) -> None:
        """Give what came."""
        self.over.callback(self.received)


@pytest.fixture
def listening() -> Iterator[Any]:
    """A site that takes one connection, and a way to connect to it."""
    from twisted.internet import reactor

    site = Site(Server().api, reactor=reactor, limits=Limits(connections=1))  # type: ignore[arg-type]  # it is one
    port = reactor.listenTCP(0, site, interface="127.0.0.1")  # type: ignore[attr-defined]  # it is one

    def connect(data: bytes) -> Client:
        client = Client(data)
        factory = ClientFactory.forProtocol(lambda: client)  # type: ignore[arg-type]  # makes one
        reactor.connectTCP("127.0.0.1", port.getHost().port, factory)  # type: ignore[attr-defined]  # it is one
        return client

    async def end() -> None:
        await port.stopListening()
        await site.drain()

    yield site, connect
    pytest_twisted.blockon(Deferred.fromCoroutine(end()))


@pytest_twisted.ensureDeferred
async def test_a_refused_client_reads_why_though_it_sends_on(listening: Any) -> None:
    """The refusal of a body that is still being sent arrives whole."""
    _, connect = listening
    head = request_bytes("POST", "/api/sessions", headers={"Content-Length": "9000000"})
    received = await connect(head + b"x" * 3_000_000).over
    assert received.startswith(b"HTTP/1.1 413 ")
    assert received.endswith(b"}")


@pytest_twisted.ensureDeferred
async def test_too_many_connections_over_sockets(listening: Any) -> None:
    """The second connection is told and closed, the first goes on until the site is drained."""
    site, connect = listening
    first = connect(LIVE)
    await first.begun
    second = connect(LIVE)
    assert (await second.over).startswith(b"HTTP/1.1 503 ")
    assert first.received.startswith(b"HTTP/1.1 200 ")
    drained = site.drain()
    await first.over
    await drained


def test_a_resource_may_answer_later() -> None:
    """The usual way of Twisted works in this site as in any other."""

    class Later(Resource):
        isLeaf = True

        def render(self, request: Any) -> int:
            server.callLater(1, request.write, b"later")
            server.callLater(1, request.finish)
            return NOT_DONE_YET

    server = Clock()
    connection = Connection(Site(Later(), reactor=server), LOOPBACK, NEIGHBOUR)
    connection.send(LIVE)
    server.advance(1)
    assert b"later" in connection.response().body
    connection.close()
