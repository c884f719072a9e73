"""The client over sockets of every kind: TCP, TLS and UNIX, on any reactor."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.ssl import Certificate, PrivateCertificate, trustRootFromCertificates
from twisted.internet.task import Clock
from twisted.internet.utils import getProcessOutputAndValue
from twisted.web.resource import IResource
from twisted.web.server import Site

from loki_twisted import EventFilter, LokiClient, Service, Settings
from loki_twisted.client import ClientError, EventStream, ServerNotTrusted
from loki_twisted.client.connecting import Connecting, read_address
from loki_twisted.client.exchange import Exchange
from loki_twisted.client.source import ServerSource
from loki_twisted.model.filters import EVERYTHING
from loki_twisted.stream.hub import Hub
from loki_twisted.stream.states import State
from tests.agents_support import eventually
from tests.client_fakes import PlayedServer, frame
from tests.fakes_log import FakeLog
from tests.fakes_stream import Root, batch
from tests.proxies import Proxy
from tests.test_web_event_stream_sockets import over_tls, own_certificate

TOKEN = "a-token-of-this-test"
STATS = {
    "subscribers": 7,
    "historySize": 0,
    "oldestEventId": None,
    "newestEventId": None,
    "eventsPerSecond": 0.0,
    "lag": 0,
}


@attrs.define
class Place:
    """
    Serves resources on real sockets, and makes clients, which are closed with it.

    :ivar certificate: What the TLS ports show; it is for ``localhost``, and signs itself.
    """

    directory: Path
    key: PrivateCertificate
    certificate: Certificate
    ports: list[IListeningPort] = attrs.field(factory=list)
    clients: list[LokiClient] = attrs.field(factory=list)
    closing: list[Callable[[], object]] = attrs.field(factory=list)

    def tcp(self, resource: IResource) -> str:
        """Serve on TCP; gives the URL."""
        port = reactor.listenTCP(0, Site(resource), interface="127.0.0.1")
        self.ports.append(port)
        return f"http://127.0.0.1:{port.getHost().port}"

    def tls(self, resource: IResource) -> str:
        """Serve on TLS; gives the URL."""
        port = reactor.listenSSL(0, Site(resource), self.key.options(), interface="127.0.0.1")
        self.ports.append(port)
        return f"https://localhost:{port.getHost().port}"

    def unix(self, resource: IResource) -> str:
        """Serve on a UNIX socket; gives the URL."""
        path = self.directory / "s"
        self.ports.append(reactor.listenUNIX(str(path), Site(resource), wantPID=False))
        return f"unix:{path}"

    @property
    def trust_root(self) -> object:
        """Who trusts this trusts the certificate."""
        return trustRootFromCertificates([self.certificate])

    def client(self, url: str, token: str | None = None, *, trusts: bool = True) -> LokiClient:
        """Make a client that trusts the certificate, or only what the system trusts."""
        root = self.trust_root if trusts else None
        self.clients.append(LokiClient(url, token=token, reactor=reactor, trust_root=root))
        return self.clients[-1]

    async def close(self) -> None:
        """Close everything."""
        await gatherResults([client.close() for client in self.clients])
        for close in self.closing:
            await maybeDeferred(close)
        for port in self.ports:
            await maybeDeferred(port.stopListening)


@pytest_twisted.async_yield_fixture
async def place() -> AsyncIterator[Place]:
    """A place to serve at."""
    key, certificate = own_certificate()
    # Not pytest's directory, whose path leaves no room for the name of a UNIX socket.
    with tempfile.TemporaryDirectory() as directory:
        made = Place(Path(directory), key, certificate)
        yield made
        await made.close()


async def numbers(stream: EventStream, count: int) -> list[int]:
    """Take so many events; gives their numbers."""
    return [int((await stream.__anext__()).id.split("_")[1]) for _ in range(count)]


@over_tls
@pytest_twisted.ensureDeferred
async def test_the_same_over_every_socket(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TCP, TLS and a UNIX socket a client with the token does and sees the same."""
    monkeypatch.setenv("LOKI_DEMO_SPEED", "100")
    monkeypatch.setenv("LOKI_DEMO_TIMEOUT", "600")
    settings = Settings(loki_dir=str(place.directory), tokens=(TOKEN,))
    service = Service(settings, reactor, listening=False)
    service.startService()
    place.closing.append(service.stopService)
    await service.ready
    urls = [listen(service.resource) for listen in (place.tcp, place.tls, place.unix)]
    clients = [place.client(url, TOKEN) for url in urls]
    session = (await clients[0].start_session(provider="demo")).session_id

    async def watch(client: LokiClient) -> list[str]:
        ids = []
        async with client.events(EventFilter(session), "earliest") as stream:
            async for event in stream:
                ids += [event.id] if event.type != "heartbeat" else []
                if event.type == "input:requested":
                    with_answer.append((await client.get_session(session)).session.id)
                    if len(with_answer) == len(clients):
                        await client.give_input(session, "violet")
                if event.type == "session:completed":
                    return ids
        raise AssertionError("the stream ended")

    with_answer: list[str] = []
    seen = await gatherResults([Deferred.fromCoroutine(watch(client)) for client in clients])

    assert seen[0] == seen[1] == seen[2]
    assert with_answer == [session] * 3
    for url in urls:
        stranger = place.client(url, "another-token-of-it")
        for refusing in (stranger.status(), Deferred.fromCoroutine(stranger.events().__anext__())):
            with pytest.raises(ClientError) as refused:
                await refusing
            assert (refused.value.code, refused.value.status) == ("UNAUTHORIZED", 401)


@over_tls
@pytest_twisted.ensureDeferred
async def test_certificates_are_checked(place: Place) -> None:
    """Neither a certificate of nobody that is trusted is taken, nor one for another name."""
    url = place.tls(PlayedServer())
    strangers = [
        place.client(url, trusts=False),
        place.client(url.replace("localhost", "127.0.0.1")),
    ]
    for client in strangers:
        with pytest.raises(ServerNotTrusted, match="is not to be trusted"):
            await client.event_stats()
        # Coming back would not mend it.
        with pytest.raises(ServerNotTrusted):
            await client.events(after="earliest").__anext__()


@over_tls
@pytest.mark.parametrize("kind", ["tcp", "tls"])
@pytest_twisted.ensureDeferred
async def test_a_dead_connection_is_noticed(place: Place, kind: str) -> None:
    """A connection on which nothing comes any more, not even its end, is left for another."""
    served = PlayedServer()
    served.beginning = b"retry: 10\n\n" + frame(1)
    url = getattr(place, kind)(served)
    host, _, port = url.rpartition(":")
    proxy = Proxy(reactor, int(port))
    place.closing.append(proxy.close)
    address = read_address(f"{host}:{proxy.port}")
    connecting = Connecting(address, reactor, trust_root=place.trust_root)
    exchange = Exchange(address, None, reactor, 30.0)
    source = ServerSource(exchange, connecting.for_stream(), EVERYTHING, 0)
    stream = EventStream(source, reactor, after="earliest", idle_seconds=0.3)
    assert await numbers(stream, 1) == [1]

    proxy.freeze()
    served.beginning = frame(2)
    await eventually(lambda: len(proxy.halves) in (0, 4), "the client has hung up")
    proxy.thaw()

    assert await numbers(stream, 1) == [2]
    assert served.streams[-1].last_event_id == "evt_1_1000"
    await stream.aclose()


@over_tls
@pytest.mark.parametrize("kind", ["tcp", "tls", "unix"])
@pytest_twisted.ensureDeferred
async def test_who_does_not_take_is_not_live(place: Place, kind: str) -> None:
    """
    A consumer that stops is not read ahead for: the server's subscriber leaves the live round.

    When it takes again it gets everything, in order, and is live again.
    """
    log = FakeLog()
    hub = Hub(Clock(), log)
    url = getattr(place, kind)(Root(hub))
    place.closing.append(lambda: eventually(lambda: not hub.subscriber_count, "all are gone"))
    away = place.client(url).events(after="earliest")
    await eventually(lambda: hub.subscriber_count == 1, "it is served")
    (subscriber,) = hub._subscribers()
    while subscriber.state is not State.FULL:
        log.commit(batch(100, padding="x" * 1000))
        assert log.bounds.newest < 50_000
        await eventually(lambda: True, "the reactor has gone round")
    log.commit(batch(1000))
    assert subscriber not in subscriber.group.live
    assert sum(len(each.data) for each in away._ahead) < 300_000

    assert await numbers(away, log.bounds.newest) == list(range(1, log.bounds.newest + 1))
    await eventually(lambda: subscriber.state is State.LIVE, "it is live again")
    await away.aclose()


@over_tls
@pytest.mark.parametrize("kind", ["tcp", "tls", "unix"])
@pytest.mark.parametrize("name", ["asyncio", "asyncio-installed", "epoll", "poll", "select"])
@pytest_twisted.ensureDeferred
async def test_any_reactor(place: Place, name: str, kind: str) -> None:
    """A client that is given a reactor needs no other; one that is not takes the global one."""
    served = PlayedServer()
    served.beginning = frame(1) + frame(2) + frame(3)
    served.answers[("GET", "/api/events/stats")] = (200, STATS)
    url = getattr(place, kind)(served)
    certificate = place.directory / "certificate.pem"
    certificate.write_bytes(place.certificate.dumpPEM())
    program = Path(__file__).parent / "standins" / "watching.py"
    words = [str(program), name, "3", url, str(certificate)]
    said, errors, code = await getProcessOutputAndValue(
        sys.executable, words, env={"PYTHONPATH": str(program.parents[2])}, reactor=reactor
    )

    end = b"installed" if name == "asyncio-installed" else b"none installed"
    assert (code, said.splitlines()) == (0, [b"1", b"2", b"3", b"7", end]), errors.decode()
