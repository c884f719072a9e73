"""A server that is played: in memory, without any of the real one's code."""

from __future__ import annotations

import json
from typing import Any

import attrs
from treq.testing import RequestTraversalAgent
from twisted.internet.task import Clock
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from loki_twisted.client import LokiClient


def frame(seq: int, event_type: str = "log:info", **data: Any) -> bytes:
    """An event as the server sends it."""
    event = {
        "id": f"evt_{seq}_{seq * 1000}",
        "type": event_type,
        "timestamp": "2026-11-23T22:43:11.042Z",
        "sessionId": "session_1",
        "data": data,
    }
    return f"id: {event['id']}\nevent: {event_type}\ndata: {json.dumps(event)}\n\n".encode()


@attrs.define
class Asked:
    """A request that came in."""

    method: str
    uri: str
    headers: dict[str, str]
    body: bytes


class PlayedStream:
    """One open connection of the stream, seen from the server."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.gone = False
        request.notifyFinish().addBoth(self._finished)

    def _finished(self, _: object) -> None:
        self.gone = True

    @property
    def last_event_id(self) -> str | None:
        """What the client asked to go on after."""
        return self.request.getHeader("last-event-id")

    def write(self, data: bytes) -> None:
        """Send something."""
        self.request.write(data)

    def end(self) -> None:
        """End it in order."""
        self.request.finish()

    def cut(self) -> None:
        """Cut the connection in the middle of the answer."""
        self.request.transport.loseConnection()


class PlayedServer(Resource):
    """
    Answers what it is told to.

    :ivar answers: Status and JSON (or bytes) by method and path, or path with its query.
    :ivar asked: All requests, in order.
    :ivar streams: All connections of the stream, in order.
    :ivar beginning: What each stream brings along with its headers.
    :ivar is_away: Whether connections break without an answer.
    """

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.headers: dict[str, str] = {}
        self.asked: list[Asked] = []
        self.streams: list[PlayedStream] = []
        self.stream_type = "text/event-stream"
        self.beginning = b""
        self.stream_answer: tuple[int, Any] | None = None
        self.is_away = False

    def render(self, request: Request) -> int | bytes:
        """Answer."""
        path = request.path.decode()
        headers = {
            name.decode().lower(): values[0].decode()
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        method = request.method.decode()
        self.asked.append(Asked(method, request.uri.decode(), headers, request.content.read()))
        if self.is_away:
            request.transport.loseConnection()
            return NOT_DONE_YET
        if path == "/api/events" and self.stream_answer is None:
            request.setHeader("content-type", self.stream_type)
            request.write(
                b": connected to loki-mode event stream\nretry: 2000\n\n" + self.beginning
            )
            self.streams.append(PlayedStream(request))
            return NOT_DONE_YET
        played = self.stream_answer if path == "/api/events" else None
        uri = request.uri.decode()
        played = played or self.answers.get((method, uri))
        status, answer = played or self.answers.get(
            (method, path), (404, {"error": "No such page.", "code": "NOT_FOUND"})
        )
        request.setResponseCode(status)
        request.setHeader("content-type", "application/json")
        for name, value in self.headers.items():
            request.setHeader(name, value)
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()


class Played:
    """A played server, a clock, and a client of both."""

    def __init__(self, url: str = "http://localhost:57374", token: str | None = None) -> None:
        self.server = PlayedServer()
        self.clock = Clock()
        self.agent = RequestTraversalAgent(self.server)
        self.client = LokiClient(url, token=token, reactor=self.clock, agent=self.agent)
        stats = {
            "subscribers": 0,
            "historySize": 0,
            "oldestEventId": None,
            "newestEventId": None,
            "eventsPerSecond": 0.0,
            "lag": 0,
        }
        self.server.answers[("GET", "/api/events/stats")] = (200, stats)
        past = {"events": [], "count": 0}
        self.server.answers[("GET", "/api/events/history")] = (200, past)

    def flush(self) -> None:
        """Move all bytes, in both directions."""
        for _ in range(4):
            self.agent.flush()

    def advance(self, seconds: float) -> None:
        """Let time pass, in steps, and move the bytes."""
        self.clock.advance(seconds)
        self.flush()

    def come_back(self) -> None:
        """Let as much time pass as a stream waits after its first cut, at the longest."""
        self.advance(3)

    @property
    def stream(self) -> PlayedStream:
        """The newest connection of the stream."""
        return self.server.streams[-1]

    def send(self, data: bytes) -> None:
        """Send something on the newest connection."""
        self.stream.write(data)
        self.flush()
