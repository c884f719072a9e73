"""The gate as a resource: it stands before the routes, in whose site they ever are mounted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from loki_twisted.stream import sse
from loki_twisted.web.answers import Answer, Clock, Exchange, is_gone, open_exchange, send
from loki_twisted.web.arrivals import Arrival, arrival_of
from loki_twisted.web.gate import Verdict
from loki_twisted.web.interior import Interior
from loki_twisted.web.metering import RequestMeter
from loki_twisted.web.page import PAGE_PATHS
from loki_twisted.web.problems import problem, problem_of
from loki_twisted.web.witness import Attempt, changes

_ALWAYS_OPEN: Final = PAGE_PATHS | {
    b"/health",
    b"/health/live",
    b"/health/ready",
    b"/openapi.json",
}
"""What is answered also before a server serves, and while it ends."""

_STREAM: Final = b"/api/events"


class Entrance(Resource):
    """
    Lets a request through to the routes, or answers it.

    Everything that a request meets from here on finds its exchange open. It is a leaf that works at
    the root of a site and as a child of another resource (``root.putChild(b"loki", entrance)``);
    its paths begin where it is mounted. Limits on connections, headers and slow clients are the
    site's: see :class:`loki_twisted.web.site.Site`.

    :ivar interior: Where it leads. Another one may be put in its place: those who come from then
        on are let in there.
    :ivar meter: Counts the requests.
    """

    isLeaf = True  # noqa: N815  # Twisted's name
    _log: Final = Logger()

    def __init__(self, interior: Interior, clock: Clock) -> None:
        super().__init__()
        self.interior = interior
        self.meter = RequestMeter()
        self._clock = clock

    @property
    def debug(self) -> bool:
        """Whether answers to faults of ours hold the stack."""
        return self.interior.gate.policy.debug

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
        self.interior.inner.render(request)
        goes_on = verdict.caller.digest is not None and not changes(request.method)
        if goes_on and not is_gone(request):
            self.interior.leases.hold(request, verdict.caller)

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
            uid=self.interior.neighbours.uid_at(request.transport, arrival.peer),
        )
        return lambda answer: self.interior.witness.tell(attempt, answer, exchange.value)

    def _answer_while_closed(self, request: Request, path: bytes) -> Answer | None:
        """What a server that has not begun to serve, or has ended, answers to all but probes."""
        reason = None if path in _ALWAYS_OPEN else self.interior.not_serving()
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
            return self.interior.neighbours.is_our_user(connection, arrival.here, arrival.peer)

        return self.interior.gate.judge(arrival, is_our_user)

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
        self.interior.witness.tell(attempt, answer)


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
