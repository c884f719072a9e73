"""What tests of the stream share: sinks, batches of events, readers of what was sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from hypothesis import HealthCheck, settings
from twisted.web.resource import Resource
from twisted.web.server import Request
from zope.interface import implementer

from loki_twisted.log.interface import Batch
from loki_twisted.model.errors import Unavailable
from loki_twisted.model.events import Fact
from loki_twisted.model.filters import EVERYTHING, EventFilter
from loki_twisted.model.identifiers import ORIGIN
from loki_twisted.stream.hub import Hub
from loki_twisted.stream.interface import ISink, Progress
from loki_twisted.stream.position import FROM_NOW, Start
from loki_twisted.stream.sse import GREETING, place
from loki_twisted.stream.subscriber import Subscriber
from loki_twisted.web.event_stream import EventStream
from tests.fakes_log import START_MS

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For properties: a machine that is busy with other things is no failure."""

SESSION = "session_1763900000000_0badcafe"
OTHER = "session_1763900000001_deadbeef"


_NUMBER = re.compile(rb"^id: evt_(\d+)_\d+\nevent: ", re.MULTILINE)


class Frame(NamedTuple):
    """
    One frame as a client dispatches it.

    Comments have None for all but the text; a frame that only tells a place, for all but the id.
    """

    id: str | None
    event: str | None
    data: object
    comment: str | None = None


def frames_of(received: bytes) -> list[Frame]:
    """Read a stream, without what comes after the last whole frame."""
    return [_frame(text) for text in received.decode().split("\n\n")[:-1]]


def _frame(text: str) -> Frame:
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        name, _, value = line.partition(": ")
        fields[name] = value
    if "" in fields:
        return Frame(None, None, None, fields[""])
    if "retry" in fields:
        return Frame(None, "retry", int(fields["retry"]))
    if set(fields) == {"id"}:
        return Frame(fields["id"], None, None)
    data = msgspec.json.decode(fields["data"])
    return Frame(fields.get("id"), fields["event"], data)


def ids_of(received: bytes) -> list[str]:
    """The ids of the log's events in a stream, in order."""
    return [frame.id for frame in frames_of(received) if frame.id and frame.event]


def places_of(received: bytes) -> list[str]:
    """The places that a stream tells by frames of an id alone, in order."""
    return [frame.id for frame in frames_of(received) if frame.id and not frame.event]


def last_id_of(received: bytes) -> str | None:
    """What a client comes back with, or None while it has been told nothing."""
    ids = [frame.id for frame in frames_of(received) if frame.id]
    return ids[-1] if ids else None


def begun(behind: str = ORIGIN) -> bytes:
    """What a stream begins with, where nothing was reset."""
    return GREETING + place(behind)


def numbers_of(received: bytes) -> list[int]:
    """The numbers of the log's events in a stream, in order."""
    whole, _, _ = received.rpartition(b"\n\n")
    return [int(number) for number in _NUMBER.findall(whole)]


def comments_of(received: bytes) -> list[str]:
    """The comments in a stream."""
    return [frame.comment for frame in frames_of(received) if frame.comment is not None]


def named(received: bytes, event: str) -> list[object]:
    """The data of the frames of an event type."""
    return [frame.data for frame in frames_of(received) if frame.event == event]


def batch(
    count: int = 1,
    type_: str = "log:info",
    session_id: str = SESSION,
    padding: str = "",
    at_ms: int = START_MS,
) -> Batch:
    """Some events of one session and type."""
    return mixed([type_] * count, session_id, padding, at_ms)


def mixed(
    types: Sequence[str], session_id: str = SESSION, padding: str = "", at_ms: int = START_MS
) -> Batch:
    """Events of one session."""
    facts = [
        Fact(type_, {"level": "info", "message": f"line {index}{padding}"})
        for index, type_ in enumerate(types)
    ]
    return Batch(session_id=session_id, at_ms=at_ms, facts=facts)


@implementer(ISink)
class MemorySink:
    """
    Carries a stream to a client that takes bytes when the test says so.

    :param room: How many bytes it holds before it pauses the subscriber; None to let the
        client take everything at once.
    :ivar received: What the client has.
    """

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        self.received = b""
        self.held = b""
        self.writes: list[bytes] = []
        self.finished = self.aborted = self.paused = False
        self.broken: Exception | None = None
        self.subscriber: Subscriber | None = None

    def write(self, data: bytes) -> None:
        if self.finished or self.aborted:
            raise AssertionError("written after the end")
        if self.broken is not None:
            raise self.broken
        self.writes.append(data)
        self.held += data
        if self.room is None:
            self.take(len(self.held))
        elif len(self.held) > self.room and self.subscriber is not None:
            self.paused = True
            self.subscriber.pauseProducing()

    def progress(self) -> Progress:
        return Progress(sum(map(len, self.writes)), len(self.held))

    def finish(self) -> None:
        self.finished = True

    def abort(self) -> None:
        self.aborted = True
        self.held = b""

    def take(self, count: int) -> None:
        """Let the client take bytes."""
        self.received += self.held[:count]
        self.held = self.held[count:]
        if not self.held and self.paused and self.subscriber is not None:
            self.paused = False
            self.subscriber.resumeProducing()

    def take_all(self) -> None:
        """Let the client take what there is until there is nothing more."""
        while self.held:
            self.take(len(self.held))


def listen(
    hub: Hub,
    wanted: EventFilter = EVERYTHING,
    start: Start = FROM_NOW,
    room: int | None = None,
) -> MemorySink:
    """Begin a stream into a sink in memory."""
    sink = MemorySink(room)
    sink.subscriber = hub.subscribe(sink, wanted, start)
    sink.subscriber.start()
    return sink


class Root(Resource):
    """Answers as the routes do: parameters become a filter and a start, errors a status."""

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self.hub = hub
        self.before: Callable[[Request], object] = lambda request: None

    def render(self, request: Request) -> object:
        """Make the stream that the request asks for."""
        self.before(request)
        history = request.args.get(b"history", [b"0"])[0]
        asked = request.getHeader("last-event-id")
        stream = EventStream(self.hub, EVERYTHING, history=int(history), last_event_id=asked)
        try:
            return stream.render(request)
        except Unavailable:
            request.setResponseCode(503)
            return b"closing"


def dechunked(body: bytes) -> bytes:
    """Take the whole chunks out of a body; fail if anything but a part of one is left."""
    data, position = [], 0
    while (end := body.find(b"\r\n", position)) >= 0:
        length = int(body[position:end], 16)
        chunk = body[end + 2 : end + 2 + length]
        position = end + 2 + length + 2
        if position > len(body):
            break
        assert body[position - 2 : position] == b"\r\n"
        data.append(chunk)
    return b"".join(data)
