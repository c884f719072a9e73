# ruff: noqa: N802  # Twisted calls these methods
"""
One connection of our own site, with its limits.

A connection is in one :class:`Stage`, and each has a time by which it must be over. The site asks
all connections for that once a second, so a deadline costs a request hardly anything.

=========  ==============================  ====================  ==========================
stage      from                            until                 after its time
=========  ==============================  ====================  ==========================
idle       made; an answer is sent         first byte            closed
head       first byte                      end of the headers    408
body       end of the headers              end of the body       408
answering  end of the body                 the answer is sent    (none: the answer's matter)
closing    refused; told to close          lost                  cut
=========  ==============================  ====================  ==========================

A client that still takes the end of its answer when its time is over has as much again, and is
looked at then. While one waits for its turn its time stands still. When the server ends, what is
not answered yet is over a moment later: half of it is for the rest of a request, and half for
reading why it was refused.

Whoever is refused gets to read why: what it still sends is read and dropped for a moment,
because closing on unread bytes makes the kernel reset the connection.
"""

from __future__ import annotations

import math
import sys
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import IAddress, ISSLTransport, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import Request as BaseRequest
from twisted.web.http_headers import Headers

from loki_twisted.stream.taking import Taking
from loki_twisted.web.answers import Answer, as_bytes, request_id_for
from loki_twisted.web.outlets import bottom_of, on_the_way
from loki_twisted.web.problems import problem
from loki_twisted.web.sharing import SharingChannel

if TYPE_CHECKING:
    from loki_twisted.web.site import Site

_MOST_DIGITS: Final = 19
"""Of a Content-Length: more is no length of anything, and costs time to read."""


class Stage(Enum):
    """What a connection is doing."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    ANSWERING = auto()
    CLOSING = auto()


class Channel(SharingChannel):
    """
    A connection.

    :param site: Its site: limits, clock, and who is let in.
    """

    transport: Any  # what it is (TCP, TLS, UNIX) is not known, and asked where it matters

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        self.factory = site
        self.requestFactory = site.requestFactory
        self.timeOut = None  # the stages have their own times
        self.MAX_LENGTH = site.limits.line_bytes
        self.totalHeadersSize = sys.maxsize  # counted here, to say what was too much
        self.maxHeaders = sys.maxsize
        self._here: IAddress | None = None
        self._peer: IAddress | None = None
        self._is_secure = self._can_half_close = False
        self._stage = Stage.IDLE
        self._began = 0.0
        self._is_last = False
        self._taking: Taking | None = None  # None for who gets no more time
        self._head_bytes = 0
        self._head_lines = 0
        self._request_line = b""

    # Stages

    def _enter(self, stage: Stage, seconds: float) -> None:
        spare = 0 if stage is Stage.CLOSING else self.site.limits.linger_seconds / 2
        self._stage = stage
        self._deadline = min(self.site.reactor.seconds() + seconds, self._latest - spare)

    def check_deadline(self, now: float) -> None:
        """Act if the time of this stage is over. Called about once a second."""
        if now < self._deadline or self.is_held:
            return
        if self._is_taking(now):
            self._deadline = now + self.site.limits.idle_seconds
        elif self._stage is Stage.CLOSING:
            self._deadline = math.inf
            self.transport.abortConnection()
        elif self._stage is Stage.IDLE:
            self._enter(Stage.CLOSING, self.site.limits.linger_seconds)
            self.loseConnection()
        else:
            self.refuse(problem("REQUEST_TIMEOUT", "The request did not come in time."))

    def _is_taking(self, now: float) -> bool:
        """Whether the client has taken some of its answer since it was last looked at."""
        if self._stage not in {Stage.IDLE, Stage.CLOSING} or self._taking is None:
            return False
        left = on_the_way(bottom_of(self))
        self._taking = self._taking.look(now, -left, is_stuck=True)
        return left > 0 and not self._taking.idle_seconds(now)

    def connectionMade(self) -> None:
        """Begin, or refuse to."""
        super().connectionMade()
        self._is_secure = ISSLTransport.providedBy(self.transport)
        # Half of what is under TLS cannot be closed without cutting TLS off.
        self._can_half_close = ITCPTransport.providedBy(self.transport) and not self._is_secure
        self._enter(Stage.IDLE, self.site.limits.head_seconds)
        self._began = self.site.reactor.seconds()
        self.site.opened(self)

    # Each request asks for them several times, and one is a system call. They do not change,
    # but behind a proxy that names its client they are known with the first bytes only.

    def getHost(self) -> IAddress:
        """Our end. To be asked once a request has begun."""
        if self._here is None:
            self._here = super().getHost()
        return self._here

    def getPeer(self) -> IAddress:
        """The other end. To be asked once a request has begun."""
        if self._peer is None:
            self._peer = super().getPeer()
        return self._peer

    def isSecure(self) -> bool:
        """Whether it is over TLS."""
        return self._is_secure

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End."""
        self._deadline = math.inf
        self._stage = Stage.CLOSING
        self.site.closed(self)
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes."""
        if self._stage is Stage.CLOSING:
            return
        if self._stage is Stage.IDLE:
            self._begin_head()
        super().dataReceived(data)

    def _begin_head(self) -> None:
        self._enter(Stage.HEAD, self.site.limits.head_seconds)
        self._began = self.site.reactor.seconds()
        self._head_bytes = 0
        self._head_lines = 0
        self._request_line = b""

    # The head

    def lineReceived(self, line: bytes) -> None:
        """Take a line of the head."""
        if self._stage is Stage.CLOSING:
            return
        if self._stage is Stage.IDLE:  # it was sent together with the request before
            self._begin_head()
        self._head_bytes += len(line) + 2
        if self._head_bytes > self.site.limits.head_bytes:
            self._refuse_length()
        elif self._head_lines and line[:1] in {b" ", b"\t"}:
            self._refuse_syntax("a header is continued on a second line")
        else:
            self._request_line = self._request_line or line
            self._head_lines += bool(line)
            if self._head_lines > self.site.limits.headers + 1:
                self.refuse(problem("HEADERS_TOO_LARGE", "The request has too many headers."))
            else:
                super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: ARG002  # it is too long
        """Refuse a line that does not end."""
        self._refuse_length()

    def _refuse_length(self) -> None:
        if self._head_lines:
            self.refuse(problem("HEADERS_TOO_LARGE", "The headers are too long."))
        else:
            self.refuse(problem("URI_TOO_LONG", "The request line is too long."))

    def headerReceived(self, line: bytes) -> bool:
        """Take a header."""
        return self._stage is not Stage.CLOSING and bool(super().headerReceived(line))

    def _maybeChooseTransferDecoder(self, header: bytes, data: bytes) -> bool:
        if header == b"Content-Length" and len(data) > _MOST_DIGITS:
            return self._failChooseTransferDecoder()
        if header == b"Transfer-Encoding":
            # Only what everybody reads alike: not "identity", and not in HTTP/1.0.
            ends_in_1_1 = self._request_line.endswith(b"HTTP/1.1")
            if data.lower() != b"chunked" or not ends_in_1_1:
                return self._failChooseTransferDecoder()
        return bool(super()._maybeChooseTransferDecoder(header, data))

    def allHeadersReceived(self) -> None:
        """Go on to the body, if it is wanted."""
        if self._stage is Stage.CLOSING:
            return
        self._enter(Stage.BODY, self.site.limits.body_seconds)
        if self.length is not None and self.length > self.site.limits.body_bytes:
            self.refuse_body()
            return
        if self.length != 0:
            method, target, _ = self._request_line.split(b" ")
            refusal = self.site.refusal(self.requests[-1], method, target)
            if refusal is not None:
                self.refuse(refusal)
                return
        super().allHeadersReceived()  # answers 100-continue too

    # The body and the answer

    def rawDataReceived(self, data: bytes) -> None:
        """Take bytes of the body, or of what comes after it."""
        if self._stage is not Stage.CLOSING:
            super().rawDataReceived(data)

    def allContentReceived(self) -> None:
        """Have the request answered."""
        if self._stage is not Stage.CLOSING:
            self._latest = math.inf
            self._enter(Stage.ANSWERING, math.inf)
            super().allContentReceived()

    def requestDone(self, request: BaseRequest) -> None:
        """Go on to the next request, or close."""
        limits = self.site.limits
        if self._is_last:
            self.persistent = False
            self._enter(Stage.CLOSING, limits.linger_seconds)
        else:
            # Whatever is left when it is looked at first is less than this.
            self._taking = Taking(self.site.reactor.seconds(), -sys.maxsize)
            self._enter(Stage.IDLE if self.persistent else Stage.CLOSING, limits.idle_seconds)
        super().requestDone(request)

    # Refusals

    def refuse_body(self) -> None:
        """Refuse a body that is too long."""
        most = self.site.limits.body_bytes
        self.refuse(problem("PAYLOAD_TOO_LARGE", f"A body may have {most} bytes at most."))

    def _refuse_syntax(self, what: str) -> None:
        self.refuse(problem("BAD_REQUEST", f"The request is not valid HTTP: {what}."))

    def _respondToBadRequestAndDisconnect(self) -> None:
        self._refuse_syntax("its lines or its framing are wrong")

    def refuse(self, answer: Answer) -> None:
        """Answer instead of whatever is being received, and close."""
        if self._stage is Stage.CLOSING:
            return
        self._taking = None
        self._enter(Stage.CLOSING, self.site.limits.linger_seconds)
        headers = self.requests[-1].requestHeaders if self.requests else Headers()
        request_id = request_id_for(headers.getRawHeaders(b"X-Request-ID"))
        seconds = self.site.reactor.seconds() - self._began
        self.site.log_refusal(self._request_line, self.getPeer(), answer, request_id)
        self.transport.write(as_bytes(answer, request_id, seconds))
        if self._can_half_close:
            self.transport.unregisterProducer()  # which would keep it from closing
            self.transport.loseWriteConnection()
        else:
            self.loseConnection()

    def close_when_done(self) -> None:
        """Take no further request: close now, or after the one that is under way."""
        self._is_last, self._taking = True, None
        stage, now = self._stage, self.site.reactor.seconds()
        if stage is Stage.ANSWERING:
            return
        self._latest = now + self.site.limits.linger_seconds
        self._enter(Stage.CLOSING if stage is Stage.IDLE else stage, self._deadline - now)
        if stage is Stage.IDLE:
            self.loseConnection()
