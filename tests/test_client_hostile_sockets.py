"""Servers that speak no HTTP, or without an end, over real sockets."""

from __future__ import annotations

import gzip

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import LoopingCall

from loki_twisted import LokiClient
from loki_twisted.client import ClientError, ServerUnreachable
from loki_twisted.client.heads import MOST_HEAD_BYTES
from tests.agents_support import eventually
from tests.client_fakes import frame
from tests.test_client_stopping import HEAD, LIVE, Server, client_is_gone, left, server  # noqa: F401  # a fixture
from tests.test_web_event_stream_sockets import over_tls

HEADERS = b"HTTP/1.1 200 OK\r\n" + b"X-Wing: x\r\n" * 1_000_000
INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 300_000
WING = b"X-Wing: " + b"x" * 10_000 + b"\r\n"


@over_tls
@pytest.mark.parametrize("is_tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("lines", [HEADERS, INTERIM], ids=["headers", "interim answers"])
@pytest_twisted.ensureDeferred
async def test_heads_without_end(server: Server, lines: bytes, is_tls: bool) -> None:  # noqa: F811
    """An answer that does not come to its body ends in an error; its connection is closed."""
    server.lines = lines
    client = server.client(is_tls)
    before = left()
    with pytest.raises(ServerUnreachable, match=f"{MOST_HEAD_BYTES} bytes before its body"):
        await client.live()

    await eventually(lambda: not server.open, "the client has hung up")
    await client.close()
    await server.is_left_with(before)


@over_tls
@pytest.mark.parametrize("is_tls", [False, True], ids=["tcp", "tls"])
@pytest_twisted.ensureDeferred
async def test_streams_whose_heads_have_no_end(server: Server, is_tls: bool) -> None:  # noqa: F811
    """A stream hangs up on such an answer, and comes back as after any other failure."""
    server.lines = HEADERS
    client = server.client(is_tls)
    before = left()
    stream = client.events(after="earliest")
    # Before the half minute is over after which it gives up an answer that does not come.
    await eventually(lambda: server.asked and not server.open, "the client has hung up", 20)
    server.lines = HEAD + frame(1)

    assert (await stream.__anext__()).id == "evt_1_1000"
    await client.close()
    await server.is_left_with(before)


BOMB = gzip.compress(b"data:\n\n" * 10_000_000)
NO_HTTP = {
    "no HTTP": b"220 mail.example ESMTP\r\n\r\n",
    "another version": b"HTTP/x.y 200 OK\r\n\r\n",
    "no number": b"HTTP/1.1 OK OK\r\n\r\n",
    "a header without a colon": b"HTTP/1.1 200 OK\r\nHeader\r\n\r\n",
    "a header that goes on from none": b"HTTP/1.1 200 OK\r\n  x: y\r\n\r\n",
    "a long line": b"HTTP/1.1 200 OK\r\nX-Wing: " + b"x" * 40_000,
    "an unknown transfer": HEAD[:-2] + b"Transfer-Encoding: gzip\r\n\r\nx",
    "two lengths": HEAD[:-2] + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "a negative length": HEAD[:-2] + b"Content-Length: -1\r\n\r\nxx",
    "chunks that are none": HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\nchunk\r\n",
    "trailers without an end": HEAD[:-2]
    + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    + b"X-Wing: x\r\n" * 10_000,
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\n\r\n\0\0\0\0\n",
    "a bomb": HEAD[:-2] + b"Content-Encoding: gzip\r\n\r\n" + BOMB,
}


@over_tls
@pytest.mark.parametrize("is_tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("lines", NO_HTTP.values(), ids=NO_HTTP)
@pytest_twisted.ensureDeferred
async def test_answers_that_are_no_http(server: Server, lines: bytes, is_tls: bool) -> None:  # noqa: F811
    """
    What is no HTTP ends in the client's own errors, and we hang up, without being closed.

    That is so although the server neither closes the connection nor, over TLS, agrees to its end.
    """
    server.lines = lines
    server.is_stubborn = True
    client = server.client(is_tls)
    before = left()
    with pytest.raises((ServerUnreachable, ClientError)):
        await client.live()
    await eventually(lambda: client_is_gone(before), "the client has hung up")

    stream = client.events(after="earliest")
    await eventually(lambda: stream._failures or stream.has_ended, "an attempt has failed")
    await eventually(lambda: not left().since(before).clients, "the client has hung up")
    if stream.has_ended:
        with pytest.raises(ClientError):
            await stream.__anext__()
    await client.close()
    server.read_on()
    await server.is_left_with(before)


@over_tls
@pytest.mark.parametrize("is_tls", [False, True], ids=["tcp", "tls"])
@pytest_twisted.ensureDeferred
async def test_large_heads(server: Server, is_tls: bool) -> None:  # noqa: F811
    """Heads that have an end are read, as many as there are on a connection that is kept."""
    first, _, rest = LIVE.partition(b"\r\n")
    server.lines = first + b"\r\n" + WING * 5 + rest
    client = server.client(is_tls)
    for _ in range(3):
        assert (await client.live()).alive

    await client.close()


@pytest_twisted.ensureDeferred
async def test_bodies_are_no_heads(server: Server) -> None:  # noqa: F811
    """What comes after a head is not counted: a stream of any length is read."""
    server.lines = HEAD + b"".join(frame(number, x="x" * 1000) for number in range(1, 1000))
    stream = server.client().events(after="earliest")
    for _ in range(999):
        event = await stream.__anext__()

    assert event.id == "evt_999_999000"
    await stream.aclose()


@pytest_twisted.ensureDeferred
async def test_heads_that_take_their_time(server: Server) -> None:  # noqa: F811
    """An answer whose headers come one by one is waited for no longer than any other."""
    client = LokiClient(server.listen(), reactor=reactor, answer_seconds=0.5)
    before = left()
    server.lines = b"HTTP/1.1 200 OK\r\n"

    def drip() -> None:
        for answer in server.open:
            answer.transport.write(b"X-Wing: x\r\n")

    dripping = LoopingCall(drip)
    dripping.start(0.02)
    with pytest.raises(ServerUnreachable, match=r"has not answered for 0\.5 s"):
        await client.live()
    dripping.stop()
    await client.close()
    await server.is_left_with(before)
