"""Tests of :mod:`loki_twisted.web.entrance`: the API in a site of somebody else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request
from twisted.web.server import Site as ForeignSite
from zope.interface import implementer
from zope.interface.verify import verifyObject

from loki_twisted.web.gate import GatePolicy
from loki_twisted.web.neighbours import Neighbours
from loki_twisted.web.site import Site
from tests.fakes_web import (
    LOOPBACK,
    NEIGHBOUR,
    PUBLIC,
    SOCKET_FILE,
    STRANGER,
    TOKEN,
    WITH_TOKEN,
    Connection,
    FakeSessions,
    Response,
    Server,
    entrance_of,
    request_bytes,
    session,
)
from tests.test_web_channel import check_common_headers


class NeighboursTests(SynchronousTestCase):
    """Whose process is at the other end."""

    def setUp(self) -> None:
        """Count how often it is asked."""
        self.asked: list[object] = []
        self.neighbours = Neighbours(self.check)

    def check(self, here: object, peer: object) -> bool:
        """Say yes, and note it."""
        self.asked.append((here, peer))
        return True

    def test_a_connection_is_asked_about_once(self) -> None:
        """Its other end stays who it is, so the kernel is not asked for each request."""
        one, two = Clock(), Clock()
        for connection in (one, one, two, one):
            assert self.neighbours.is_our_user(connection, LOOPBACK, NEIGHBOUR)
        assert self.asked == [(("127.0.0.1", 57374), ("127.0.0.1", 40000))] * 2

    def test_what_is_known_is_forgotten_with_its_connection(self) -> None:
        """Another connection with the same ports may be somebody else's."""
        self.neighbours.is_our_user(Clock(), LOOPBACK, NEIGHBOUR)
        assert len(self.neighbours._known) == 0

    def test_a_unix_socket_is_not_asked_about(self) -> None:
        """Who may connect to it is decided by its permissions."""
        assert self.neighbours.is_our_user(Clock(), SOCKET_FILE, UNIXAddress(None))
        assert self.asked == []

    def test_the_kernel_is_asked_for_each_connection(self) -> None:
        """Through the whole server: once a connection, and not for who shows a token."""
        server = Server()
        connection = server.connect()
        connection.send(request_bytes("GET", "/api/status") * 3)
        assert len(server.asked) == 1
        server.our_user = False
        connection.send(request_bytes("GET", "/api/status"))
        assert [each.status for each in connection.responses()] == [200] * 4
        assert server.ask("GET", "/api/status").status == 401
        server.ask("GET", "/health/live")
        assert len(server.asked) == 2


@implementer(IResource)
class Failing:
    """A resource that fails with its own words."""

    isLeaf = True  # noqa: N815  # Twisted's name

    def render(self, request: IRequest) -> bytes:
        """Fail."""
        raise ValueError("/secret/path")

    def getChildWithDefault(self, name: bytes, request: IRequest) -> IResource:  # noqa: N802  # Twisted's name
        """Have no children."""
        raise AssertionError

    def putChild(self, path: bytes, child: IResource) -> None:  # noqa: N802  # Twisted's name
        """Take no children."""
        raise AssertionError


class EntranceTests(SynchronousTestCase):
    """The gate as a resource."""

    def test_it_is_a_resource(self) -> None:
        """It can be mounted wherever Twisted mounts one."""
        assert verifyObject(IResource, Failing())
        assert verifyObject(IResource, Server().api)
        assert Server().api.isLeaf

    def test_a_resource_behind_it_that_fails_is_answered(self) -> None:
        """Whatever goes wrong behind the gate, the answer is ours."""
        clock = Clock()
        for debug in (False, True):
            policy = GatePolicy(auth_required=False, debug=debug)
            site = Site(entrance_of(Failing(), policy, clock), reactor=clock)
            connection = Connection(site, LOOPBACK, NEIGHBOUR)
            connection.send(request_bytes("GET", "/x"))
            response = connection.response()
            assert (response.status, response.code) == (500, "INTERNAL_ERROR")
            assert (b"secret" in response.body) == debug
            assert len(self.flushLoggedErrors(ValueError)) == 1

    @pytest.mark.threat("T8")
    def test_the_ends_of_the_connection_decide(self) -> None:
        """What somebody has changed in the request on its way does not make it local."""
        server = Server()
        seen: list[Request] = []

        class Changing(Resource):
            """Claims that the request came from here."""

            def getChild(self, name: bytes, request: Request) -> Any:  # noqa: N802  # Twisted's name
                """Change it."""
                request.setHost(b"localhost", 57374)
                request.client = request.host = NEIGHBOUR
                request.postpath = [b"api", b"status"]
                seen.append(request)
                return server.api

        connection = Connection(ForeignSite(Changing(), reactor=Clock()), PUBLIC, STRANGER)
        connection.send(request_bytes("GET", "/api/status"))
        assert connection.response().status == 401
        assert len(seen) == 1

    @pytest.mark.threat("T9")
    def test_a_client_behind_a_proxy_on_this_machine_is_not_local(self) -> None:
        """A proxy that names its client by the PROXY protocol is believed."""
        server = Server()
        site = HAProxyWrappingFactory(server.site)
        for source, status in ((b"198.51.100.7", 401), (b"127.0.0.1", 200)):
            connection = Connection(site, LOOPBACK, NEIGHBOUR)
            connection.send(b"PROXY TCP4 " + source + b" 127.0.0.1 40000 57374\r\n")
            connection.send(request_bytes("GET", "/api/status"))
            assert connection.response().status == status

    def test_a_stream_while_nothing_is_served(self) -> None:
        """Who wants an event stream is given an empty one: a browser never returns from a 503."""
        server = Server()
        server.vitals.closed = "The server is shutting down."
        response = server.ask("GET", "/api/events", headers={"Accept": "text/event-stream"})
        assert response.status == 200
        check_common_headers(response)
        assert response.header("content-type") == "text/event-stream"
        assert response.body == b": The server is shutting down.\n\nretry: 2000\n\n"
        assert server.hub.subscriber_count == 0
        for target, accept in (("/api/events", "*/*"), ("/api/status", "text/event-stream")):
            response = server.ask("GET", target, headers={"Accept": accept})
            assert (response.status, response.code) == (503, "SERVICE_UNAVAILABLE")
            assert response.header("retry-after") == "1"


class ForeignTests(SynchronousTestCase):
    """The API as a child of a foreign resource, in a foreign site."""

    def setUp(self) -> None:
        """Mount it beside something else."""
        self.server = Server(sessions=FakeSessions([session("session_1_aaaaaaaa")]))
        self.root = Resource()
        self.root.putChild(b"loki", self.server.api)
        self.site = ForeignSite(self.root, reactor=Clock())

    def ask(
        self, method: str, target: str, *, peer: Any = NEIGHBOUR, **more: Any
    ) -> tuple[Response, Connection]:
        """Ask the foreign site."""
        connection = Connection(self.site, LOOPBACK, peer)
        connection.send(request_bytes(method, target, **more))
        return connection.response(), connection

    def test_paths_begin_where_it_is_mounted(self) -> None:
        """Fixed ones, ones with variables, and those that are not there."""
        for path, status in (
            ("/health/live", 200),
            ("/api/status", 200),
            ("/api/sessions/session_1_aaaaaaaa", 200),
            ("/api/sessions/session_9_aaaaaaaa", 404),
            ("/openapi.json", 200),
            ("/nope", 404),
            ("/loki/health/live", 404),
        ):
            response, connection = self.ask("GET", f"/loki{path}")
            assert response.status == status, path
            check_common_headers(response)
            connection.close()

    def test_the_page_is_there_too(self) -> None:
        """At the end of a slash, to which whoever leaves it out is led: its files lie beside it."""
        response, _ = self.ask("GET", "/loki/")
        assert (response.status, response.header("content-type")) == (
            200,
            "text/html; charset=utf-8",
        )
        response, _ = self.ask("GET", "/loki/page/main.js")
        assert response.status == 200
        response, _ = self.ask("GET", "/loki")
        assert (response.status, response.header("location")) == (308, "loki/")

    def test_orders_are_given_there_too(self) -> None:
        """With a body, as in our own site."""
        response, _ = self.ask("POST", "/loki/api/sessions", body={"provider": "claude"})
        assert (response.status, response.json["status"]) == (201, "starting")
        response, _ = self.ask("POST", "/loki/api/sessions/session_1_aaaaaaaa/stop")
        assert response.json["status"] == "stopping"
        response, _ = self.ask("GET", "/loki/api/sessions/session_1_aaaaaaaa/stop")
        assert response.header("allow") == "POST"

    def test_a_stream_is_carried_there_too(self) -> None:
        """It begins, and ends when its client leaves."""
        response, connection = self.ask("GET", "/loki/api/events")
        assert response.header("content-type") == "text/event-stream"
        assert self.server.hub.subscriber_count == 1
        connection.close()
        assert self.server.hub.subscriber_count == 0

    def test_the_gate_is_the_same(self) -> None:
        """Neither a foreign host, nor a page, nor a stranger comes in; a probe does."""
        for headers, status in (({"Host": "evil"}, 421), ({"Origin": "http://evil"}, 403)):
            assert self.ask("GET", "/loki/health/live", headers=headers)[0].status == status
        assert self.ask("GET", "/loki/api/status", peer=STRANGER)[0].status == 401
        assert self.ask("GET", "/loki/health/ready", peer=STRANGER)[0].status == 200
        assert self.ask("GET", "/loki/x/health/ready", peer=STRANGER)[0].status == 401

    def test_odd_paths_are_refused_and_the_connection_closed(self) -> None:
        """What the foreign site has let through is looked at as it was sent."""
        for target in ("/loki//api/status", "/loki/api/%2e%2e/status", "/loki/%ff", "/loki/a%2fb"):
            response, connection = self.ask("GET", target)
            assert (response.status, response.code) == (400, "BAD_REQUEST")
            assert response.header("connection") == "close"
            assert connection.is_closed

    def test_a_long_body_is_refused(self) -> None:
        """The foreign site has taken it; it goes no further."""
        response, _ = self.ask("POST", "/loki/api/sessions", body=b" " * 1_048_577)
        assert (response.status, response.code) == (413, "PAYLOAD_TOO_LARGE")

    @pytest.mark.threat("T1")
    def test_a_form_starts_nothing(self) -> None:
        """The foreign site may have parsed it; for us it is of the wrong type."""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        response, _ = self.ask("POST", "/loki/api/sessions", body=b"a=1", headers=form)
        assert (response.status, response.code) == (415, "UNSUPPORTED_MEDIA_TYPE")
        assert self.server.sessions.orders == []

    def test_through_treq(self) -> None:
        """A client library understands all of it."""
        agent = RequestTraversalAgent(self.root)
        client = HTTPClient(agent)
        answered: Deferred[Any] = client.get("http://localhost/loki/health/live")
        agent.flush()
        response = self.successResultOf(answered)
        assert response.code == 200
        assert self.successResultOf(response.json()) == {"alive": True, "uptime": 93_784_000}

    def test_two_of_them_in_one_process(self) -> None:
        """They share nothing."""
        other = Server(WITH_TOKEN)
        self.root.putChild(b"other", other.api)
        assert self.ask("GET", "/loki/api/status")[0].status == 200
        assert self.ask("GET", "/other/api/status")[0].status == 401
        right = {"X-API-Key": TOKEN}
        assert self.ask("GET", "/other/api/sessions", headers=right)[0].json["total"] == 0
        assert self.ask("GET", "/loki/api/sessions")[0].json["total"] == 1

    def test_the_answer_of_a_post_without_length(self) -> None:
        """A body in chunks, which the foreign site keeps in a file, is read like any other."""
        connection = Connection(self.site, LOOPBACK, NEIGHBOUR)
        head = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
        data = request_bytes("POST", "/loki/api/sessions", headers=head)
        body = json.dumps({"queue": True}).encode()
        connection.send(data + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        assert connection.response().json["status"] == "queued"
