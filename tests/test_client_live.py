"""The client over real sockets: broken connections, restarts, and consumers that are slow."""

from __future__ import annotations

import random
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IPushProducer
from twisted.internet.unix import Client
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface import implementer

from loki_twisted.client import EventStream, LokiClient, ServerUnreachable, reconnecting
from tests.client_fakes import frame

EVENTS = 400


class Live(Resource):
    """Answers that it lives."""

    isLeaf = True  # noqa: N815  # Twisted's name

    def render_GET(self, request: Request) -> bytes:  # noqa: N802  # Twisted's name
        """Answer."""
        return b'{"alive": true, "uptime": 1}'


class Replay(Resource):
    """
    A stream of a fixed number of events that begins behind the Last-Event-ID.

    :param cuts: Gives whether to cut the connection within the next event.
    """

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self, cuts: Any) -> None:
        super().__init__()
        self.cuts = cuts
        self.connections = 0

    def render_GET(self, request: Request) -> int:  # noqa: N802  # Twisted's name
        """Send the rest, or up to a cut."""
        self.connections += 1
        request.setHeader("content-type", "text/event-stream")
        request.write(b"retry: 1\n\n")
        asked = request.getHeader("last-event-id") or "earliest"
        first = 1 if asked == "earliest" else int(asked.split("_")[1]) + 1
        for seq in range(first, EVENTS + 1):
            whole = frame(seq)
            if self.cuts():
                request.write(whole[: len(whole) // 2])
                request.transport.loseConnection()
                break
            request.write(whole)
        return NOT_DONE_YET


@implementer(IPushProducer)
class Flood(Resource):
    """A stream that sends as fast as it is let, to an end that is far away."""

    isLeaf = True  # noqa: N815  # Twisted's name
    most = 150_000

    def __init__(self) -> None:
        super().__init__()
        self.held_back: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()
        self.sent = 0
        self.flowing = True

    def render_GET(self, request: Request) -> int:  # noqa: N802  # Twisted's name
        """Begin to send."""
        request.setHeader("content-type", "text/event-stream")
        request.notifyFinish().addBoth(lambda _: self.gone.callback(None))
        self.request = request
        request.registerProducer(self, streaming=True)
        self.send()
        return NOT_DONE_YET

    def send(self) -> None:
        """Send until held back."""
        while self.flowing and self.sent < self.most:
            self.sent += 1
            self.request.write(frame(self.sent, message="x" * 200))

    def pauseProducing(self) -> None:  # noqa: N802  # Twisted's name
        """The client does not read."""
        self.flowing = False
        if not self.held_back.called:
            self.held_back.callback(None)

    def resumeProducing(self) -> None:  # noqa: N802  # Twisted's name
        """It reads again."""
        self.flowing = True
        self.send()

    def stopProducing(self) -> None:  # noqa: N802  # Twisted's name
        """It is gone."""
        self.flowing = False


class Place:
    """
    A server on a unix socket, and clients of it.

    :param path: Of the socket.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.ports: list[IListeningPort] = []
        self.clients: list[LokiClient] = []

    def listen(self, events: Resource) -> IListeningPort:
        """Serve a stream."""
        root, api, health = Resource(), Resource(), Resource()
        root.putChild(b"api", api)
        root.putChild(b"health", health)
        api.putChild(b"events", events)
        health.putChild(b"live", Live())
        self.ports.append(reactor.listenUNIX(self.path, Site(root), wantPID=False))
        return self.ports[-1]

    def client(self, url: str | None = None) -> LokiClient:
        """Make a client, of this server if no other is named."""
        self.clients.append(LokiClient(url or f"unix:{self.path}", reactor=reactor))
        return self.clients[-1]

    async def close(self) -> None:
        """Close everything."""
        for client in self.clients:
            await client.close()
        for port in self.ports:
            await maybeDeferred(port.stopListening)


@pytest.fixture
def place() -> Iterator[Place]:
    """A place; after the test no connection of its clients and no delayed call is left."""
    before = set(reactor.getDelayedCalls())
    directory = Path(mkdtemp(prefix="loki-"))
    place = Place(str(directory / "s"))
    yield place
    pytest_twisted.blockon(Deferred.fromCoroutine(place.close()))
    shutil.rmtree(directory)
    sockets = [each for each in reactor.getReaders() if isinstance(each, Client)]
    assert sockets == []
    ours = [call for call in reactor.getDelayedCalls() if "addTimeout" in str(call)]
    assert set(ours) - before == set()


async def take(stream: EventStream, count: int) -> list[int]:
    """Take so many events; gives their numbers."""
    return [int((await stream.__anext__()).id.split("_")[1]) for _ in range(count)]


@pytest_twisted.ensureDeferred
async def test_cuts_lose_and_double_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over dozens of connections that break within an event, each comes once and in order."""
    monkeypatch.setattr(reconnecting, "LEAST_PAUSE_SECONDS", 0.0)  # or it takes a minute
    chance = random.Random(11)
    replay = Replay(lambda: chance.random() < 0.1)
    place.listen(replay)

    taken = await take(place.client().events(after="earliest"), EVENTS)

    assert taken == list(range(1, EVENTS + 1))
    assert replay.connections > 10


@pytest_twisted.ensureDeferred
async def test_a_restart_loses_nothing(place: Place) -> None:
    """The stream waits for a server that is down, and goes on where it was."""
    seen = 0

    def middle() -> bool:
        nonlocal seen
        seen += 1
        return seen == EVENTS // 2

    port = place.listen(Replay(middle))
    stream = place.client().events(after="earliest")
    first = await take(stream, EVENTS // 2 - 1)
    await maybeDeferred(port.stopListening)
    waiting = Deferred.fromCoroutine(take(stream, EVENTS // 2))
    assert not waiting.called
    place.listen(Replay(lambda: False))

    assert first + await waiting == list(range(1, EVENTS))


@pytest_twisted.ensureDeferred
async def test_a_slow_consumer_holds_the_server_back(place: Place) -> None:
    """What nobody takes is not read; later all of it comes, in order."""
    flood = Flood()
    place.listen(flood)
    client = place.client()
    stream = client.events(after="earliest")
    await flood.held_back
    sent_before = -1
    while sent_before < flood.sent < flood.most:
        sent_before = flood.sent
        for _ in range(20):
            assert (await client.live()).alive
    assert flood.sent < flood.most

    taken = await take(stream, 3000)
    assert taken == list(range(1, 3001))

    await client.close()
    await flood.gone


@pytest_twisted.ensureDeferred
async def test_many_requests(place: Place) -> None:
    """Requests may be asked at once or one after another."""
    place.listen(Live())
    client = place.client()
    at_once = await gatherResults([client.live() for _ in range(20)])
    one_by_one = [await client.live() for _ in range(20)]

    assert all(answer.alive for answer in at_once + one_by_one)


@pytest_twisted.ensureDeferred
async def test_nobody_listens(place: Place) -> None:
    """Where no server is, that is said, with its address."""
    with pytest.raises(ServerUnreachable, match=place.path):
        await place.client().live()

    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{placeholder.getsockname()[1]}"
        with pytest.raises(ServerUnreachable, match=address):
            await place.client(f"http://{address}").live()


@pytest_twisted.ensureDeferred
async def test_tcp(place: Place) -> None:
    """A server on a TCP port is reached by its URL."""
    port = reactor.listenTCP(0, Site(Live()), interface="127.0.0.1")
    place.ports.append(port)

    assert (await place.client(f"http://127.0.0.1:{port.getHost().port}").live()).alive
