"""The response that carries an event stream, in memory and on real sockets."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Callable
from hashlib import sha256

import pytest
import pytest_twisted
import treq
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    connectProtocol,
    wrapClientTLS,
)
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocol,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed
from twisted.web.resource import EncodingResourceWrapper, IResource, Resource
from twisted.web.server import NOT_DONE_YET, GzipEncoderFactory, Request, Site
from zope.interface.verify import verifyClass, verifyObject

from loki_twisted.model.errors import Unavailable
from loki_twisted.model.filters import EVERYTHING
from loki_twisted.stream.hub import Hub
from loki_twisted.stream.interface import ISink
from loki_twisted.stream.sse import GREETING, KEEP_ALIVE
from loki_twisted.web.event_stream import Chunks, EventStream, ResponseSink
from tests.fakes_log import START_MS, FakeLog
from tests.fakes_stream import batch, comments_of, named, numbers_of


class Root(Resource):
    """Answers as the routes do: parameters become a filter and a start, errors a status."""

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self.hub = hub
        self.before: Callable[[Request], object] = lambda request: None

    def render(self, request: Request) -> object:
        """Make the stream that the request asks for."""
        self.before(request)
        history = request.args.get(b"history", [b"0"])[0]
        asked = request.getHeader("last-event-id")
        stream = EventStream(self.hub, EVERYTHING, history=int(history), last_event_id=asked)
        try:
            return stream.render(request)
        except Unavailable:
            request.setResponseCode(503)
            return b"closing"


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
        assert self.body.startswith(GREETING)
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
        assert self.body == GREETING
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
        assert body == GREETING + block.body
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
        assert gzip.decompress(dechunked(body)).startswith(GREETING + block.body)

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


class Client(Protocol):
    """
    Asks for a stream on a connection of its own, and keeps what comes.

    :ivar ended: Fires when the connection is gone.
    """

    def __init__(self, version: bytes = b"1.1", headers: bytes = b"", reads: bool = True) -> None:
        self.request = b"GET / HTTP/%b\r\nHost: localhost\r\n%b\r\n" % (version, headers)
        self.reads = reads
        self.raw: list[bytes] = []
        self.ended: Deferred[None] = Deferred()

    def connectionMade(self) -> None:  # noqa: N802  # Twisted's name
        if not self.reads:
            carrier = getattr(self.transport, "transport", self.transport)  # under TLS, if any
            carrier.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.transport.write(self.request)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
        self.raw.append(data)

    def connectionLost(self, reason: object = None) -> None:  # noqa: N802  # Twisted's name
        self.ended.callback(None)

    def ends_with(self, text: bytes) -> bool:
        """Whether the last bytes are those of a whole chunk that has a text near its end."""
        last = b"".join(self.raw[-50:])[-3000:]
        return last.endswith(b"\n\n\r\n") and text in last

    @property
    def body(self) -> bytes:
        """The stream without its headers and chunks."""
        head, _, body = b"".join(self.raw).partition(b"\r\n\r\n")
        return dechunked(body) if b"chunked" in head.lower() else body


def dechunked(body: bytes) -> bytes:
    """Take the whole chunks out of a body; fail if anything but a part of one is left."""
    data, position = [], 0
    while (end := body.find(b"\r\n", position)) >= 0:
        length = int(body[position:end], 16)
        chunk = body[end + 2 : end + 2 + length]
        position = end + 2 + length + 2
        if position > len(body):
            break
        assert body[position - 2 : position] == b"\r\n"
        data.append(chunk)
    return b"".join(data)


def own_certificate() -> tuple[PrivateCertificate, Certificate]:
    """Make a key, and a certificate for localhost that it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    return PrivateCertificate.loadPEM(pem + public), Certificate.loadPEM(public)


# Twisted hands pyOpenSSL its own objects, which newer releases of it would rather not have.
over_tls = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")


class Rig:
    """
    Streams on real sockets, and their clients.

    The hub's clock is the test's, so that no time passes unless the test says so.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.log = FakeLog()
        self.clock = Clock()
        self.hub = Hub(self.clock, self.log)
        self.ports: list[IListeningPort] = []
        self.clients: list[Client] = []
        self.troubles: list[LogEvent] = []
        self.site = Site(Root(self.hub))
        globalLogPublisher.addObserver(self.observe)

    def observe(self, event: LogEvent) -> None:
        """Note what is logged as trouble."""
        if event["log_level"] >= LogLevel.error:
            self.troubles.append(event)

    async def close(self) -> None:
        """Close everything, and see that nothing is left and nothing went wrong unseen."""
        for client in self.clients:
            if not client.ended.called:
                client.transport.abortConnection()
                await client.ended
        for port in self.ports:
            await port.stopListening()
        await self.until(lambda: not self.hub.subscriber_count)
        globalLogPublisher.removeObserver(self.observe)
        assert self.clock.getDelayedCalls() == []
        assert self.troubles == []

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so."""
        while not condition():
            await deferLater(reactor, 0.005)

    async def listen(self, endpoint: IStreamServerEndpoint) -> IListeningPort:
        """Serve streams."""
        port = await endpoint.listen(self.site)
        self.ports.append(port)
        return port

    async def connect(self, endpoint: IStreamClientEndpoint, client: Client) -> Client:
        """Open a stream, and wait until it is served."""
        count = self.hub.subscriber_count
        await connectProtocol(endpoint, client)
        self.clients.append(client)
        await self.until(lambda: self.hub.subscriber_count > count)
        if not client.reads:
            client.transport.pauseProducing()
            # The system would take megabytes for it.
            carrier = self.hub._subscribers()[-1]._sink._bottom
            carrier.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        return client

    def held(self) -> list[int]:
        """How many bytes the transport of each subscriber holds."""
        return [each._sink.progress().held for each in self.hub._subscribers()]

    async def tls(self) -> IStreamClientEndpoint:
        """Serve streams over TLS."""
        private, public = own_certificate()
        port = await self.listen(
            SSL4ServerEndpoint(reactor, 0, private.options(), interface="127.0.0.1")
        )
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        return wrapClientTLS(optionsForClientTLS("localhost", public), endpoint)

    async def tcp(self) -> TCP4ClientEndpoint:
        """Serve streams over TCP."""
        port = await self.listen(TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"))
        return TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)


@pytest_twisted.async_yield_fixture
async def rig() -> AsyncIterator[Rig]:
    """Streams on real sockets."""
    # Not pytest's directory, whose path leaves no room for the name of a UNIX socket.
    with tempfile.TemporaryDirectory() as path:
        made = Rig(path)
        yield made
        await made.close()


@over_tls
@pytest_twisted.ensureDeferred
async def test_all_ways_give_the_same(rig: Rig) -> None:
    """Over TCP, HTTP/1.0, TLS and a UNIX socket, clients get the same stream to its end."""
    tcp = await rig.tcp()
    tls = await rig.tls()
    path = f"{rig.path}/socket"
    await rig.listen(UNIXServerEndpoint(reactor, path))
    unix = UNIXClientEndpoint(reactor, path)
    resume = b"Last-Event-ID: earliest\r\n"

    rig.log.commit(batch(500, padding="é" * 1000))
    clients = [
        await rig.connect(endpoint, Client(version, resume))
        for endpoint in (tcp, tls, unix)
        for version in (b"1.1", b"1.0")
    ]
    for size in (1, 1000, 300, 2):
        rig.log.commit(batch(size, padding="x" * 1000))
        await deferLater(reactor, 0)
    events = rig.log.bounds.newest
    await rig.until(lambda: rig.hub.lag() == 0)
    closed = rig.hub.close()
    await rig.until(lambda: rig.clock.advance(0.02) or not rig.hub.subscriber_count)
    await closed
    for client in clients:
        await client.ended
    body = clients[0].body
    # Digests, because pytest would compare megabytes line by line.
    digest = sha256(body).digest()
    assert [sha256(client.body).digest() == digest for client in clients] == [True] * 6
    assert numbers_of(body) == list(range(1, events + 1))
    assert body.endswith(b'data: {"lastEventId":"evt_%d_%d"}\n\n' % (events, START_MS))
    for client in clients[::2]:
        assert client.raw[-1].endswith(b"0\r\n\r\n")


@over_tls
@pytest_twisted.ensureDeferred
async def test_full_under_tls(rig: Rig) -> None:
    """Over TLS too, what the client does not take is noticed, and all of it comes later."""
    endpoint = await rig.tls()
    client = await rig.connect(endpoint, Client(reads=False))
    for _ in range(100):
        rig.log.commit(batch(100, padding="x" * 800))
        await deferLater(reactor, 0)
    assert rig.hub.lag() > 0
    assert 0 < rig.held()[0] < 1024 * 1024
    client.transport.resumeProducing()
    await rig.until(lambda: client.ends_with(b"id: evt_10000_"))
    assert numbers_of(client.body) == list(range(1, 10_001))


@pytest_twisted.ensureDeferred
async def test_straight_to_the_socket(rig: Rig) -> None:
    """Over plain TCP a client has an event before the reactor does anything else."""
    endpoint = await rig.tcp()
    client = await rig.connect(endpoint, Client())
    await rig.until(lambda: client.body == GREETING)
    (block,) = rig.log.commit(batch(3))
    received = client.transport.getHandle().recv(100_000)
    assert dechunked(received) == block.body
    client.raw.append(received)
    # What the socket has no room for comes later, in order.
    rig.log.commit(*[batch(100, padding="x" * 1000) for _ in range(100)])
    rig.log.commit(batch(1))
    assert rig.held()[0] > 100_000
    await rig.until(lambda: client.ends_with(b"id: evt_10004_"))
    await rig.until(lambda: rig.held() == [0])
    assert numbers_of(client.body) == list(range(1, 10_005))


@pytest_twisted.ensureDeferred
async def test_what_is_held_goes_first(rig: Rig) -> None:
    """While the transport holds something, nothing overtakes it on its way to the socket."""
    endpoint = await rig.tcp()
    client = await rig.connect(endpoint, Client(reads=False))
    handle = client.transport.getHandle()
    carrier = rig.hub._subscribers()[0]._sink._bottom
    # Until the reactor has tried to send what was held, and could send a part of it.
    while not carrier.dataBuffer or carrier._tempDataLen:
        while rig.held()[0] < 50_000:
            rig.log.commit(batch(10, padding="x" * 1000))
        client.raw.append(handle.recv(20_000))
        await deferLater(reactor, 0.005)
    assert rig.hub.lag() == 0
    # Now the socket has room before the reactor sees it.
    with contextlib.suppress(BlockingIOError):
        while True:
            client.raw.append(handle.recv(1_000_000))
    rig.log.commit(batch(1))
    client.transport.resumeProducing()
    newest = rig.log.bounds.newest
    await rig.until(lambda: client.ends_with(b"id: evt_%d_" % newest) and not rig.held()[0])
    assert numbers_of(client.body) == list(range(1, newest + 1))


@pytest_twisted.ensureDeferred
async def test_a_connection_that_broke_unnoticed(rig: Rig) -> None:
    """Writing to a connection that is gone is the end of a subscription, and no trouble."""
    await rig.tcp()
    with socket.create_connection(("127.0.0.1", rig.ports[0].getHost().port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await rig.until(lambda: rig.hub.subscriber_count and not rig.held()[0])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    rig.log.commit(batch(1))
    rig.log.commit(batch(1))
    await rig.until(lambda: not rig.hub.subscriber_count)


@pytest_twisted.ensureDeferred
async def test_disconnect_of_the_full(rig: Rig) -> None:
    """When a client is gone, so is its subscription, also if it was full."""
    endpoint = await rig.tcp()
    idle = await rig.connect(endpoint, Client())
    full = await rig.connect(endpoint, Client(reads=False))
    rig.log.commit(*[batch(100, padding="x" * 1000) for _ in range(100)])
    assert rig.hub.lag() > 0
    for client in (full, idle):
        client.transport.abortConnection()
    await rig.until(lambda: rig.hub.subscriber_count == 0)


@pytest_twisted.ensureDeferred
async def test_those_who_never_read(rig: Rig) -> None:
    """
    Clients that read nothing cost a bounded piece of memory each and disturb nobody.

    When one begins to read, it gets everything in order, once. The others are cut.
    """
    endpoint = await rig.tcp()
    healthy = [await rig.connect(endpoint, Client()) for _ in range(2)]
    stuck = [await rig.connect(endpoint, Client(reads=False)) for _ in range(20)]
    for _ in range(100):
        rig.log.commit(batch(100, padding="x" * 800))
        await deferLater(reactor, 0)
    assert sum(len(block.body) for block in rig.log._blocks) > 10_000_000
    await rig.until(lambda: all(each.ends_with(b"id: evt_10000_") for each in healthy))
    for client in healthy:
        assert numbers_of(client.body) == list(range(1, 10_001))
    assert rig.hub.lag() > 0
    assert rig.held()[:2] == [0, 0]
    assert all(0 < held < 512 * 1024 for held in rig.held()[2:])
    late = stuck.pop()
    late.transport.resumeProducing()
    await rig.until(lambda: late.ends_with(b"id: evt_10000_"))
    assert numbers_of(late.body) == list(range(1, 10_001))

    for _ in range(25):
        rig.clock.advance(3)
        await deferLater(reactor, 0)
    await rig.until(lambda: rig.hub.subscriber_count == 3)
    for client in (*healthy, late):
        await rig.until(lambda client=client: client.ends_with(KEEP_ALIVE))


@pytest_twisted.ensureDeferred
async def test_coming_back(rig: Rig) -> None:
    """A client whose connections break at any byte gets everything once, by the last id."""
    endpoint = await rig.tcp()
    got: list[int] = []
    for round_ in range(15):
        headers = b"Last-Event-ID: evt_%d_%d\r\n" % (got[-1], START_MS) if got else b""
        client = Client(headers=headers)
        await rig.connect(endpoint, client)
        for _ in range(4):
            rig.log.commit(batch(7, padding="x" * (round_ * 97)))
        await rig.until(lambda client=client: numbers_of(client.body))
        client.transport.abortConnection()
        await client.ended
        await rig.until(lambda: not rig.hub.subscriber_count)
        got += numbers_of(client.body)
    assert got == list(range(1, len(got) + 1))
