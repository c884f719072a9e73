"""The event stream that goes on where it was cut off."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.client import ClientError, EventStream, LokiClient, StreamReset
from loki_twisted.client.reconnecting import delay_seconds, is_final, retry_after_seconds
from loki_twisted.model.filters import EventFilter
from loki_twisted.stream.hub import Hub
from tests.client_fakes import Played, frame
from tests.fakes_log import FakeLog
from tests.fakes_stream import Root, batch

RESET = {"asked": "evt_9_9", "oldest": "evt_3_3000", "newest": "evt_4_4000", "reason": "future"}


def special(event_type: str, data: dict[str, Any]) -> bytes:
    """A frame of the stream itself, which has no id."""
    return f"event: {event_type}\ndata: {json.dumps(data)}\n\n".encode()


class Consumer:
    """
    Takes events as they come, or one by one.

    :ivar taken: Numbers of the events that were taken.
    :ivar end: How the iteration ended: an exception, None, or the empty string before.
    """

    def __init__(self, stream: EventStream, *, stop_at: int | None = None) -> None:
        self.stream = stream
        self.taken: list[int] = []
        self.end: Any = ""
        self.stop_at = stop_at

    def go(self) -> Consumer:
        """Take whatever comes."""
        Deferred.fromCoroutine(self._take())
        return self

    async def _take(self) -> None:
        try:
            async for event in self.stream:
                self.taken.append(int(event.id.split("_")[1]))
                if len(self.taken) == self.stop_at:
                    await self.stream.aclose()
            self.end = None
        except ClientError as error:
            self.end = error


class StreamTests(SynchronousTestCase):
    """A stream over an in-memory connection, with a clock that is turned by hand."""

    def setUp(self) -> None:
        self.played = Played()
        self.addCleanup(self.nothing_is_left)

    def nothing_is_left(self) -> None:
        """After the end of the client no connection and no delayed call is there."""
        closing = self.played.client.close()
        self.played.flush()
        self.successResultOf(closing)
        assert self.played.clock.getDelayedCalls() == []
        assert [stream for stream in self.played.server.streams if not stream.gone] == []

    def consume(self, **wanted: Any) -> Consumer:
        stream = self.played.client.events(**wanted)
        self.played.flush()
        return Consumer(stream).go()

    def close(self, stream: EventStream) -> None:
        closing = Deferred.fromCoroutine(stream.aclose())
        self.played.flush()
        self.successResultOf(closing)

    def test_events_come_as_they_are_sent(self) -> None:
        """Each event is a value, as soon as its frame is whole."""
        consumer = self.consume(after="evt_1_1")
        whole = frame(2, "task:completed", taskId="t", title="x")
        self.played.send(whole[:20])
        assert consumer.taken == []

        self.played.send(whole[20:])
        assert consumer.taken == [2]

    def test_what_is_asked_for(self) -> None:
        """The filter goes into the query, where to begin into the header."""
        self.consume(wanted=EventFilter.of("s", ["task:*", "log:warn"]), after="evt_5_5000")

        asked = self.played.server.asked[-1]
        assert asked.uri == "/api/events?sessionId=s&types=log%3Awarn%2Ctask%3A%2A"
        assert asked.headers["accept"] == "text/event-stream"
        assert asked.headers["last-event-id"] == "evt_5_5000"

    def test_it_goes_on_after_a_cut(self) -> None:
        """A connection that breaks in the middle of an event is followed by one from before it."""
        consumer = self.consume(after="evt_1_1000")
        self.played.send(frame(2) + frame(3)[:30])
        self.played.stream.cut()
        self.played.flush()
        self.played.come_back()

        assert self.played.stream.last_event_id == "evt_2_2000"
        self.played.send(frame(3))
        assert consumer.taken == [2, 3]

    def test_it_goes_on_after_an_end(self) -> None:
        """A stream that the server ends in order is come back to as well."""
        consumer = self.consume(after="earliest")
        self.played.send(frame(1) + special("stream:bye", {"lastEventId": "evt_1_1000"}))
        self.played.stream.end()
        self.played.flush()
        self.played.come_back()

        assert self.played.stream.last_event_id == "evt_1_1000"
        assert consumer.taken == [1]
        assert consumer.end == ""

    def test_from_now_on_has_no_hole(self) -> None:
        """A stream from now on knows where it began, though its first connection brings nothing."""
        stats = self.played.server.answers[("GET", "/api/events/stats")][1]
        stats["newestEventId"] = "evt_7_7000"
        self.consume()
        assert self.played.stream.last_event_id == "evt_7_7000"
        self.played.stream.cut()
        self.played.flush()
        self.played.come_back()

        assert self.played.stream.last_event_id == "evt_7_7000"

    def test_it_goes_on_at_a_place_that_was_told(self) -> None:
        """An id without an event is where it comes back to, and no event for the consumer."""
        consumer = self.consume(after="evt_1_1000")
        self.played.send(frame(2) + b": keep-alive\n\nid: evt_9_9000\n\n" + b"id: evt_11_11000\n")
        self.played.stream.cut()
        self.played.flush()
        self.played.come_back()

        assert self.played.stream.last_event_id == "evt_9_9000"
        self.played.send(b"id: earliest\n\n" + frame(12))
        assert consumer.taken == [2, 12]

    def test_from_now_on_in_an_empty_log(self) -> None:
        """Where there is no event yet, from now on is from the first one on."""
        self.consume()
        assert self.played.stream.last_event_id == "earliest"

    def test_the_place_of_from_now_on(self) -> None:
        """A consumer that has taken nothing yet can go on later all the same."""
        self.played.server.answers[("GET", "/api/events/stats")][1]["newestEventId"] = "evt_7_7000"
        stream = self.played.client.events()
        self.played.flush()

        assert stream.last_event_id == "evt_7_7000"

    def answer_history(self, *numbers: int) -> None:
        """Let the server have these events."""
        events = [json.loads(frame(number).split(b"data: ")[1]) for number in numbers]
        past = {"events": events, "count": len(events)}
        self.played.server.answers[("GET", "/api/events/history")] = (200, past)

    def test_history_begins_behind_the_event_before_it(self) -> None:
        """Where the last events begin is found out first, so that a cut loses nothing."""
        self.answer_history(4, 7, 9)
        self.consume(wanted=EventFilter("s"), history=2)
        asked = [each.uri for each in self.played.server.asked]
        assert asked == ["/api/events/history?sessionId=s&limit=3", "/api/events?sessionId=s"]
        assert self.played.stream.last_event_id == "evt_4_4000"

        self.played.stream.cut()
        self.played.flush()
        self.played.come_back()
        assert self.played.stream.last_event_id == "evt_4_4000"

    def test_a_history_of_all_there_is(self) -> None:
        """Where there are fewer events than are asked for, the stream begins with the first."""
        self.answer_history(1, 2)
        self.consume(history=2)

        assert self.played.stream.last_event_id == "earliest"

    def test_a_history_of_many_pages(self) -> None:
        """More events than the server lists at once are counted in several pages."""
        self.answer_history(*range(1, 1001))
        self.consume(history=1999)
        asked = [each.uri for each in self.played.server.asked]

        assert asked[0] == "/api/events/history?limit=1000"
        assert asked[1] == "/api/events/history?limit=1000&before=evt_1_1000"
        assert len(asked) == 3
        assert self.played.stream.last_event_id == "evt_1_1000"

    def test_bye_says_where_to_go_on(self) -> None:
        """The server's word of parting is a better place than that of the last event wanted."""
        for first in (b"", frame(2)):
            self.played = Played()
            self.consume(after="evt_1_1000")
            self.played.send(first + special("stream:bye", {"lastEventId": "evt_8_8000"}))
            self.played.stream.end()
            self.played.flush()
            self.played.come_back()

            assert self.played.stream.last_event_id == "evt_8_8000"
            self.nothing_is_left()

    def test_bye_counts_when_its_turn_comes(self) -> None:
        """While events before it are not taken, the stream does not go on behind them."""
        stream = self.played.client.events(after="evt_1_1000")
        self.played.flush()
        self.played.send(frame(2) + special("stream:bye", {"lastEventId": "evt_8_8000"}))
        self.played.stream.end()
        self.played.flush()
        self.played.advance(100)
        assert len(self.played.server.streams) == 1
        consumer = Consumer(stream).go()
        self.played.flush()

        assert consumer.taken == [2]
        assert self.played.stream.last_event_id == "evt_8_8000"

    def test_words_of_newer_servers(self) -> None:
        """What a newer server says of the stream itself is passed over."""
        consumer = self.consume(after="evt_1_1000")
        self.played.send(special("stream:weather", {"sky": "blue"}) + frame(2))

        assert consumer.taken == [2]

    def test_heartbeats_are_no_place_to_go_on(self) -> None:
        """A heartbeat is handed over, and forgotten as a place."""
        consumer = self.consume(after="evt_1_1000")
        beat = {
            "id": "hb_5",
            "type": "heartbeat",
            "timestamp": "2026-11-23T22:43:11.042Z",
            "sessionId": "s",
            "data": {"uptime": 1},
        }
        self.played.send(special("heartbeat", beat))

        assert consumer.taken == [5]
        assert consumer.stream.last_event_id == "evt_1_1000"

    def test_a_reset_is_told(self) -> None:
        """Where events are missing the consumer is told, in that place, and goes on."""
        told: list[Any] = []
        consumer = self.consume(
            after="evt_9_9", on_reset=lambda reset: told.append((reset, list(consumer.taken)))
        )
        self.played.send(frame(2) + special("stream:reset", RESET) + frame(3))

        assert told == [(StreamReset("evt_9_9", "evt_3_3000", "evt_4_4000", "future"), [2])]
        assert consumer.taken == [2, 3]

    def test_silence_is_given_up(self) -> None:
        """A connection that is silent for 45 seconds is taken for dead; comments keep it alive."""
        self.consume(after="earliest")
        for _ in range(3):
            self.played.advance(44)
            self.played.send(b": keep-alive\n\n")
        assert len(self.played.server.streams) == 1

        self.played.advance(45)
        assert self.played.stream.gone
        self.played.come_back()
        assert len(self.played.server.streams) == 2

    def test_a_consumer_that_is_away_is_not_silence(self) -> None:
        """While nothing is taken the connection is held, and its silence counts for nothing."""
        stream = self.played.client.events(after="earliest")
        self.played.flush()
        self.played.send(frame(1))
        self.played.advance(1000)
        assert len(self.played.server.streams) == 1

        self.successResultOf(Deferred.fromCoroutine(stream.__anext__()))
        self.played.advance(45)
        assert self.played.stream.gone

    def test_a_consumer_that_is_away_while_it_is_cut(self) -> None:
        """There is no other connection until what the last one brought was taken."""
        stream = self.played.client.events(after="earliest")
        self.played.flush()
        self.played.send(frame(1))
        self.played.stream.end()
        self.played.flush()
        self.played.advance(1000)
        assert len(self.played.server.streams) == 1

        self.successResultOf(Deferred.fromCoroutine(stream.__anext__()))
        self.played.flush()
        assert len(self.played.server.streams) == 2

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

    def test_closing(self) -> None:
        """Closing ends the iteration at once, and nothing is left; twice is once."""
        consumer = self.consume(after="earliest")
        self.played.send(frame(1))
        for _ in range(2):
            self.close(consumer.stream)

        assert consumer.end is None
        assert self.played.stream.gone
        assert self.played.clock.getDelayedCalls() == []

    def test_closing_from_within(self) -> None:
        """A consumer may close what it iterates over; what was read ahead is dropped."""
        stream = self.played.client.events(after="earliest")
        self.played.flush()
        consumer = Consumer(stream, stop_at=2).go()
        self.played.send(frame(1) + frame(2) + frame(3))

        assert consumer.taken == [1, 2]
        assert consumer.end is None

    def test_closing_with_the_first_bytes(self) -> None:
        """A consumer may close at an event that comes in one piece with the headers."""
        self.played.server.beginning = frame(1) + frame(2)
        stream = self.played.client.events(after="earliest")
        consumer = Consumer(stream, stop_at=1).go()
        self.played.flush()

        assert consumer.taken == [1]
        assert consumer.end is None
        assert self.played.stream.gone

    def test_two_consumers(self) -> None:
        """A second consumer is told that it is one too many; the first goes on."""
        consumer = self.consume(after="earliest")
        second = Deferred.fromCoroutine(consumer.stream.__anext__())
        self.failureResultOf(second, RuntimeError)
        self.played.send(frame(1))

        assert consumer.taken == [1]

    def test_a_consumer_that_is_cancelled(self) -> None:
        """Waiting for an event can be cancelled; the stream stays, and nothing is lost."""
        stream = self.played.client.events(after="earliest")
        self.played.flush()
        waiting = Deferred.fromCoroutine(stream.__anext__())
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.played.send(frame(1))

        consumer = Consumer(stream).go()
        assert consumer.taken == [1]

    def test_closing_that_is_not_waited_for(self) -> None:
        """Who cancels the wait for the end does not keep the stream open."""
        consumer = self.consume(after="earliest")
        closing = Deferred.fromCoroutine(consumer.stream.aclose())
        closing.cancel()
        self.failureResultOf(closing, CancelledError)
        self.played.flush()

        assert self.played.stream.gone
        self.close(consumer.stream)

    def test_closing_before_it_is_connected(self) -> None:
        """A stream can be closed while it waits for its connection, or for the next one."""
        stream = self.played.client.events(after="earliest")
        self.close(stream)
        consumer = self.consume(after="earliest")
        self.played.stream.cut()
        self.played.flush()
        self.close(consumer.stream)

        assert consumer.end is None
        assert self.played.clock.getDelayedCalls() == []

    def test_async_with(self) -> None:
        """Leaving the block closes the stream."""

        async def first() -> str:
            async with self.played.client.events(after="earliest") as events:
                async for event in events:
                    return event.id
            return ""

        reading = Deferred.fromCoroutine(first())
        self.played.flush()
        self.played.send(frame(1))
        self.played.flush()

        assert self.successResultOf(reading) == "evt_1_1000"
        assert self.played.stream.gone

    def test_read_ahead_is_not_what_was_given(self) -> None:
        """The place of the consumer is that of the events that it took."""
        stream = self.played.client.events(after="evt_1_1000")
        self.played.flush()
        self.played.send(frame(2) + frame(3))
        assert stream.last_event_id == "evt_1_1000"

        self.successResultOf(Deferred.fromCoroutine(stream.__anext__()))
        assert stream.last_event_id == "evt_2_2000"

    def test_what_was_read_ahead_is_not_asked_for_again(self) -> None:
        """A slow consumer gets each event once though the connection breaks meanwhile."""
        stream = self.played.client.events(after="evt_1_1000")
        self.played.flush()
        self.played.send(frame(2) + frame(3))
        self.played.stream.cut()
        self.played.flush()
        consumer = Consumer(stream).go()
        self.played.come_back()
        assert self.played.stream.last_event_id == "evt_3_3000"

        self.played.send(frame(4))
        assert consumer.taken == [2, 3, 4]

    def test_closing_while_nothing_is_taken(self) -> None:
        """A stream whose consumer went away in the middle can be closed all the same."""
        stream = self.played.client.events(after="earliest")
        self.played.flush()
        self.played.send(frame(1))
        self.played.stream.end()
        self.played.flush()
        self.played.come_back()
        self.close(stream)

        assert stream.has_ended


class RealStreamTests(SynchronousTestCase):
    """The server's own stream in memory: no socket, and one clock for both sides."""

    def setUp(self) -> None:
        self.clock, self.log = Clock(), FakeLog()
        self.hub = Hub(self.clock, self.log)
        self.root = Root(self.hub)
        self.agent = RequestTraversalAgent(self.root)
        self.client = LokiClient("http://localhost", reactor=self.clock, agent=self.agent)
        self.addCleanup(self.close)

    def close(self) -> None:
        closing = self.client.close()
        self.flush()
        self.successResultOf(closing)
        assert self.hub.subscriber_count == 0

    def flush(self) -> None:
        for _ in range(4):
            self.agent.flush()

    def advance(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            self.flush()

    def test_the_whole_life(self) -> None:
        """Replay, live, silence, the end of the server and the next one: each event comes once."""
        self.log.commit(batch(3))
        consumer = Consumer(self.client.events(after="earliest")).go()
        self.flush()
        assert consumer.taken == [1, 2, 3]
        self.log.commit(batch(2))
        self.flush()
        assert consumer.taken == [1, 2, 3, 4, 5]

        self.advance(300)  # in which there is nothing but comments
        assert self.hub.subscriber_count == 1

        ending = self.hub.close()
        self.advance(1)
        self.successResultOf(ending)
        self.log.commit(batch(2))
        self.root.hub = self.hub = Hub(self.clock, self.log)
        self.advance(4)
        self.log.commit(batch(1))
        self.flush()
        assert consumer.taken == [1, 2, 3, 4, 5, 6, 7, 8]


class SubscribeTests(SynchronousTestCase):
    """Callbacks instead of iteration."""

    def setUp(self) -> None:
        self.played = Played()
        self.got: list[str] = []

    def subscribe(self, callback: Any, **wanted: Any) -> Any:
        unsubscribe = self.played.client.subscribe(callback, after="earliest", **wanted)
        self.played.flush()
        return unsubscribe

    def unsubscribe(self, unsubscribe: Any) -> None:
        done = unsubscribe()
        self.played.flush()
        self.successResultOf(done)
        assert self.played.clock.getDelayedCalls() == []

    def test_each_event_is_called_back(self) -> None:
        """A callback gets each event, and none after it has unsubscribed."""
        unsubscribe = self.subscribe(lambda event: self.got.append(event.id))
        self.played.send(frame(1) + frame(2))
        self.unsubscribe(unsubscribe)

        assert self.got == ["evt_1_1000", "evt_2_2000"]
        assert self.played.stream.gone

    def test_unsubscribing_from_within(self) -> None:
        """A callback may unsubscribe itself."""

        def callback(event: Any) -> None:
            self.got.append(event.id)
            unsubscribe()

        unsubscribe = self.subscribe(callback)
        self.played.send(frame(1) + frame(2))
        self.played.flush()

        assert self.got == ["evt_1_1000"]
        assert self.played.stream.gone

    def test_a_callback_that_fails(self) -> None:
        """What a callback raises is logged, and the next event comes all the same."""

        def callback(event: Any) -> None:
            self.got.append(event.id)
            raise ZeroDivisionError

        unsubscribe = self.subscribe(callback)
        self.played.send(frame(1) + frame(2))
        self.unsubscribe(unsubscribe)

        assert len(self.got) == 2
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 2

    def test_a_callback_that_takes_its_time(self) -> None:
        """The next event waits for what a callback returns."""
        slow: Deferred[None] = Deferred()

        def callback(event: Any) -> Deferred[None]:
            self.got.append(event.id)
            return slow

        unsubscribe = self.subscribe(callback)
        self.played.send(frame(1) + frame(2))
        assert len(self.got) == 1

        slow.callback(None)
        assert len(self.got) == 2
        self.unsubscribe(unsubscribe)

    def test_what_breaks_the_delivery(self) -> None:
        """What is raised where events are missing ends the subscription, and closes its stream."""
        told: list[Exception] = []

        def on_reset(reset: StreamReset) -> None:
            raise LookupError(reset.reason)

        self.subscribe(self.got.append, on_reset=on_reset, on_error=told.append)
        self.played.send(special("stream:reset", RESET) + frame(3))
        self.played.flush()

        assert [str(error) for error in told] == ["future"]
        assert self.got == []
        assert self.played.stream.gone
        assert self.played.clock.getDelayedCalls() == []

    def test_a_refusal_that_nobody_wants_to_hear(self) -> None:
        """A refusal is logged where there is nobody to be told, or where he fails."""
        self.played.server.stream_answer = (401, {"error": "Who?", "code": "UNAUTHORIZED"})
        with capturedLogs() as logged:
            self.subscribe(self.got.append)
        assert [str(each["error"]) for each in logged] == ["Who?"]

        def on_error(error: Exception) -> None:
            raise ZeroDivisionError

        self.subscribe(self.got.append, on_error=on_error)
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    def test_a_refusal_is_told(self) -> None:
        """Who subscribes learns that the stream is refused for good."""
        told: list[Exception] = []
        self.played.server.stream_answer = (401, {"error": "Who?", "code": "UNAUTHORIZED"})
        self.subscribe(self.got.append, on_error=told.append)

        assert [error.status for error in told] == [401]


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
@settings(max_examples=200)
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
