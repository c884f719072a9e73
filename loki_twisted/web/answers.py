"""
Answers as values, and the two ways to send one.

Most go through a request object. Those to something that is no HTTP request go to
the connection as bytes. Either way each carries the same headers: a request id, the time
that it took, and those that tell a browser what it may not do with it.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final, Protocol

import attrs
from twisted.web.http import datetimeToString
from twisted.web.server import Request
from zope.interface import Attribute, Interface, implementer

from loki_twisted.access.interface import Caller
from loki_twisted.web.metering import NO_ROUTE, RequestMeter

Headers = tuple[tuple[bytes, bytes], ...]

COMMON_HEADERS: Final[Headers] = (
    (b"Cache-Control", b"no-store"),
    (b"Content-Security-Policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Vary", b"Origin"),
    (b"X-Content-Type-Options", b"nosniff"),
)
"""What every response carries. CORS is not subject to the resource policy, so it harms no one."""

OLDEST_EVENT_ID: Final = "X-Oldest-Event-ID"
"""Says to who asks for events that are not there with which the log begins."""

JSON: Final = b"application/json"

_PROCESS: Final = os.urandom(6).hex().encode()
_numbers: Final = itertools.count(1)
_SANE_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class Clock(Protocol):
    """The part of a reactor that measures time."""

    def seconds(self) -> float:
        """Seconds since some moment."""


@attrs.frozen(slots=True)
class Answer:
    """
    A whole response.

    :ivar status: HTTP status.
    :ivar body: JSON, or empty.
    :ivar headers: Headers beside the common ones and those of the body.
    :ivar closes: Whether the connection is closed after it, because what follows on
        it cannot be trusted.
    :ivar code: That of a problem; else empty.
    """

    status: int
    body: bytes = b""
    headers: Headers = ()
    closes: bool = False
    code: str = ""


NOBODY: Final = Caller("nobody", frozenset())
"""Who has not been let in, or is where everybody may be."""


class IExchange(Interface):
    """What belongs to one request and its response. A component of the request."""

    request_id = Attribute("The id that the response carries, as bytes.")
    route = Attribute("The path of the operation that answers, as it is declared; empty before.")
    caller = Attribute("Who sends the request.")
    value = Attribute("What the answer says, where that is no problem; else None.")
    on_answer = Attribute("Is told the answer, before it is sent; None where nobody wants to know.")

    def witness(answer: Answer) -> None:  # noqa: N805
        """Have it put on record how the request is answered, if it is to be. Once is enough."""

    def stamp(request: Request) -> None:  # noqa: N805  # an interface method has no self
        """Put the time that it took into the response's headers, and count it."""


@implementer(IExchange)
@attrs.define(eq=False)
class Exchange:
    """
    An exchange that is measured by a clock.

    :ivar began: The clock's seconds when the request was handed to us.
    :ivar meter: Counts it.
    :ivar on_answer: Is told the answer, before it is sent; None where nobody wants to know.
    """

    request_id: bytes
    began: float
    clock: Clock
    meter: RequestMeter
    route: str = NO_ROUTE
    caller: Caller = NOBODY
    value: object = None
    on_answer: Callable[[Answer], None] | None = None

    def witness(self, answer: Answer) -> None:
        """Tell it."""
        on_answer, self.on_answer = self.on_answer, None
        if on_answer is not None:
            on_answer(answer)

    def stamp(self, request: Request) -> None:
        """Measure now."""
        seconds = self.clock.seconds() - self.began
        request.responseHeaders.setRawHeaders(b"X-Response-Time", [duration_text(seconds)])
        self.meter.note(self.route, request.method, request.code, seconds)


def request_id_for(wanted: Sequence[bytes] | None) -> bytes:
    """
    Choose the id of a request.

    :param wanted: The ``X-Request-ID`` headers that it has.
    :returns: The client's own if it sent one that is sane, else a new one.
    """
    if wanted and len(wanted) == 1 and _SANE_REQUEST_ID.fullmatch(wanted[0]):
        return wanted[0]
    return b"%b-%x" % (_PROCESS, next(_numbers))


def duration_text(seconds: float) -> bytes:
    """Format a duration for ``X-Response-Time``: whole milliseconds."""
    return b"%dms" % (seconds * 1000)


def open_exchange(request: Request, clock: Clock, meter: RequestMeter) -> Exchange:
    """Begin to answer a request: set the headers that do not depend on the answer."""
    wanted = request.requestHeaders.getRawHeaders(b"X-Request-ID")
    exchange = Exchange(request_id_for(wanted), clock.seconds(), clock, meter)
    request.setComponent(IExchange, exchange)
    headers = request.responseHeaders
    headers.removeHeader(b"Server")  # it would name a version
    headers.setRawHeaders(b"X-Request-ID", [exchange.request_id])
    for name, value in COMMON_HEADERS:
        headers.setRawHeaders(name, [value])
    return exchange


def exchange_of(request: Request) -> IExchange:
    """The exchange that was opened for a request."""
    exchange: IExchange = request.getComponent(IExchange)
    return exchange


def is_gone(request: Request) -> bool:
    """Whether nobody waits for the response any longer: the client left, or it is sent."""
    return getattr(request, "channel", None) is None


def send(request: Request, answer: Answer) -> None:
    """
    Send an answer to a request whose exchange is open.

    If a response has begun already, nothing right can be added to it: the connection is
    cut, so that the client does not take half a response for a whole one. If
    the client has left, nothing is sent.
    """
    exchange_of(request).witness(answer)
    if is_gone(request):
        return
    if request.startedWriting:
        request.transport.abortConnection()  # type: ignore[union-attr]  # every stream has it
        return
    request.write(prepare(request, answer))
    request.finish()


def prepare(request: Request, answer: Answer) -> bytes:
    """
    Set the status and the headers of an answer, for somebody else to write its body.

    :returns: The body.
    """
    exchange_of(request).witness(answer)
    request.setResponseCode(answer.status, phrase_of(answer.status))
    headers = request.responseHeaders
    if answer.status != HTTPStatus.NO_CONTENT:
        headers.setRawHeaders(b"Content-Type", [JSON])
        headers.setRawHeaders(b"Content-Length", [b"%d" % len(answer.body)])
    for name, value in answer.headers:
        headers.setRawHeaders(name, [value])
    if answer.closes:
        headers.setRawHeaders(b"Connection", [b"close"])
        request.channel.persistent = False
    exchange_of(request).stamp(request)
    return answer.body


def as_bytes(answer: Answer, request_id: bytes, seconds: float) -> bytes:
    """
    Write out an answer for a connection on which nothing may follow.

    :param seconds: How long it took.
    """
    headers: Headers = (
        (b"Date", datetimeToString()),
        (b"Content-Type", JSON),
        (b"Content-Length", b"%d" % len(answer.body)),
        (b"Connection", b"close"),
        (b"X-Request-ID", request_id),
        (b"X-Response-Time", duration_text(seconds)),
        *COMMON_HEADERS,
        *answer.headers,
    )
    lines = [b"HTTP/1.1 %d %b" % (answer.status, phrase_of(answer.status))]
    lines += [b"%b: %b" % header for header in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + answer.body


def phrase_of(status: int) -> bytes:
    """The reason phrase of a status; Twisted does not know all of ours."""
    return _PHRASES[status]


_PHRASES: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
