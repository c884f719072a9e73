"""Servers that answer what no server of this API would: each ends in the client's own errors."""

from __future__ import annotations

import gzip
import tracemalloc
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.client import ClientError
from loki_twisted.client.bodies import collect
from loki_twisted.client.reconnecting import pause_seconds, retry_after_seconds
from loki_twisted.client.recording import record
from loki_twisted.client.sse_parser import SSEParser
from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.filters import EventFilter
from tests.client_fakes import Played, frame
from tests.client_streams import StreamCase

DEEP = b"[" * 100_000 + b"]" * 100_000
MALFORMED = {
    "nested too deeply": DEEP,
    "not UTF-8": b'"\xff"',
    "half a character": b'"\\ud800"',
    "a number of any length": b"9" * 10_000,
}


class AnswerTests(SynchronousTestCase):
    """Answers to ordinary questions."""

    def asked(self, status: int, answer: Any, headers: dict[str, str | bytes]) -> ClientError:
        """Ask a server that answers so; gives the error."""
        played = Played()
        played.server.headers.update(headers)
        played.server.answers[("GET", "/openapi.json")] = (status, answer)
        error = self.failureResultOf(played.client.openapi(), ClientError).value
        assert played.clock.getDelayedCalls() == []
        return error

    def test_malformed_answers(self) -> None:
        """JSON that cannot be read is an answer that is none of this API, whatever is wrong."""
        for status in (200, 500):
            for name, value in MALFORMED.items():
                answer = b'{"error": "No.", "code": "X", "details": {"x": ' + value + b"}}"
                error = self.asked(status, answer, {})

                assert (name, error.code) == (name, "UNEXPECTED_ANSWER")
                assert error.status == status

    def test_a_time_that_is_none(self) -> None:
        """A session that was started at no time cannot be recorded; nothing is written."""
        played = Played()
        session = {"id": "s", "status": "running", "provider": "demo", "projectDir": "/srv/p"}
        times = {"startedAt": "yesterday", "updatedAt": "yesterday"}
        counts = dict.fromkeys(("total", "pending", "running", "completed", "failed"), 0)
        answer = {
            "session": {**session, **times},
            "tasks": counts,
            "agents": dict.fromkeys(("active", "spawned", "completed"), 0),
        }
        played.server.answers[("GET", "/api/sessions/s")] = (200, answer)
        written: list[bytes] = []
        recording = record(played.client, "s", written.append, lambda: 0)
        error = self.failureResultOf(Deferred.fromCoroutine(recording), ClientError).value

        assert (error.code, written) == ("UNEXPECTED_ANSWER", [])

    def test_headers_of_any_bytes(self) -> None:
        """A header that is not UTF-8 says nothing, and breaks nothing."""
        error = self.asked(503, {"error": "No.", "code": "X"}, {"retry-after": b"\xff"})

        assert (error.code, error.details) == ("X", None)

    def test_compressed_answers(self) -> None:
        """Answers are asked for as they are: a compressed one could become any length."""
        played = Played()
        played.server.headers["content-encoding"] = "gzip"
        answer = gzip.compress(b'{"alive": true, "uptime": 1}')
        played.server.answers[("GET", "/health/live")] = (200, answer)

        error = self.failureResultOf(played.client.live(), ClientError).value

        assert (error.code, error.status) == ("UNEXPECTED_ANSWER", 200)
        assert played.server.asked[0].headers["accept-encoding"] == "identity"

    def test_cookies_are_not_kept(self) -> None:
        """What a server would have a browser keep is not sent again, to nobody."""
        played = Played()
        played.server.headers["set-cookie"] = "a=b; Path=/"
        for _ in range(2):
            self.failureResultOf(played.client.live(), ClientError)

        assert [each for each in played.server.asked if "cookie" in each.headers] == []

    def test_names_that_lead_elsewhere(self) -> None:
        """What is no id is refused before anything is sent: dots could not be escaped."""
        for name in ("", ".", "..", "\ud800"):
            played = Played()
            for asking in (played.client.stop_session(name), played.client.get_task("s", name)):
                self.failureResultOf(asking, InvalidRequest)

            assert played.server.asked == []

    def test_no_line_is_added_to_a_request(self) -> None:
        """A line end in a token or an id adds no header, and no second request."""
        ends = "x\r\nX-Injected: 1\r\n\r\nGET /evil HTTP/1.1\r\n\r\n"
        played = Played(token=ends)
        self.failureResultOf(played.client.get_session(ends), ClientError)
        stream = played.client.events(EventFilter.of(ends), after=ends)
        played.flush()

        assert len(played.server.asked) == 2
        assert [each for each in played.server.asked if "x-injected" in each.headers] == []
        closing = Deferred.fromCoroutine(stream.aclose())
        played.flush()
        self.successResultOf(closing)


class StreamTests(StreamCase):
    """Streams, and the questions that are asked for them."""

    def test_malformed_events(self) -> None:
        """An event that cannot be read ends the stream as one of another API."""
        consumer = self.consume(after="earliest")
        data = frame(2).removesuffix(b"}}\n\n")
        self.played.send(frame(1) + data[: data.rindex(b"{")] + b'{"x":' + DEEP + b"}}\n\n")

        assert consumer.taken == [1]
        assert consumer.end.code == "UNEXPECTED_ANSWER"
        assert self.played.stream.gone

    def test_a_type_of_any_bytes(self) -> None:
        """An answer whose type is not UTF-8 is no event stream; its connection is closed."""
        self.played.server.stream_type = b"\xff"
        consumer = self.consume(after="earliest")

        assert consumer.end.code == "UNEXPECTED_ANSWER"
        assert self.played.stream.gone

    def test_waits_that_are_no_time(self) -> None:
        """What a refusal gives as a wait, and is none, neither ends a stream nor delays it."""
        for wait in ("soon", None, [1], -5):
            self.played = Played()
            problem = {"error": "Later.", "code": "X", "details": {"retryAfter": wait}}
            self.played.server.stream_answer = (503, problem)
            consumer = self.consume(after="earliest")
            self.played.come_back()

            assert len(self.played.server.asked) == 2
            assert consumer.end == ""
            self.nothing_is_left()

    def test_places_that_are_none(self) -> None:
        """What is no event id is not begun behind, and not sent to the server again."""
        for named in ("a\r\nX-Injected: 1", "\0", "evt_1_1" * 100):
            self.played = Played()
            stats = self.played.server.answers[("GET", "/api/events/stats")][1]
            stats["newestEventId"] = named
            consumer = self.consume()

            assert consumer.end.code == "UNEXPECTED_ANSWER"
            assert len(self.played.server.asked) == 1
            self.nothing_is_left()

    def test_pages_that_lie(self) -> None:
        """A page of the history counts by the events in it, whatever it says of their number."""
        past = {"events": [], "count": 1_000_000}
        self.played.server.answers[("GET", "/api/events/history")] = (200, past)
        self.consume(history=2)

        assert self.played.stream.last_event_id == "earliest"


@pytest.mark.parametrize("digits", [9, 400, 10_000])
def test_waits_are_finite(digits: int) -> None:
    """A wait of any number of digits is a time, and a stream waits for five minutes at most."""
    seconds = retry_after_seconds("9" * digits)
    asked = int("9" * min(digits, 400))

    assert seconds == 999_999_999.0
    assert pause_seconds(ClientError("X", 503, "", {"retryAfter": asked})) == 300.0


class Given:
    """An answer whose body is handed over piece by piece."""

    def deliverBody(self, body: Any) -> None:  # noqa: N802  # Twisted's name
        """Note who wants it."""
        self.body = body


@pytest.mark.parametrize("kind", ["answer", "line of a stream"])
def test_small_pieces_cost_what_large_ones_do(kind: str) -> None:
    """An answer, or a line, that comes in pieces of two bytes takes little more than its length."""
    given = Given()
    if kind == "answer":
        whole = collect(given, Clock(), 30)
        take = given.body.dataReceived
    else:
        take = SSEParser().feed
    tracemalloc.start()
    try:
        for number in range(200_000):
            take(b"%02d" % (number % 100))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 4 * 400_000
    if kind == "answer":
        whole.addErrback(lambda _: None)
        whole.cancel()
