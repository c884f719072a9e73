"""Clients that have to wait for their turn, on real sockets: TCP, TLS and UNIX."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread

from loki_twisted.kernel.shares import Shares
from loki_twisted.service import Service
from loki_twisted.settings import Settings
from loki_twisted.web.sharing import TURN_SECONDS
from tests.fakes_web import read_responses
from tests.system import TIMEOUT
from tests.test_system_certificates import Files, connect
from tests.test_web_event_stream_sockets import over_tls, own_pem

CLIENTS = 40
HOST = b"Host: localhost\r\n"
TYPE = b"Content-Type: application/json\r\n"
PIECES = (
    b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\nPOST /api/sessions HTT",
    b"P/1.1\r\n" + HOST + TYPE + b'Content-Length: 14\r\n\r\n{"provider"',
    b":1}GET /health/live HTTP/1.1\r\n" + HOST,
    b"Connection: close\r\n\r\n",
)


def answers(open_one: Callable[[], socket.socket]) -> list[list[int]]:
    """Have all clients ask piece by piece, and say with what each was answered."""
    with ExitStack() as opened:
        clients = [opened.enter_context(open_one()) for _ in range(CLIENTS)]
        for piece in PIECES:
            for each in clients:
                each.sendall(piece)
        return [[one.status for one in read_responses(to_the_end(each))] for each in clients]


def to_the_end(client: socket.socket) -> bytes:
    """Read until it is closed."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def openers(addresses: list[str], path: Path) -> list[Callable[[], socket.socket]]:
    """What connects to each of them."""
    plain, over_tls = (int(each.rpartition(":")[2]) for each in addresses[:2])

    def unix() -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(TIMEOUT)
        client.connect(str(path))
        return client

    def encrypted() -> ssl.SSLSocket:
        return connect(over_tls)

    return [lambda: socket.create_connection(("127.0.0.1", plain), TIMEOUT), encrypted, unix]


@over_tls
@pytest.mark.promise("R27")
@pytest_twisted.ensureDeferred
async def test_everybody_is_answered_who_waits(tmp_path: Path) -> None:
    """However little is done in a turn, and however requests are cut: all, and in their order."""
    files, path = Files(tmp_path), tmp_path / "socket"
    files.write(*own_pem())
    listen = ("tcp:0:interface=127.0.0.1", files.endpoint(), f"unix:{path}:mode=600")
    service = Service(Settings(loki_dir=str(tmp_path), listen=listen), reactor)
    shares = service.site.shares = Shares(reactor, 1e-9)  # one piece of one client in each turn
    service.startService()
    try:
        for each in openers(await service.ready, path):
            told = await deferToThread(answers, each)
            assert told == [[200, 422, 200]] * CLIENTS
        await shares.mine()
    finally:
        await service.stopService()


@pytest.mark.promise("R13")
@pytest_twisted.ensureDeferred
async def test_who_waits_when_the_server_ends_is_no_new_client(tmp_path: Path) -> None:
    """Their requests had come: they are carried out, though nobody had looked at them."""
    listen = ("tcp:0:interface=127.0.0.1",)
    service, turns = Service(Settings(loki_dir=str(tmp_path), listen=listen), reactor), Clock()
    shares = service.site.shares = Shares(turns, TURN_SECONDS)
    shares.spend(2 * TURN_SECONDS)  # nobody has a turn before that clock goes on
    service.startService()
    (address,) = await service.ready
    port = int(address.rpartition(":")[2])
    with ExitStack() as opened:
        clients = await deferToThread(asking, port, opened)
        for _ in range(10):
            await deferLater(reactor, 0)  # all that came is seen
        ended = service.stopService()
        turns.advance(0)
        told = await deferToThread(lambda: [read_responses(to_the_end(each)) for each in clients])
    await ended
    assert [[each.status for each in one] for one in told] == [[422]] * CLIENTS


def asking(port: int, opened: ExitStack) -> list[socket.socket]:
    """Connect clients that have asked for what is refused, and wait for the answer."""
    request = b"POST /api/sessions HTTP/1.1\r\n" + HOST + TYPE
    clients = []
    for _ in range(CLIENTS):
        client = opened.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT))
        client.sendall(request + b'Content-Length: 14\r\n\r\n{"provider":1}')
        clients.append(client)
    return clients
