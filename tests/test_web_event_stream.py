"""The response that carries an event stream, behind Twisted's own server, in memory."""

from __future__ import annotations

import gzip

import treq
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.interfaces import (
    IProtocol,
)
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed
from twisted.web.resource import EncodingResourceWrapper, IResource, Resource
from twisted.web.server import NOT_DONE_YET, GzipEncoderFactory, Request, Site
from zope.interface.verify import verifyClass, verifyObject

from loki_twisted.model.filters import EVERYTHING
from loki_twisted.stream.hub import Hub
from loki_twisted.stream.interface import ISink
from loki_twisted.web.event_stream import Chunks, EventStream, ResponseSink
from tests.fakes_log import START_MS, FakeLog
from tests.fakes_stream import Root, batch, begun, comments_of, dechunked, named, numbers_of


class InMemoryTests(SynchronousTestCase):
    """The resource behind Twisted's own server and client, without a socket."""

    def setUp(self) -> None:
        self.log = FakeLog()
        self.clock = Clock()
        self.hub = Hub(self.clock, self.log)
        self.root = Root(self.hub)
        self.agent = RequestTraversalAgent(self.root)
        self.http = HTTPClient(self.agent)
        self.received: list[bytes] = []

    def open(self, query: str = "", **headers: str) -> treq.response._Response:
        """Open a stream; what it carries is collected."""
        response = self.successResultOf(
            self.http.get(f"http://127.0.0.1/{query}", unbuffered=True, headers=headers)
        )
        self.collected = treq.collect(response, self.received.append)
        self.agent.flush()
        return response

    def connect(self, resource: IResource) -> tuple[IProtocol, StringTransport]:
        """Make a connection to a server of a resource, to write to it what a client would."""
        # With a clock of its own, because it waits for the next request.
        channel = Site(resource, reactor=MemoryReactorClock()).buildProtocol(None)
        transport = StringTransport()
        channel.makeConnection(transport)
        return channel, transport

    @property
    def body(self) -> bytes:
        """What the client has of the stream."""
        self.agent.flush()
        return b"".join(self.received)

    def test_interfaces(self) -> None:
        """The stream is a resource, and its response a sink for a subscriber."""
        verifyObject(IResource, EventStream(self.hub, EVERYTHING))
        verifyClass(ISink, ResponseSink)

    def test_headers(self) -> None:
        """The headers keep caches and proxies away from the stream."""
        response = self.open()
        assert response.code == 200
        headers = response.headers
        assert headers.getRawHeaders("content-type") == ["text/event-stream"]
        assert headers.getRawHeaders("cache-control") == ["no-cache, no-transform"]
        assert headers.getRawHeaders("x-accel-buffering") == ["no"]

    def test_stream(self) -> None:
        """A stream greets, tells the history that was asked for, and what happens."""
        self.log.commit(batch(3))
        self.open("?history=2")
        assert self.body.startswith(begun(f"evt_1_{START_MS}"))
        assert numbers_of(self.body) == [2, 3]
        assert comments_of(self.body)[-1] == "end of history"
        self.log.commit(batch(2))
        assert numbers_of(self.body) == [2, 3, 4, 5]

    def test_resume(self) -> None:
        """A client that comes back goes on where it was, whatever history it asks for."""
        self.log.commit(batch(9))
        self.open("?history=2", **{"Last-Event-ID": f"evt_4_{START_MS}"})
        assert numbers_of(self.body) == [5, 6, 7, 8, 9]
        assert "end of history" not in comments_of(self.body)

    def test_head(self) -> None:
        """HEAD answers the headers and begins no stream, however long the client stays."""
        channel, transport = self.connect(self.root)
        channel.dataReceived(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        head, *answers = transport.value().split(b"HTTP/1.1 200 OK\r\n")
        assert head == b""
        assert len(answers) == 2
        for answer in answers:
            assert b"Content-Type: text/event-stream\r\n" in answer
            assert answer.endswith(b"\r\n\r\n")
        assert self.hub.subscriber_count == 0

    def test_disconnect(self) -> None:
        """When the client leaves, its subscription ends at once."""
        response = self.open()
        assert self.hub.subscriber_count == 1
        response.original._transport.stopProducing()
        self.agent.flush()
        assert self.hub.subscriber_count == 0
        self.log.commit(batch(1))
        self.failureResultOf(self.collected)

    def test_bye(self) -> None:
        """The end of the server is the clean end of the response."""
        self.open()
        self.log.commit(batch(1))
        closed = self.hub.close()
        assert named(self.body, "stream:bye") == [{"lastEventId": f"evt_1_{START_MS}"}]
        self.successResultOf(self.collected)
        self.clock.advance(1)
        self.successResultOf(closed)

    def test_closing(self) -> None:
        """While the server ends, a request is refused before anything is written."""
        self.hub.close()
        response = self.successResultOf(self.http.get("http://127.0.0.1/"))
        assert response.code == 503
        assert response.headers.getRawHeaders("x-accel-buffering") is None

    def test_late_trouble(self) -> None:
        """Trouble after the stream began breaks the connection off, rather than ending it well."""
        self.log.commit(batch(1))
        self.hub = self.root.hub = Hub(self.clock, self.log)
        self.log.holding = True
        self.open(**{"Last-Event-ID": "earliest"})
        self.log.fail(ZeroDivisionError("disk"))
        assert self.body == begun()
        self.failureResultOf(self.collected, ResponseFailed)
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1
        assert self.hub.subscriber_count == 0

    def test_trouble_at_the_beginning(self) -> None:
        """A stream that cannot begin is broken off, reported, and leaves no subscription."""
        self.root.before = lambda request: request.registerProducer(object(), True)
        answered = self.http.get("http://127.0.0.1/", unbuffered=True)
        self.agent.flush()
        self.failureResultOf(answered)
        assert len(self.flushLoggedErrors(ValueError)) == 1
        assert self.hub.subscriber_count == 0

    def test_who_left_before(self) -> None:
        """A client that left before its request was answered gets no subscription."""
        requests: list[Request] = []

        class Late(Resource):
            def render(self, request: Request) -> int:
                requests.append(request)
                return NOT_DONE_YET

        late = Resource()
        late.putChild(b"", Late())
        channel, transport = self.connect(late)
        channel.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        channel.connectionLost(Failure(ConnectionError()))
        assert EventStream(self.hub, EVERYTHING).render(requests[0]) == NOT_DONE_YET
        assert self.hub.subscriber_count == 0
        assert transport.value() == b""

    def test_http_1_0(self) -> None:
        """A client of HTTP/1.0 gets the stream as it is, until the connection ends."""
        channel, transport = self.connect(self.root)
        channel.dataReceived(b"GET / HTTP/1.0\r\n\r\n")
        (block,) = self.log.commit(batch(2))
        head, _, body = transport.value().partition(b"\r\n\r\n")
        assert b"chunked" not in head.lower()
        assert body == begun() + block.body
        self.hub.close()
        assert transport.disconnecting
        self.clock.advance(1)

    def test_behind_an_encoder(self) -> None:
        """Where a program that mounts us compresses what it sends, the stream is compressed too."""
        encoding = EncodingResourceWrapper(self.root, [GzipEncoderFactory()])
        channel, transport = self.connect(encoding)
        channel.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
        (block,) = self.log.commit(batch(2))
        self.hub.close()
        self.clock.advance(1)
        _, _, body = transport.value().partition(b"\r\n\r\n")
        assert gzip.decompress(dechunked(body)).startswith(begun() + block.body)

    def test_access_log(self) -> None:
        """What was sent is counted for the access log, whichever way it was written."""
        requests: list[Request] = []
        self.root.before = requests.append
        self.open()
        self.log.commit(batch(2))
        assert requests[0].sentLength == len(self.body)


def test_chunks() -> None:
    """Bytes that are sent to many are put into a chunk once; other bytes get their own."""
    chunks = Chunks()
    data, other = b"x" * 300, b"y"
    first = chunks.of(data)
    assert first == b"12c\r\n" + data + b"\r\n"
    assert chunks.of(data) is first
    assert chunks.of(other) == b"1\r\ny\r\n"
    assert chunks.of(data) == first
