# ruff: noqa: N802, N815  # Twisted calls these methods
"""Our own site: a resource behind connections that have limits."""

from __future__ import annotations

from io import BytesIO
from typing import Final
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import (
    _MalformedChunkedDataError,  # what ends the reading of chunks
    datetimeToString,
)
from twisted.web.resource import IResource
from twisted.web.server import Request as BaseRequest
from twisted.web.server import Site as BaseSite

from loki_twisted.kernel.repeating import repeating
from loki_twisted.kernel.shares import Shares
from loki_twisted.web.access import AccessLog
from loki_twisted.web.answers import Answer, Exchange, IExchange, open_exchange, send
from loki_twisted.web.channel import Channel
from loki_twisted.web.entrance import Entrance
from loki_twisted.web.limits import Limits, limits_of_process
from loki_twisted.web.metering import NO_ROUTE, RequestMeter
from loki_twisted.web.parameters import MOST_PARAMETERS
from loki_twisted.web.problems import problem, problem_of
from loki_twisted.web.sharing import TURN_SECONDS
from loki_twisted.web.targets import origin_form

_SWEEP_SECONDS: Final = 1.0

_TOO_MANY: Final = problem(
    "SERVICE_UNAVAILABLE",
    "The server has too many connections.",
    headers=((b"Retry-After", b"1"),),
)

_log: Final = Logger()


class Request(BaseRequest):
    """A request whose body is bounded and in memory, and whose errors are ours."""

    channel: Channel
    content: BytesIO
    _target = b""
    _pieces = 0

    def gotLength(self, length: int | None) -> None:  # noqa: ARG002  # it was checked
        """Make room for the body. It is short, so it needs no file."""
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Take a piece of the body."""
        limits = self.channel.site.limits
        self._pieces += 1
        if self.content.tell() + len(data) > limits.body_bytes:
            self.channel.refuse_body()
        elif self._pieces > limits.chunks and self.channel.length is None:
            # Each costs as much time as a thousand bytes, so the rest is not gone through.
            sentence = f"A body may come in {limits.chunks} chunks at most."
            self.channel.refuse(problem("PAYLOAD_TOO_LARGE", sentence))
            raise _MalformedChunkedDataError
        else:
            self.content.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Begin to answer."""
        hosts = self.requestHeaders.getRawHeaders(b"Host", ())
        self._target = taken = origin_form(path, hosts)
        if taken.count(b"&") >= MOST_PARAMETERS:
            # Twisted would take it apart for milliseconds, before anybody may refuse it.
            taken = taken.partition(b"?")[0]
        super().requestReceived(command, taken, version)

    def process(self) -> None:
        """Find the resource and render it."""
        self.site = self.channel.site
        self.uri = self._target
        self.setHeader(b"Date", datetimeToString())
        self.prepath = []
        self.postpath = [unquote_to_bytes(segment) for segment in self.path[1:].split(b"/")]
        try:
            self.render(self.site.getResourceFor(self))
        except Exception:  # noqa: BLE001  # whatever a resource raises is answered
            self.processingFailed(Failure())

    def processingFailed(self, reason: Failure) -> Failure:
        """Answer that we failed."""
        exchange = self.getComponent(IExchange) or self.channel.site.exchange_for(self)
        request_id = exchange.request_id
        _log.failure("Request {id} failed", reason, id=request_id.decode("ascii"))
        send(self, problem_of(reason, request_id))
        return reason

    def connectionLost(self, reason: Failure) -> None:
        """Give up: the client has left."""
        if self.site is not None:  # what was refused before is noted already
            self.channel.site.log(self)
        super().connectionLost(reason)


class Site(BaseSite):
    """
    A site with limits, for a resource of ours.

    :param root: Usually an :class:`~loki_twisted.web.entrance.Entrance`. If so, a request
        with a body passes the gate before its body is read.
    :param reactor: Runs the deadlines.
    :param limits: None for those that this process can bear.
    :param access: Where each request is written down, which takes a tenth of the time of a small
        one. None for nowhere, or, if the API is in debug mode, for the log at debug level.
    :ivar shares: Of its connections, in seconds.
    """

    requestFactory = Request

    def __init__(
        self,
        root: IResource,
        *,
        reactor: IReactorTime,
        limits: Limits | None = None,
        access: AccessLog | None = None,
    ) -> None:
        super().__init__(root, timeout=None, reactor=reactor, parsePOSTFormSubmission=False)
        self.limits = limits or limits_of_process()
        self.shares = Shares(reactor, TURN_SECONDS)
        self._entrance = root if isinstance(root, Entrance) else None
        self._meter = RequestMeter() if self._entrance is None else self._entrance.meter
        if access is None and self._entrance is not None and self._entrance.debug:
            access = AccessLog()
        self._access = access
        self._channels: set[Channel] = set()
        self._sweep = repeating(
            reactor, self._check_deadlines, "Connections could not be looked at"
        )
        self._drained: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> Channel:  # type: ignore[override]  # noqa: ARG002  # not the switch to HTTP/2 that its base makes
        """Make a connection. It never becomes HTTP/2, to which these limits do not apply."""
        return Channel(self)

    def acceptableProtocols(self) -> list[bytes]:
        """What is offered in a TLS handshake."""
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """Begin. Unlike its base it opens no access log, in which queries would be written."""

    def stopFactory(self) -> None:
        """End."""

    # Connections

    def drain(self, grace_seconds: float | None = None) -> Deferred[None]:
        """
        Take no more requests: idle connections are closed, others after their answer.

        :param grace_seconds: Whose answer has not been sent by then is cut; None for nobody's.
        :returns: Fires when no connection is left. Streams end when the hub ends them.
        """
        if not self._channels:
            return succeed(None)
        if self._drained is not None:
            return self._drained
        drained = self._drained = Deferred()
        for channel in list(self._channels):
            channel.close_when_done()
        if grace_seconds is not None:
            cutting = self.reactor.callLater(grace_seconds, self._cut_all)
            drained.addBoth(lambda _: cutting.cancel() if cutting.active() else None)
        return drained

    def _cut_all(self) -> None:
        _log.warn("{count} connections had not ended in time: cut", count=len(self._channels))
        for channel in list(self._channels):
            channel.transport.abortConnection()

    def opened(self, channel: Channel) -> None:
        """A connection was made. It is refused if there are too many."""
        self._channels.add(channel)
        if not self._sweep.running:
            self._sweep.start(_SWEEP_SECONDS, now=False)
        excess = len(self._channels) - self.limits.connections
        if excess > self.limits.told:
            channel.transport.abortConnection()
        elif excess > 0:
            channel.refuse(_TOO_MANY)

    def closed(self, channel: Channel) -> None:
        """A connection was lost."""
        self._channels.discard(channel)
        if self._channels:
            return
        if self._sweep.running:
            self._sweep.stop()
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.callback(None)

    def refusal(self, request: BaseRequest, method: bytes, target: bytes) -> Answer | None:
        """What to answer a request instead of reading its body, or None to read it."""
        if self._entrance is None:
            return None
        hosts = request.requestHeaders.getRawHeaders(b"Host", ())
        return self._entrance.refusal(request, method, origin_form(target, hosts))

    def exchange_for(self, request: BaseRequest) -> Exchange:
        """Begin to answer a request that did not get as far as the gate."""
        return open_exchange(request, self.reactor, self._meter)

    @property
    def is_full(self) -> bool:
        """Whether whoever comes now would not even be told that there are too many."""
        return len(self._channels) >= self.limits.connections + self.limits.told

    @property
    def connection_count(self) -> int:
        """How many connections there are."""
        return len(self._channels)

    def _check_deadlines(self) -> None:
        now = self.reactor.seconds()
        for channel in list(self._channels):
            with _log.failuresHandled("A connection could not be looked at"):
                channel.check_deadline(now)

    # The access log

    def log(self, request: BaseRequest) -> None:  # type: ignore[override]  # all of ours are such
        """Note a request whose answer is sent, or whose client has left."""
        if self._access is not None:
            self._access.note(request)

    def log_refusal(
        self, request_line: bytes, peer: IAddress, answer: Answer, request_id: bytes
    ) -> None:
        """Note what was refused before it became a request."""
        self._meter.note(NO_ROUTE, request_line.partition(b" ")[0], answer.status, 0.0)
        if self._entrance is not None:
            self._entrance.note_refusal(request_line, peer, answer, request_id)
        if self._access is not None:
            self._access.note_refusal(request_line, answer, request_id)
