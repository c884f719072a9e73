"""
Clients that take a long answer slowly, or not at all, over real sockets.

The bytes flow as the kernel lets them, and the time is the test's.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from loki_twisted.log.interface import Batch
from loki_twisted.model.events import Fact
from loki_twisted.stream.patience import PATIENCE
from loki_twisted.web.limits import Limits
from tests.fakes_web import AT_MS, Server, request_bytes

TIMEOUT = 30
PATIENCE_SECONDS = PATIENCE.stall_seconds
PART = 24 * 1024
"""Much more than the client's kernel keeps for it, so the server's has to give some of it away."""


class Slow:
    """
    A server with events of 64 kB, and a client whose kernel takes next to nothing for it.

    :ivar here: The server. Its clock moves only by :meth:`wait`.
    """

    def __init__(self, send_buffer: int) -> None:
        self.here = Server(limits=Limits(idle_seconds=PATIENCE_SECONDS))
        for number in range(100):
            facts = [Fact("log:info", {"n": number, "message": "x" * 64_000})]
            self.here.log.append(Batch(session_id="s", at_ms=AT_MS, facts=facts))
        self._port = reactor.listenTCP(0, self.here.site, interface="127.0.0.1")  # type: ignore[attr-defined]  # it is one
        self._port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self._client = socket.socket()
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._client.settimeout(TIMEOUT)

    async def ask(self, target: str, **headers: str) -> None:
        """Connect and ask."""
        await deferToThread(self._client.connect, ("127.0.0.1", self._port.getHost().port))
        self._client.sendall(request_bytes("GET", target, headers=headers))

    async def take(self, count: int) -> bytes:
        """Take so many bytes, or what comes until the server cuts the connection."""
        return await deferToThread(self._take, count)

    def _take(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            try:
                part = self._client.recv(count - len(taken))
            except ConnectionResetError:
                part = b""
            if not part:
                break
            taken += part
        return taken

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.here.clock.pump([1] * int(seconds))

    async def end(self) -> None:
        """Leave, and close everything."""
        self._client.close()
        await self._port.stopListening()
        await self.here.site.drain()


@pytest.fixture
def slow(request: pytest.FixtureRequest) -> Iterator[Slow]:
    made = Slow(request.param)
    yield made
    pytest_twisted.blockon(Deferred.fromCoroutine(made.end()))


large_send_buffer = pytest.mark.parametrize("slow", [212_992], indirect=True)
small_send_buffer = pytest.mark.parametrize("slow", [4096], indirect=True)


@large_send_buffer
@pytest_twisted.ensureDeferred
async def test_a_list_that_is_taken_slowly_but_steadily(slow: Slow) -> None:
    """
    It is not cut, though the kernel takes nothing from the server for minutes, because it still
    has much; when its client takes nothing any more, it is.
    """
    await slow.ask("/api/events/history?limit=100")
    assert (await slow.take(PART)).startswith(b"HTTP/1.1 200")
    for _ in range(5):
        slow.wait(PATIENCE_SECONDS - 10)
        assert len(await slow.take(PART)) == PART
    assert len(slow.here.lists) == 1

    slow.wait(PATIENCE_SECONDS + 15)

    assert len(await slow.take(10**7)) < 10**6
    assert len(slow.here.lists) == 0


@large_send_buffer
@pytest_twisted.ensureDeferred
async def test_a_stream_that_is_taken_slowly_but_steadily(slow: Slow) -> None:
    """A reader is cut only when it takes nothing, not when its kernel's buffer is full."""
    await slow.ask("/api/events?lastEventId=earliest")
    assert (await slow.take(PART)).startswith(b"HTTP/1.1 200")
    for _ in range(5):
        slow.wait(PATIENCE_SECONDS - 10)
        assert len(await slow.take(PART)) == PART
    assert slow.here.hub.subscriber_count == 1

    slow.wait(PATIENCE_SECONDS + 20)

    assert len(await slow.take(10**7)) < 10**6
    assert slow.here.hub.subscriber_count == 0


@small_send_buffer
@pytest_twisted.ensureDeferred
async def test_the_end_of_an_answer_that_is_taken_slowly(slow: Slow) -> None:
    """An answer that was handed over whole is not cut as long as its client takes some of it."""
    await slow.ask("/api/events/history?limit=2")
    taken = await slow.take(PART)
    assert b"Content-Length: 128" in taken
    for _ in range(4):
        slow.wait(PATIENCE_SECONDS - 1)
        taken += await slow.take(PART)

    taken += await slow.take(128_000 - len(taken))
    assert len(taken) == 128_000


@small_send_buffer
@pytest_twisted.ensureDeferred
async def test_the_end_of_an_answer_that_is_not_taken(slow: Slow) -> None:
    """It does not keep the connection, nor what there is to send, for ever."""
    await slow.ask("/api/events/history?limit=2")
    taken = await slow.take(PART)

    slow.wait(3 * PATIENCE_SECONDS)

    taken += await slow.take(128_000)
    assert len(taken) < 100_000


@small_send_buffer
@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_not_taken_when_the_server_ends(slow: Slow) -> None:
    """The end waits for it as long as for a client that is refused, and no longer."""
    await slow.ask("/api/events/history?limit=2", Connection="close")
    await slow.take(PART)

    ended = slow.here.site.drain()
    slow.wait(3)

    await ended.addTimeout(TIMEOUT, reactor)  # type: ignore[arg-type]  # it is one
