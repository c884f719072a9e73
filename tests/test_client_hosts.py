"""Hosts by name, whose addresses are tried one after another."""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from loki_twisted.client.hosts import Host

V4 = IPv4Address("TCP", "192.0.2.1", 80)
V6 = IPv6Address("TCP", "2001:db8::1", 80)


class Names:
    """A resolver whose answers come when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, Any]] = []

    def resolveHostName(self, receiver: Any, name: str, port: int) -> None:  # noqa: N802  # Twisted's name
        """Note the question."""
        receiver.resolutionBegan(None)
        self.asked.append((name, port, receiver))

    def answer(self, *addresses: Any) -> None:
        """Answer it."""
        _, _, receiver = self.asked[-1]
        for address in addresses:
            receiver.addressResolved(address)
        receiver.resolutionComplete()


class HostTests(SynchronousTestCase):
    """Connecting to a host, in memory."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.reactor.nameResolver = self.names = Names()
        self.made: list[Protocol] = []

    def connect(self, name: str) -> Deferred[Protocol]:
        host = Host(self.reactor, name, 80)
        assert verifyObject(IStreamClientEndpoint, host)
        return host.connect(Factory.forProtocol(Protocol))

    @property
    def tried(self) -> list[str]:
        """The addresses that were tried so far."""
        return [host for host, *_ in self.reactor.tcpClients]

    def fail(self, why: Exception) -> None:
        """Let the newest attempt fail."""
        _, _, factory, _, _ = self.reactor.tcpClients[-1]
        factory.clientConnectionFailed(self.reactor.connectors[-1], Failure(why))

    def succeed(self) -> None:
        """Let the newest attempt succeed."""
        _, port, factory, timeout, _ = self.reactor.tcpClients[-1]
        assert (port, timeout) == (80, 10.0)
        factory.buildProtocol(None).makeConnection(StringTransport())

    def test_an_address_is_no_name(self) -> None:
        """An address is connected to as it is; nobody is asked for it."""
        for address in ("192.0.2.7", "2001:db8::7"):
            connecting = self.connect(address)
            assert self.tried[-1] == address
            self.succeed()
            assert isinstance(self.successResultOf(connecting), Protocol)
        assert self.names.asked == []

    def test_one_address_after_another(self) -> None:
        """The next address is tried when one does not answer, and the first that does is it."""
        connecting = self.connect("example.com")
        assert self.names.asked[0][:2] == ("example.com", 80)
        self.names.answer(V6, V4)
        assert self.tried == ["2001:db8::1"]
        self.fail(error.ConnectionRefusedError())
        assert self.tried == ["2001:db8::1", "192.0.2.1"]
        self.succeed()

        assert isinstance(self.successResultOf(connecting), Protocol)

    def test_no_address_answers(self) -> None:
        """Where none answers, it is told why the last one does not."""
        connecting = self.connect("example.com")
        self.names.answer(V6, V4)
        self.fail(error.ConnectionRefusedError())
        self.fail(error.TimeoutError())

        self.failureResultOf(connecting, error.TimeoutError)

    def test_no_address(self) -> None:
        """A name without addresses is told."""
        connecting = self.connect("nowhere.example")
        self.names.answer()

        failure = self.failureResultOf(connecting, error.DNSLookupError)
        assert "nowhere.example" in str(failure.value)

    def test_cancelling(self) -> None:
        """It can be cancelled while addresses are looked for, and while one is tried."""
        looking = self.connect("example.com")
        looking.cancel()
        self.failureResultOf(looking, CancelledError)
        self.names.answer(V4)
        assert self.tried == []

        trying = self.connect("example.com")
        self.names.answer(V4, V6)
        trying.cancel()
        self.failureResultOf(trying, error.ConnectingCancelledError)
        assert self.tried == ["192.0.2.1"]
