"""The client against the real server through a network that breaks at any byte."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from urllib.parse import urlencode

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from loki_twisted import Event, EventFilter, LokiClient
from loki_twisted.client import EventStream, reconnecting
from tests.agents_support import eventually
from tests.history import history
from tests.proxies import Proxy, random_patience
from tests.system import Server
from tests.test_system_sessions import HERE, install_runner

FILTERS = (
    EventFilter(),
    EventFilter.of(types=["log:error", "session:*"]),
    EventFilter.of(min_level="error"),
)
ENDS = {"session:completed", "session:failed"}


def start_counting(server: Server, home: Path, until: int | Path, pause: float) -> None:
    """Let an agent of the server print so many lines, or until there is a file."""
    program = HERE / "standins" / "counting.py"
    install_runner(home, f"exec '{sys.executable}' '{program}' '{until}' {pause} 0")
    server.start()


class Reader:
    """
    Reads events up to the end of a session.

    :ivar events: All but heartbeats.
    :ivar end: Fires at the end.

    :param stays: Begins a stream of its own after so many events, at the place of the last.
    """

    def __init__(self, client: LokiClient, wanted: EventFilter, stays: int = 1_000_000) -> None:
        self.client = client
        self.wanted = wanted
        self.stays = stays
        self.events: list[Event] = []
        self.end = Deferred.fromCoroutine(self._read())

    async def _read(self) -> None:
        place: str | None = "earliest"
        while not self.events or self.events[-1].type not in ENDS:
            async with self.client.events(self.wanted, place) as stream:
                await self._take(stream)
                place = stream.last_event_id

    async def _take(self, stream: EventStream) -> None:
        async for event in stream:
            if event.type == "heartbeat":
                continue
            self.events.append(event)
            if event.type in ENDS or not len(self.events) % self.stays:
                return

    async def has_read(self, count: int) -> None:
        """Wait until there are so many more events, or the end."""
        wanted = len(self.events) + count
        await eventually(lambda: len(self.events) >= wanted or self.end.called, "it reads on", 60)


def all_of(server: Server, wanted: EventFilter) -> list[str]:
    """The ids of all events that a filter wants, as the history has them."""
    return [told.id for told in history(server, urlencode(wanted.as_parameters()))]


def counted_by(reader: Reader) -> list[int]:
    """The numbers that the agent has counted, as a reader saw them."""
    lines = [event.data["message"] for event in reader.events if event.type == "log:info"]
    return [int(line.removeprefix("count ")) for line in lines]


@pytest.mark.promise("R5")
@pytest.mark.timeout(1800)
@pytest_twisted.ensureDeferred
async def test_breaks_at_any_byte(
    tmp_path: Path, is_full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whatever breaks, each reader gets each event that it wants once, in order, while they happen.

    Connections break after a random number of bytes, most of them within a frame.
    """
    monkeypatch.setattr(reconnecting, "LEAST_PAUSE_SECONDS", 0.0)  # or there are few breaks
    lines, pause = (30_000, 0.004) if is_full else (700, 0.002)
    with Server(tmp_path) as server:
        proxies = [
            Proxy(reactor, server.port, random_patience(Random(seed), most), retry_ms=5)
            for seed, most in enumerate((8_000, 2_000, 2_500))
        ]
        clients = [LokiClient(proxy.url, reactor=reactor) for proxy in proxies]
        try:
            start_counting(server, tmp_path, lines, pause)
            readers = [
                Reader(client, wanted, stays=101)
                for client, wanted in zip(clients, FILTERS, strict=True)
            ]
            await gatherResults([reader.end for reader in readers])
        finally:
            await gatherResults([client.close() for client in clients])
            for proxy in proxies:
                await proxy.close()
        for reader in readers:
            assert [event.id for event in reader.events] == all_of(server, reader.wanted)
        assert counted_by(readers[0]) == list(range(1, lines + 1))
        cuts = [proxy.cut for proxy in proxies]
        print(f"{len(readers[0].events)} events, connections broken: {cuts}")  # noqa: T201  # for -s
        assert min(cuts) > (500 if is_full else 10)
        assert server.stop() == 0


@pytest.mark.promise("R6")
@pytest.mark.timeout(1800)
@pytest_twisted.ensureDeferred
async def test_restarts(tmp_path: Path, is_full: bool) -> None:
    """
    Over clean ends of the server and crashes, each reader gets each event once, in order.

    The next server has the same port. One reader waits as long as the server says before it
    comes back, the others are more eager, and are there before the server.
    """
    restarts = 50 if is_full else 3
    stop = tmp_path / "enough"
    server = await deferToThread(Server, tmp_path)
    port = server.port
    proxy = Proxy(reactor, port, retry_ms=20)
    direct, eager = (LokiClient(url, reactor=reactor) for url in (server.base, proxy.url))
    try:
        start_counting(server, tmp_path, stop, 0.01)
        readers = [Reader(direct, FILTERS[0]), *(Reader(eager, wanted) for wanted in FILTERS)]
        for number in range(restarts):
            await gatherResults([Deferred.fromCoroutine(each.has_read(7)) for each in readers])
            if number % 2:
                await deferToThread(server.kill)
            else:
                assert await deferToThread(server.stop) == 0
            server = await deferToThread(Server, tmp_path, "--port", str(port))
            assert server.port == port
        stop.touch()
        await gatherResults([reader.end for reader in readers])
        for reader in readers:
            assert [event.id for event in reader.events] == all_of(server, reader.wanted)
        counted = counted_by(readers[0])
        assert counted == list(range(1, len(counted) + 1))
        print(f"{len(readers[0].events)} events, {restarts} restarts")  # noqa: T201  # for -s
    finally:
        await gatherResults([direct.close(), eager.close()])
        await proxy.close()
        server.kill()
