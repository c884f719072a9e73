"""
The client can be stopped at any point of its life, and leaves nothing open.

What is looked at is the process: its sockets, the delayed calls of the reactor, its threads.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor, tcp
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate, trustRootFromCertificates

from loki_twisted import Event, LokiClient
from loki_twisted.client import EventStream
from tests.agents_support import eventually
from tests.client_fakes import frame
from tests.test_web_event_stream_sockets import over_tls, own_certificate

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
REFUSAL = b"HTTP/1.1 503 Busy\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
LIFE = b'{"alive": true, "uptime": 12}'
LIVE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(LIFE),
    LIFE,
)
WHOLE = HEAD[:-2] + b"Content-Length: %d\r\n\r\n%b" % (len(frame(1)), frame(1))
FLOOD = HEAD + b"".join(frame(number, message="x" * 1000) for number in range(1, 5000))


class Answer(Protocol):
    """Says its lines when it is asked something, and no more."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def connectionMade(self) -> None:  # noqa: N802  # Twisted's name
        self.server.open.add(self)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
        self.server.asked += 1
        self.transport.write(self.server.lines)
        if self.server.is_stubborn:
            self.transport.pauseProducing()
        if self.server.ends:
            self.transport.loseConnection()

    def connectionLost(self, reason: object = None) -> None:  # noqa: N802  # Twisted's name
        self.server.open.discard(self)


class Server:
    """
    A server that says the same to everybody.

    :ivar lines: What it says.
    :ivar ends: Whether it closes the connection then.
    :ivar is_stubborn: Whether it reads no more then, not even that the client hangs up.
    """

    def __init__(self) -> None:
        self.lines = b""
        self.ends = False
        self.is_stubborn = False
        self.asked = 0
        self.open: set[Answer] = set()
        self.ports: list[IListeningPort] = []

    def listen(self, key: PrivateCertificate | None = None) -> str:
        """Listen, with a key over TLS; gives the URL."""
        factory = Factory.forProtocol(lambda: Answer(self))
        interface = "127.0.0.1"
        self.ports.append(
            reactor.listenTCP(0, factory, interface=interface)
            if key is None
            else reactor.listenSSL(0, factory, key.options(), interface=interface)
        )
        host = "http://127.0.0.1" if key is None else "https://localhost"
        return f"{host}:{self.ports[-1].getHost().port}"

    def client(self, is_tls: bool = False) -> LokiClient:
        """Listen, and make a client for that."""
        if not is_tls:
            return LokiClient(self.listen(), reactor=reactor)
        key, certificate = own_certificate()
        root = trustRootFromCertificates([certificate])
        return LokiClient(self.listen(key), reactor=reactor, trust_root=root)

    def read_on(self) -> None:
        """Be stubborn no more."""
        for answer in list(self.open):
            answer.transport.resumeProducing()

    async def is_left_with(self, before: Left) -> None:
        """See that a client has left nothing, neither here nor with us."""
        assert client_is_gone(before)
        await eventually(lambda: not self.open, "the client has hung up")
        # A look-up of a name that nobody waits for any more may have a socket for a moment.
        await eventually(lambda: left().since(before) == NOTHING, "nothing is left")

    async def close(self) -> None:
        """Listen no more."""
        for port in self.ports:
            await port.stopListening()


def sockets() -> set[str]:
    """The sockets of this process."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{name}"))
    return {link for link in found if link.startswith("socket:")}


@attrs.frozen
class Left:
    """All that a client might leave behind."""

    sockets: set[str]
    calls: set[IDelayedCall]
    threads: set[threading.Thread]
    clients: set[tcp.Client]

    def since(self, before: Left) -> Left:
        """What is new. What is gone is no matter of the client's."""
        return Left(
            self.sockets - before.sockets,
            self.calls - before.calls,
            self.threads - before.threads,
            self.clients - before.clients,
        )


NOTHING = Left(set(), set(), set(), set())


def left() -> Left:
    """What there is now."""
    # Those that look up names for the reactor are its own, and stay.
    threads = {each for each in threading.enumerate() if "reactor" not in each.name}
    clients = {each for each in reactor.getReaders() if isinstance(each, tcp.Client)}
    return Left(sockets(), set(reactor.getDelayedCalls()), threads, clients)


def client_is_gone(before: Left) -> bool:
    """Whether nothing new is left but, perhaps, the server's sides of connections."""
    return attrs.evolve(left().since(before), sockets=set()) == NOTHING


@pytest_twisted.async_yield_fixture
async def server() -> AsyncIterator[Server]:
    """A server."""
    made = Server()
    yield made
    await made.close()


class Consumer:
    """
    Takes events.

    :ivar taken: So many so far.
    :ivar end: Fires when there are no more.

    :param stops_at: Closes the stream at this event.
    """

    def __init__(self, stream: EventStream, stops_at: int = 0) -> None:
        self.taken = 0
        self.stream = stream
        self.stops_at = stops_at
        self.end = Deferred.fromCoroutine(self._take())

    async def _take(self) -> None:
        async for _ in self.stream:
            self.taken += 1
            if self.taken == self.stops_at:
                await self.stream.aclose()


Moment = Callable[[Server, EventStream], Awaitable[object]]


async def at_once(server: Server, stream: EventStream) -> None:
    """Before anything has happened."""


async def asked(server: Server, stream: EventStream) -> None:
    """When the server has been asked."""
    await eventually(lambda: server.asked, "the server is asked")


async def reading(server: Server, stream: EventStream) -> None:
    """When an event was taken, and the consumer waits for the next."""
    consumer = Consumer(stream)
    await eventually(lambda: consumer.taken, "an event is taken")


async def held_back(server: Server, stream: EventStream) -> None:
    """When events are there, and nobody takes them."""
    await eventually(lambda: stream._ahead and stream._body._held_back, "it is held back")


async def pausing(server: Server, stream: EventStream) -> None:
    """When it waits before it comes back."""
    await eventually(lambda: stream._failures, "a connection has failed")


async def full(server: Server, stream: EventStream) -> None:
    """When the connection has ended, but not all was taken, so that there is no next one."""
    stream._retry_seconds = 0
    await eventually(lambda: stream._taken, "it waits for the consumer")


MOMENTS: dict[str, tuple[Moment, bytes, bool, str | None]] = {
    "at once": (at_once, b"", False, "earliest"),
    "at once, from now on": (at_once, b"", False, None),
    "the place is asked for": (asked, b"", False, None),
    "half a place": (asked, LIVE[:-9], False, None),
    "no answer": (asked, b"", False, "earliest"),
    "half a head": (asked, HEAD[:-4], False, "earliest"),
    "half a refusal": (asked, REFUSAL, False, "earliest"),
    "the stream is silent": (asked, HEAD, False, "earliest"),
    "the consumer waits": (reading, HEAD + frame(1), False, "earliest"),
    "within a frame": (reading, HEAD + frame(1) + frame(2)[:50], False, "earliest"),
    "the consumer is away": (held_back, HEAD + frame(1), False, "earliest"),
    "the consumer is away from a flood": (held_back, FLOOD, False, "earliest"),
    "before it comes back": (pausing, HEAD, True, "earliest"),
    "before all of the last connection is taken": (full, WHOLE, True, "earliest"),
    "before it asks again": (pausing, b"", True, "earliest"),
}
"""When it is stopped, what the server has said then, whether it has hung up, where to begin."""


@over_tls
@pytest.mark.parametrize("is_tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest_twisted.ensureDeferred
async def test_stopping(server: Server, moment: str, is_tls: bool) -> None:
    """A stream that is closed has closed everything when it says so, without the server's help."""
    reached, server.lines, server.ends, after = MOMENTS[moment]
    client = server.client(is_tls)
    before = left()
    stream = client.events(after=after)
    await reached(server, stream)

    await stream.aclose()
    await server.is_left_with(before)


@pytest_twisted.ensureDeferred
async def test_stopping_before_the_connection() -> None:
    """A stream is closed as well while the system of the other side does not answer at all."""
    with socket.socket() as crowded:
        # One waits to be accepted, and there is no room for another.
        crowded.bind(("127.0.0.1", 0))
        crowded.listen(0)
        address = crowded.getsockname()
        with socket.create_connection(address):
            client = LokiClient(f"http://127.0.0.1:{address[1]}", reactor=reactor)
            before = left()
            stream = client.events(after="earliest")
            await eventually(lambda: sockets() - before.sockets, "it connects")

            await stream.aclose()
            assert left().since(before) == NOTHING


@pytest_twisted.ensureDeferred
async def test_stopping_before_tls(server: Server) -> None:
    """A stream is closed as well while the other side does not answer to TLS."""
    url = server.listen().replace("http://", "https://")
    client = LokiClient(url, reactor=reactor)
    before = left()
    stream = client.events(after="earliest")
    await asked(server, stream)

    await stream.aclose()
    await server.is_left_with(before)


@over_tls
@pytest.mark.parametrize("is_tls", [False, True], ids=["tcp", "tls"])
@pytest_twisted.ensureDeferred
async def test_stopping_from_within(server: Server, is_tls: bool) -> None:
    """A consumer may close its stream at any event, also at the first, that comes with the head."""
    server.lines = HEAD + frame(1) + frame(2) + frame(3)
    client = server.client(is_tls)
    before = left()
    for event in (1, 2, 3):
        consumer = Consumer(client.events(after="earliest"), stops_at=event)
        await consumer.end
        assert consumer.taken == event
        await server.is_left_with(before)


@pytest.mark.parametrize("waits", [False, True], ids=["and goes on", "and waits"])
@pytest_twisted.ensureDeferred
async def test_unsubscribing_from_within(server: Server, waits: bool) -> None:
    """A callback may unsubscribe itself, whether it waits for the end of that or not."""
    server.lines = FLOOD
    client = server.client()
    before = left()
    seen: list[str] = []
    done: Deferred[None] = Deferred()

    async def callback(event: Event) -> None:
        seen.append(event.id)
        unsubscribing = unsubscribe()
        if waits:
            await unsubscribing
        done.callback(None)

    unsubscribe = client.subscribe(callback, after="earliest")
    await done
    await unsubscribe()
    await server.is_left_with(before)
    assert seen == ["evt_1_1000"]


@over_tls
@pytest.mark.parametrize("is_tls", [False, True], ids=["tcp", "tls"])
@pytest_twisted.ensureDeferred
async def test_closing_the_client(server: Server, is_tls: bool) -> None:
    """
    A client that is closed ends its streams, cancels its questions, and closes all connections.

    That is so too if the server is dead by then, and will never agree to the end of TLS.
    """
    server.lines = HEAD + frame(1)
    client = server.client(is_tls)
    before = left()
    streams = [Consumer(client.events(after="earliest")) for _ in range(3)]
    await eventually(lambda: all(each.taken for each in streams), "the streams are there")
    server.lines = LIVE
    assert (await client.live()).alive
    server.lines = b""
    asked = server.asked
    answers = [client.live() for _ in range(3)]
    await eventually(lambda: server.asked == asked + 3, "the questions are asked")
    server.lines = LIVE
    await client.live()
    for connection in server.open:
        connection.transport.pauseProducing()

    await client.close()
    assert client_is_gone(before)
    for answer in answers:
        with pytest.raises(CancelledError):
            await answer
    for connection in server.open:
        connection.transport.resumeProducing()
    await server.is_left_with(before)
    await gatherResults([each.end for each in streams])
