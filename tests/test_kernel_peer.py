"""Tests of :mod:`loki_twisted.kernel.peer`, with real sockets."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from loki_twisted.kernel import peer
from loki_twisted.kernel.peer import is_our_user, uid_of_peer

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="it asks the Linux kernel"
)

WAYS = [peer._ask_sock_diag, peer._read_proc]
Ask = Callable[[peer.SocketAddress, peer.SocketAddress], int | None]


@contextmanager
def connection(family: socket.AddressFamily, host: str) -> Iterator[tuple[socket.socket, ...]]:
    """A connection within this machine: our end, and the other one."""
    with socket.socket(family) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip(f"there is no {host} here")
        listener.listen()
        with socket.create_connection(listener.getsockname()[:2]) as other:
            ours, _ = listener.accept()
            with ours:
                yield ours, other


@pytest.mark.parametrize("ask", [*WAYS, uid_of_peer])
@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_the_owner_of_the_other_end_is_found(
    ask: Ask, family: socket.AddressFamily, host: str
) -> None:
    """Over IPv4 and IPv6 the user of the connecting process is known, either way of asking."""
    with connection(family, host) as (ours, _):
        assert ask(ours.getsockname()[:2], ours.getpeername()[:2]) == os.geteuid()
        assert is_our_user(ours.getsockname()[:2], ours.getpeername()[:2])


@pytest.mark.parametrize("ask", WAYS)
def test_a_socket_that_was_closed_has_no_owner(ask: Ask) -> None:
    """The kernel says uid 0 of a closed socket; that must not make its user root."""
    with connection(socket.AF_INET, "127.0.0.1") as (ours, other):
        ends = ours.getsockname(), ours.getpeername()
        other.close()
        assert ask(*ends) is None
        assert not is_our_user(*ends)


def test_an_unknown_connection_has_no_owner() -> None:
    """Of a connection that is not there nothing is known, and nobody is trusted for it."""
    with connection(socket.AF_INET, "127.0.0.1") as (ours, _):
        here, there = ours.getsockname(), ours.getpeername()
        assert uid_of_peer((here[0], 1), there) is None
        assert uid_of_peer(here, ("127.0.0.9", there[1])) is None
        assert not is_our_user((here[0], 1), there)


def test_what_is_no_address_has_no_owner() -> None:
    """Names and nonsense in place of addresses are unknown, and no error."""
    assert uid_of_peer(("localhost", 1), ("localhost", 2)) is None
    assert uid_of_peer(("", 1), ("::zz", 2)) is None


@pytest.mark.threat("T10")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_told_apart() -> None:
    """A process of another user at the other end is seen as that user."""
    program = (
        "import os, socket, sys; os.setuid(65534);"
        "s = socket.socket(); s.connect(('127.0.0.1', int(sys.argv[1])));"
        "s.recv(1)"
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(30)
        port = str(listener.getsockname()[1])
        with subprocess.Popen([sys.executable, "-c", program, port]) as process:
            ours, there = listener.accept()
            with ours:
                assert [ask(ours.getsockname(), there) for ask in WAYS] == [65534, 65534]
                assert not is_our_user(ours.getsockname(), there)
            process.wait(30)


def test_the_second_way_is_taken_where_the_first_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel has no socket diagnosis, its table is read."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(peer, "_ask_sock_diag", refuse)
    with connection(socket.AF_INET, "127.0.0.1") as (ours, _):
        assert uid_of_peer(ours.getsockname(), ours.getpeername()) == os.geteuid()


@pytest.fixture
def tables_read(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Gets an item each time when all of the kernel's table is read."""
    reads: list[object] = []
    read = peer._read_proc

    def note(here: peer.SocketAddress, there: peer.SocketAddress) -> int | None:
        reads.append(there)
        return read(here, there)

    monkeypatch.setattr(peer, "_read_proc", note)
    return reads


def test_who_hangs_up_does_not_have_the_table_read(tables_read: list[object]) -> None:
    """One who connects and is gone at once costs one short question, as all others."""
    with connection(socket.AF_INET, "127.0.0.1") as (ours, other):
        ends = ours.getsockname(), ours.getpeername()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
        other.close()
        assert uid_of_peer(*ends) is None
        assert uid_of_peer((ends[0][0], 1), ends[1]) is None

    with connection(socket.AF_INET, "127.0.0.1") as (ours, other):
        ends = ours.getsockname(), ours.getpeername()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        other.close()  # with a reset: neither end is there any more
        assert uid_of_peer(*ends) is None

    assert tables_read == []


def test_a_diagnosis_without_tcp_is_none(
    monkeypatch: pytest.MonkeyPatch, tables_read: list[object]
) -> None:
    """A kernel that says of each socket that there is none is not believed: its table is read."""
    with connection(socket.AF_INET, "127.0.0.1") as (ours, _):
        here, there = ours.getsockname(), ours.getpeername()
        nowhere = peer._said_of((here[0], 1), there)
        monkeypatch.setattr(peer, "_said_of", lambda *_: nowhere)
        peer._knows_tcp.cache_clear()
        try:
            assert uid_of_peer(here, there) == os.geteuid()
        finally:
            peer._knows_tcp.cache_clear()

    assert tables_read == [there]
