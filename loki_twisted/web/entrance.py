"""The gate as a resource: it stands before the routes, in whose site they ever are mounted."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final
from weakref import WeakSet

import attrs
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from loki_twisted.kernel.peer import SocketAddress, uid_of_unix_peer
from loki_twisted.stream import sse
from loki_twisted.web.answers import Answer, Clock, Exchange, is_gone, open_exchange, send
from loki_twisted.web.arrivals import Arrival, arrival_of
from loki_twisted.web.gate import Gate, Verdict
from loki_twisted.web.leases import Leases
from loki_twisted.web.metering import RequestMeter
from loki_twisted.web.page import PAGE_PATHS
from loki_twisted.web.problems import problem, problem_of
from loki_twisted.web.witness import Attempt, Witness, changes

_ALWAYS_OPEN: Final = PAGE_PATHS | {
    b"/health",
    b"/health/live",
    b"/health/ready",
    b"/openapi.json",
}
"""What is answered also before a server serves, and while it ends."""

_STREAM: Final = b"/api/events"

PeerCheck = Callable[[SocketAddress, SocketAddress], bool]
"""Given our end and the other end of a connection: whether that is our user's."""


class Neighbours:
    """
    Remembers for each connection whether our own user is at its other end.

    :param check: Is asked until it is so once for each connection, and only over TCP: who may
        connect to a unix socket is decided by its permissions.
    """

    def __init__(self, check: PeerCheck) -> None:
        self._check = check
        self._known: WeakSet[object] = WeakSet()

    def is_our_user(self, connection: object, here: IAddress, peer: IAddress) -> bool:
        """Tell whose process is at the other end of a connection within this machine."""
        if connection in self._known:
            return True
        is_ours = self._ask(here, peer)
        if is_ours:  # what could not be found out, for want of a descriptor, may be later
            self._known.add(connection)
        return is_ours

    def uid_at(self, connection: object, peer: IAddress) -> int | None:
        """Tell which user is at the other end of a connection, where that is known."""
        if isinstance(peer, IPv4Address | IPv6Address):
            is_ours = connection in self._known and sys.platform.startswith("linux")
            return os.geteuid() if is_ours else None
        return uid_of_unix_peer(getattr(connection, "socket", None))

    def _ask(self, here: IAddress, peer: IAddress) -> bool:
        ends = (here, peer)
        if all(isinstance(end, IPv4Address | IPv6Address) for end in ends):
            return self._check((here.host, here.port), (peer.host, peer.port))  # type: ignore[attr-defined]  # both are IP addresses
        return True


class Entrance(Resource):
    """
    Lets a request through to the routes, or answers it.

    Everything that a request meets from here on finds its exchange open.

    :param inner: A leaf that routes by ``postpath``.
    :param neighbours: Knows whose the other ends of connections are.
    :param leases: Are given the answers that go on.
    :param witness: Puts on record what changes something.
    :ivar debug: Whether answers to faults of ours hold the stack.
    :ivar meter: Counts the requests.
    """

    isLeaf = True  # noqa: N815  # Twisted's name
    _log: Final = Logger()

    def __init__(
        self,
        gate: Gate,
        inner: IResource,
        neighbours: Neighbours,
        clock: Clock,
        leases: Leases,
        witness: Witness,
        not_serving: Callable[[], str | None] = lambda: None,
    ) -> None:
        super().__init__()
        self.debug = gate.policy.debug
        self.meter = RequestMeter()
        self._gate = gate
        self._inner = inner
        self._neighbours = neighbours
        self._clock = clock
        self._leases = leases
        self._witness = witness
        self._not_serving = not_serving

    def lead_to(self, other: Entrance) -> None:
        """Let in from now on who another one would let in, to where that one leads."""
        self._gate = other._gate
        self._inner = other._inner
        self._neighbours = other._neighbours
        self._leases = other._leases
        self._witness = other._witness
        self._not_serving = other._not_serving

    def render(self, request: Request) -> int:
        """Answer a request, or have it answered."""
        exchange = open_exchange(request, self._clock, self.meter)
        try:
            self._answer(request, exchange)
        except Exception:  # noqa: BLE001  # whatever it is, the client gets our envelope
            failure = Failure()
            self._log.failure("Request {id} failed", failure, id=exchange.request_id.decode())
            send(
                request,
                problem_of(failure, exchange.request_id, debug=self.debug),
            )
        return NOT_DONE_YET

    def _answer(self, request: Request, exchange: Exchange) -> None:
        path = b"/" + b"/".join(request.postpath or ())
        arrival = _arrival_of(request, request.method, request.uri, path)
        verdict = self._judge(request, arrival)
        exchange.caller = verdict.caller
        exchange.on_answer = self._on_answer(request, exchange, arrival, verdict)
        for name, value in verdict.headers:
            request.responseHeaders.setRawHeaders(name, [value])
        answer = verdict.answer or self._answer_while_closed(request, arrival.path)
        if answer is not None:
            send(request, answer)
            return
        self._inner.render(request)
        goes_on = verdict.caller.digest is not None and not changes(request.method)
        if goes_on and not is_gone(request):
            self._leases.hold(request, verdict.caller)

    def _on_answer(
        self, request: Request, exchange: Exchange, arrival: Arrival, verdict: Verdict
    ) -> Callable[[Answer], None] | None:
        """Say who wants to know how a request is answered."""
        if verdict.answer is None and not changes(arrival.method):
            return None  # nearly every request
        attempt = Attempt(
            method=arrival.method,
            path=arrival.path,
            peer=arrival.peer,
            request_id=exchange.request_id,
            caller=verdict.caller,
            uid=self._neighbours.uid_at(request.transport, arrival.peer),
        )
        return lambda answer: self._witness.tell(attempt, answer, exchange.value)

    def _answer_while_closed(self, request: Request, path: bytes) -> Answer | None:
        """What a server that has not begun to serve, or has ended, answers to all but probes."""
        reason = None if path in _ALWAYS_OPEN else self._not_serving()
        if reason is None:
            return None
        if path == _STREAM and sse.CONTENT_TYPE in (request.getHeader(b"Accept") or b""):
            # A browser comes back from a stream that has ended, and never from an error.
            headers = ((b"Content-Type", sse.CONTENT_TYPE),)
            return Answer(200, sse.comment(reason) + sse.retry(sse.RETRY_MS), headers)
        return problem("SERVICE_UNAVAILABLE", reason, headers=((b"Retry-After", b"1"),))

    def judge(self, request: Request, method: bytes, target: bytes, path: bytes) -> Verdict:
        """
        Let the gate decide about a request whose headers have come.

        :param path: Below the place where this resource is mounted.
        """
        return self._judge(request, _arrival_of(request, method, target, path))

    def _judge(self, request: Request, arrival: Arrival) -> Verdict:
        connection = request.transport

        def is_our_user() -> bool:
            return self._neighbours.is_our_user(connection, arrival.here, arrival.peer)

        return self._gate.judge(arrival, is_our_user)

    def refusal(self, request: Request, method: bytes, target: bytes) -> Answer | None:
        """
        Decide about a request before its body has come. Only for a resource at the root.

        :returns: What to answer instead of reading the body, or None to read it.
        """
        verdict = self.judge(request, method, target, target.partition(b"?")[0])
        if verdict.answer is None:
            return None
        return attrs.evolve(
            verdict.answer, headers=(*verdict.answer.headers, *verdict.headers), closes=True
        )

    def note_refusal(
        self, request_line: bytes, peer: IAddress, answer: Answer, request_id: bytes
    ) -> None:
        """
        Put on record what was refused before all of it had come.

        :param request_line: As far as it has come.
        """
        method, _, rest = request_line.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        attempt = Attempt(method=method, path=path, peer=peer, request_id=request_id)
        self._witness.tell(attempt, answer)


def _arrival_of(request: Request, method: bytes, target: bytes, path: bytes) -> Arrival:
    return arrival_of(
        request.requestHeaders,
        method=method,
        target=target,
        path=path,
        # Of the connection: what the request itself says can be changed on the way.
        here=request.channel.getHost(),
        peer=request.channel.getPeer(),
        secure=request.isSecure(),
    )
