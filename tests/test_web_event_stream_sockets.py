"""The response that carries an event stream, on real sockets: TCP, TLS and UNIX."""

from __future__ import annotations

import contextlib
import datetime
import re
import select
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Callable
from hashlib import sha256

import pytest
import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
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
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS
from twisted.internet.task import Clock, deferLater
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from twisted.web.server import Site

from loki_twisted.stream.hub import Hub
from loki_twisted.stream.sse import KEEP_ALIVE
from tests.fakes_log import START_MS, FakeLog
from tests.fakes_stream import Root, batch, begun, dechunked, numbers_of


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


def own_certificate() -> tuple[PrivateCertificate, Certificate]:
    """Make a key, and a certificate for localhost that it signs itself."""
    key, certificate = own_pem()
    return PrivateCertificate.loadPEM(key + certificate), Certificate.loadPEM(certificate)


def own_pem() -> tuple[bytes, bytes]:
    """Make both, as they stand in files."""
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
    return pem, certificate.public_bytes(serialization.Encoding.PEM)


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
    # When each shall come back is its own.
    body, *others = (re.sub(rb"retry: \d+\n\nevent: stream:bye", b"bye", c.body) for c in clients)
    # Digests, because pytest would compare megabytes line by line.
    digest = sha256(body).digest()
    assert [sha256(other).digest() == digest for other in others] == [True] * 5
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
    await rig.until(lambda: client.body == begun())
    (block,) = rig.log.commit(batch(3))
    handle = client.transport.getHandle()
    select.select([handle], [], [], 10)  # nothing runs meanwhile but the system
    received = handle.recv(100_000)
    assert dechunked(received) == block.body
    client.raw.append(received)
    # What the socket has no room for comes later, in order.
    rig.log.commit(*[batch(100, padding="x" * 1000) for _ in range(100)])
    rig.log.commit(batch(1))
    assert rig.held()[0] > 0
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
    carrier.SEND_LIMIT = 10_000  # the system may take all that is held at once, or may not
    # Until the reactor has sent a part of what was held.
    while not carrier.dataBuffer or carrier._tempDataLen:
        while rig.held()[0] < 50_000:
            rig.log.commit(batch(10, padding="x" * 1000))
        with contextlib.suppress(BlockingIOError):
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
    assert all(0 < held < 256 * 1024 for held in rig.held()[2:])
    late = stuck.pop()
    late.transport.resumeProducing()
    await rig.until(lambda: late.ends_with(b"id: evt_10000_"))
    assert numbers_of(late.body) == list(range(1, 10_001))

    while rig.hub.subscriber_count > 3:
        rig.clock.advance(3)
        await deferLater(reactor, 0.005)
    assert rig.hub.subscriber_count == 3
    place = KEEP_ALIVE + b"id: evt_10000_%d\n\n" % START_MS
    for client in (*healthy, late):
        await rig.until(lambda client=client: client.ends_with(place))


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
