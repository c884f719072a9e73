"""Servers that answer what no server of this API would: each ends in the client's own errors."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.client import ClientError
from loki_twisted.client.reconnecting import retry_after_seconds, wanted_seconds
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

    def test_headers_of_any_bytes(self) -> None:
        """A header that is not UTF-8 says nothing, and breaks nothing."""
        error = self.asked(503, {"error": "No.", "code": "X"}, {"retry-after": b"\xff"})

        assert (error.code, error.details) == ("X", None)


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
    assert wanted_seconds(ClientError("X", 503, "", {"retryAfter": asked})) == 300.0
