"""
The response that carries an event stream, and the one place where its bytes reach a socket.

What is written to many is the cost of the stream, so there are three ways to write:

- A chunked response on a plain socket (TCP or UNIX) for which the transport holds nothing:
  the chunk goes straight to the socket, as the transport itself would send it; what that does not
  take, and what goes wrong, goes to the transport. A round trip through the reactor for each
  subscriber and commit costs three times as much, and the transport's own ``writeSomeData``
  half as much again as the system call.
- A chunked response on any other transport (TLS, or what a proxy or a test puts there): the chunk
  goes to the channel.
- Anything else (HTTP/1.0, HTTP/2, a response with an encoder): ``request.write``.

All three give the same bytes to the client; the chunk is made once for all
who are sent the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from twisted.internet.interfaces import ITCPTransport
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.web.http import HTTPChannel
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from loki_twisted.model.filters import EventFilter
from loki_twisted.stream.hub import Hub
from loki_twisted.stream.interface import ISink, Progress
from loki_twisted.stream.position import start_of
from loki_twisted.stream.sse import CONTENT_TYPE
from loki_twisted.web.answers import OLDEST_EVENT_ID
from loki_twisted.web.outlets import bottom_of, held_below, held_by

HEADERS: Final = (
    (b"Content-Type", CONTENT_TYPE),
    (b"Cache-Control", b"no-cache, no-transform"),
    (b"X-Accel-Buffering", b"no"),
)
"""What keeps caches and proxies from storing, compressing or holding back the stream."""

_NO_HEADERS: Final = Headers()

_log = Logger()


class Chunks:
    """Puts bytes into HTTP chunks: those that come several times in a row only once."""

    __slots__ = ("_chunk", "_data")

    def __init__(self) -> None:
        self._data = self._chunk = b""

    def of(self, data: bytes) -> bytes:
        """
        Make the chunk of some bytes.

        :param data: Not empty: an empty chunk would end the response.
        """
        if data is not self._data:
            self._data, self._chunk = data, b"%x\r\n%b\r\n" % (len(data), data)
        return self._chunk


_chunks: Final = Chunks()


@implementer(ISink)
class ResponseSink:
    """
    Writes a stream as the body of a response.

    :param request: Not answered yet, and not disconnected.
    """

    __slots__ = ("_bottom", "_channel", "_chunked", "_plain", "_request", "_send")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._channel = request.channel
        self._bottom = bottom_of(request.channel)
        self._chunked = False
        self._plain: Connection | None = None
        self._send: Callable[[bytes], int] = _send_nothing

    def begin(self) -> None:
        """Send the status and the headers, and find out which way to write."""
        request = self._request
        request.write(b"")
        # The encoder is private, but there is no other way to see that bytes
        # must not get round request.write.
        self._chunked = bool(request.chunked) and request._encoder is None  # noqa: SLF001
        transport = self._channel.transport
        if self._chunked and isinstance(transport, Connection) and not transport.TLS:
            self._plain = transport
            self._send = transport.socket.send

    def write(self, data: bytes) -> None:  # noqa: D102  # the interface says it
        plain = self._plain
        if plain is None:
            self._write_through_channel(data)
            return
        self._request.sentLength += len(data)  # for the access log, as request.write does
        chunk = _chunks.of(data)
        if plain.dataBuffer or plain._tempDataLen:  # noqa: SLF001  # the second half of its buffer
            plain.write(chunk)
            return
        try:
            taken = self._send(chunk)
        except OSError:
            # It takes nothing now, or the connection is lost: the reactor will find out
            # which, and tell it, when it tries to write.
            taken = 0
        if taken != len(chunk):
            plain.write(chunk[taken:])

    def _write_through_channel(self, data: bytes) -> None:
        if self._chunked:
            self._request.sentLength += len(data)
            self._channel.write(_chunks.of(data))
        else:
            self._request.write(data)

    def progress(self) -> Progress:  # noqa: D102  # the interface says it
        held = held_by(self._bottom)
        unacknowledged = held_below(self._bottom) if held else 0
        return Progress(self._request.sentLength, held, unacknowledged)

    def finish(self) -> None:  # noqa: D102  # the interface says it
        self._request.unregisterProducer()
        self._request.finish()
        # Twisted has closed a connection that is not persistent, and a stream of HTTP/2.
        if isinstance(self._channel, HTTPChannel) and self._channel.persistent:
            self._channel.loseConnection()

    def abort(self) -> None:  # noqa: D102  # the interface says it
        if isinstance(self._channel, HTTPChannel):
            cast(ITCPTransport, self._channel.transport).abortConnection()
        else:  # an HTTP/2 stream, which shares its connection with others
            self._channel.abortConnection()


def _send_nothing(_: bytes) -> int:
    return 0


class EventStream(Resource):
    """
    One stream of events, for one request.

    :param hub: Who serves it.
    :param wanted: Which events it carries.
    :param history: How many of the last events it begins with; None for none.
    :param last_event_id: Where it goes on, from the header or else the query; None or empty to
        begin now.
    :ivar start: Where it begins.
    :ivar oldest_left: Id of the oldest event that there is, if it cannot begin there; else None.
    """

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(
        self,
        hub: Hub,
        wanted: EventFilter,
        *,
        history: int | None = None,
        last_event_id: str | None = None,
    ) -> None:
        super().__init__()
        self._hub = hub
        self._wanted = wanted
        self.start = start_of(history, last_event_id)
        self.oldest_left: str | None = None

    def render_HEAD(self, request: Request) -> bytes | int:  # noqa: N802  # Twisted's name
        """Answer the headers alone; Twisted would begin a stream that nobody reads."""
        if request.channel is None:
            return NOT_DONE_YET
        self._set_headers(request)
        return b""

    def render_GET(self, request: Request) -> int:  # noqa: N802  # Twisted's name
        """
        Begin the stream.

        :raises Unavailable: while the server shuts down; nothing was written then.
        """
        if request.channel is None:  # the client left before its request was looked at
            return NOT_DONE_YET
        sink = ResponseSink(request)
        subscriber = self._hub.subscribe(sink, self._wanted, self.start)
        with _log.failuresHandled("An event stream could not begin") as operation:
            self._set_headers(request)
            request.notifyFinish().addErrback(subscriber.lost)
            request.registerProducer(subscriber, True)
            sink.begin()
            # Nobody asks for them again, and a browser's are kilobytes, for as long as it listens.
            request.requestHeaders = _NO_HEADERS
            subscriber.start()
        if operation.failed:
            subscriber.cut()
        return NOT_DONE_YET

    def _set_headers(self, request: Request) -> None:
        for name, value in HEADERS:
            request.setHeader(name, value)
        if self.oldest_left is not None:
            request.setHeader(OLDEST_EVENT_ID, self.oldest_left)
