"""When an event stream comes back, and when it does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.client import ClientError
from loki_twisted.client.reconnecting import delay_seconds, is_final, retry_after_seconds
from tests.client_fakes import Played, frame
from tests.client_streams import RESET, StreamCase, special


class ReconnectingTests(StreamCase):
    """Over cuts, refusals and troubles."""

    def test_a_steady_connection_makes_good(self) -> None:
        """After a connection that lasted, the next failure is the first one again."""
        self.played.server.stream_answer = (503, {"error": "Later.", "code": "X"})
        self.consume(after="earliest")
        for _ in range(5):
            self.played.advance(30)
        self.played.server.stream_answer = None
        self.played.advance(30)
        self.played.advance(10)
        self.played.stream.cut()
        self.played.flush()
        self.played.come_back()

        assert len(self.played.server.streams) == 2

    def test_an_event_makes_good(self) -> None:
        """After an event the next failure is the first one again, however short the connection."""
        self.played.server.stream_answer = (503, {"error": "Later.", "code": "X"})
        self.consume(after="earliest")
        for _ in range(5):
            self.played.advance(45)
        self.played.server.stream_answer = None
        self.played.advance(45)
        self.played.send(frame(1))
        self.played.stream.cut()
        self.played.flush()
        self.played.come_back()

        assert len(self.played.server.streams) == 2

    def test_the_server_says_how_long_to_wait(self) -> None:
        """What the stream gives as retry is waited for before coming back, and a little more."""
        self.consume(after="earliest")
        self.played.send(b"retry: 8000\n\n")
        self.played.stream.cut()
        self.played.flush()
        self.played.advance(7.9)
        assert len(self.played.server.streams) == 1

        self.played.advance(4.1)
        assert len(self.played.server.streams) == 2

    def come_and_go(self, seconds: int, *frames: bytes) -> int:
        """Let a server that wants no pause say this on each connection, and close it; counts."""
        for _ in range(seconds * 20):
            self.played.advance(0.05)
            if not self.played.stream.gone:
                self.played.send(b"retry: 0\n\n" + b"".join(frames))
                self.played.stream.end()
                self.played.flush()
        return len(self.played.server.streams)

    def test_connections_that_bring_an_event_and_end(self) -> None:
        """A server that closes after each event is come back to once in a second, and no more."""
        self.consume(after="earliest")

        assert 10 <= self.come_and_go(20, frame(1)) <= 21

    def test_refusals_between_events(self) -> None:
        """A server that wants no pause, and refuses between events, is not asked more often."""
        refusal = (503, {"error": "Later.", "code": "X"})
        self.consume(after="earliest")
        asked = 0
        for _ in range(20 * 20):
            if not self.played.stream.gone:
                self.played.send(b"retry: 0\n\n" + frame(1))
                self.played.server.stream_answer = refusal
                self.played.stream.end()
                self.played.flush()
                asked = len(self.played.server.asked)
            if len(self.played.server.asked) == asked + 5:
                self.played.server.stream_answer = None
            self.played.advance(0.05)

        assert len(self.played.server.streams) >= 3
        assert 10 <= len(self.played.server.asked) <= 21

    def test_nobody_answers_for_a_moment(self) -> None:
        """A server that wants no pause, and is away for a moment, is found soon after that."""
        self.consume(after="earliest")
        self.played.send(b"retry: 0\n\n")
        self.played.advance(1)
        self.played.server.is_away = True
        self.played.stream.end()
        for _ in range(100):
            self.played.advance(0.005)
        assert len(self.played.server.asked) >= 4

        self.played.server.is_away = False
        for _ in range(100):
            self.played.advance(0.01)
        assert len(self.played.server.streams) == 2

    def test_words_of_the_stream_make_nothing_good(self) -> None:
        """What a server says of the stream is no success: the pauses grow to half a minute."""
        bye = special("stream:bye", {"lastEventId": "evt_1_1000"})
        for word in (bye, special("stream:reset", RESET), bye + special("stream:weather", {})):
            self.played = Played()
            self.consume(after="earliest", on_reset=lambda _: None)

            assert 8 <= self.come_and_go(120, word) <= 20
            self.nothing_is_left()

    def test_a_clean_end_costs_no_pause(self) -> None:
        """A server that ends after a while, and wants no pause, is come back to at once."""
        self.consume(after="earliest")
        self.played.advance(1)
        self.come_and_go(1, frame(1), special("stream:bye", {"lastEventId": "evt_1_1000"}))

        assert len(self.played.server.streams) == 2

    def test_refusals_end_it(self) -> None:
        """A stream that is refused gives what was read and then the reason."""
        for status in (400, 401, 403, 404, 421, 422):
            self.played = Played()
            consumer = self.consume(after="earliest")
            self.played.send(frame(1))
            refusal = {"error": "No.", "code": "SOME_CODE"}
            self.played.server.stream_answer = (status, refusal)
            self.played.stream.cut()
            self.played.flush()
            self.played.come_back()

            assert consumer.taken == [1]
            assert (consumer.end.code, consumer.end.status) == ("SOME_CODE", status)
            assert self.played.clock.getDelayedCalls() == []

    def test_troubles_do_not_end_it(self) -> None:
        """A server that is busy or broken is come back to, after what it asks for."""
        for status, code in ((429, "TOO_MANY_REQUESTS"), (500, "X"), (503, "X"), (502, None)):
            self.played = Played()
            self.played.server.headers["retry-after"] = "20"
            answer: Any = {"error": "Later.", "code": code} if code else b"<h1>Bad Gateway</h1>"
            self.played.server.stream_answer = (status, answer)
            consumer = self.consume(after="earliest")
            self.played.advance(19)
            assert len(self.played.server.asked) == 1
            self.played.server.stream_answer = None
            self.played.advance(11)
            self.played.send(frame(1))

            assert consumer.taken == [1]
            self.nothing_is_left()

    def test_another_kind_of_answer_ends_it(self) -> None:
        """A page that is no event stream is not read as one."""
        self.played.server.stream_type = "text/html"
        consumer = self.consume(after="earliest")

        assert consumer.end.code == "UNEXPECTED_ANSWER"
        assert self.played.stream.gone

    def test_broken_events_end_it(self) -> None:
        """An event that cannot be read is not skipped, and not asked for again for ever."""
        consumer = self.consume(after="earliest")
        self.played.send(frame(1) + b"id: evt_2_2\ndata: {\n\n")

        assert consumer.taken == [1]
        assert consumer.end.code == "UNEXPECTED_ANSWER"


class RuleTests(SynchronousTestCase):
    """When to come back, as pure rules."""

    def test_final_refusals(self) -> None:
        """Only a server that may change its mind is come back to."""
        verdicts = {
            status: is_final(ClientError("X", status, ""))
            for status in (200, 204, 302, 400, 401, 403, 404, 408, 421, 425, 429, 500, 503, 507)
        }

        assert [s for s, final in verdicts.items() if not final] == [408, 425, 429, 500, 503, 507]

    def test_retry_after(self) -> None:
        """A number of seconds counts; a date, or nothing, does not."""
        for value, seconds in (("7", 7.0), (None, 0.0), ("Mon, 23 Nov", 0.0), ("-1", 0.0)):
            assert retry_after_seconds(value) == seconds


@given(
    st.integers(0, 10_000),
    st.floats(0, 1_000_000),
    st.floats(0, 1_000_000),
    st.floats(0, 1, exclude_max=True),
)
def test_delays_are_bounded(failures: int, retry: float, at_least: float, chance: float) -> None:
    """A client waits as long as the server asks, but none waits for ever, and none not at all."""
    delay = delay_seconds(failures, retry, at_least, lambda: chance)

    assert max(min(max(retry, at_least), 300.0), 0.01) <= delay <= 300.0


@pytest.mark.parametrize(("failures", "least"), [(0, 2.0), (1, 4.0), (3, 16.0), (9, 30.0)])
def test_delays_grow(failures: int, least: float) -> None:
    """Each failure doubles the delay up to half a minute; by chance it is up to a half more."""
    assert delay_seconds(failures, 2.0, 0.0, lambda: 0.0) == least
    assert delay_seconds(failures, 2.0, 0.0, lambda: 1.0) == least * 1.5


def test_delays_grow_from_nothing() -> None:
    """A server that asks for no delay at all is left alone after some failures."""
    delays = [delay_seconds(failures, 0.0, 0.0, lambda: 0.0) for failures in range(13)]

    assert delays[0] == 0.01
    assert delays[-1] == 30.0
