"""The event stream that goes on where it was cut off."""

from __future__ import annotations

from typing import Any

from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.client import ClientError, LokiClient, StreamReset
from loki_twisted.model.filters import EventFilter
from loki_twisted.stream.hub import Hub
from tests.client_fakes import frame
from tests.client_streams import RESET, Consumer, StreamCase, special
from tests.fakes_log import START_MS, FakeLog
from tests.fakes_stream import OTHER, Root, batch


class StreamTests(StreamCase):
    """What comes, in which order, and how fast."""

    def test_events_come_as_they_are_sent(self) -> None:
        """Each event is a value, as soon as its frame is whole."""
        consumer = self.consume(after="evt_1_1")
        whole = frame(2, "task:completed", taskId="t", title="x")
        self.played.send(whole[:20])
        assert consumer.taken == []

        self.played.send(whole[20:])
        assert consumer.taken == [2]

    def test_what_only_newer_servers_say_is_passed_over(self) -> None:
        """A frame of an unknown type ends nothing, and is given where it is an event."""
        consumer = self.consume(after="evt_1_1")
        self.played.send(special("foo", {}) + special("stream:news", {}) + frame(2))
        self.played.send(b"event: cost:update\ndata: nothing\n\n" + frame(3, "cost:update"))

        assert consumer.taken == [2, 3]

    def test_an_event_that_is_none_is_an_error(self) -> None:
        """Of a group of events that is known, what is no event may not be passed over."""
        for type_ in ("task:created", "task:news", "heartbeat"):
            with self.subTest(type_):
                consumer = self.consume(after="evt_1_1")
                self.played.send(special(type_, {}))
                assert isinstance(consumer.end, ClientError)

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

    def test_words_of_newer_servers(self) -> None:
        """What a newer server says of the stream itself is passed over."""
        consumer = self.consume(after="evt_1_1000")
        self.played.send(special("stream:weather", {"sky": "blue"}) + frame(2))

        assert consumer.taken == [2]

    def test_a_reset_is_told(self) -> None:
        """Where events are missing the consumer is told, in that place, and goes on."""
        told: list[Any] = []
        consumer = self.consume(
            after="evt_9_9", on_reset=lambda reset: told.append((reset, list(consumer.taken)))
        )
        self.played.send(frame(2) + special("stream:reset", RESET) + frame(3))

        assert told == [(StreamReset("evt_9_9", "evt_3_3000", "evt_4_4000", "future"), [2])]
        assert consumer.taken == [2, 3]

    def test_a_reset_that_takes_its_time(self) -> None:
        """The event behind a reset waits for what is done about it."""
        done: Deferred[None] = Deferred()

        async def on_reset(reset: StreamReset) -> None:
            await done
            raise LookupError(reset.reason)

        consumer = self.consume(after="evt_9_9", on_reset=on_reset)
        self.played.send(special("stream:reset", RESET) + frame(3))
        assert consumer.taken == []

        done.callback(None)
        assert consumer.taken == [3]
        assert len(self.flushLoggedErrors(LookupError)) == 1

    def test_a_consumer_that_is_cancelled_during_a_reset(self) -> None:
        """What is done about a reset goes on when nobody waits for it, and the rest comes later."""
        done: Deferred[None] = Deferred()
        stream = self.played.client.events(after="evt_9_9", on_reset=lambda _: done)
        self.played.flush()
        waiting = Deferred.fromCoroutine(stream.__anext__())
        self.played.send(special("stream:reset", RESET) + frame(3))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        consumer = Consumer(stream).go()
        assert consumer.taken == []

        done.callback(None)
        assert consumer.taken == [3]

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

    def had(self, after: str) -> tuple[list[int], StreamReset]:
        """What comes after a place at which a stream cannot go on, and what it says of that."""
        told: list[StreamReset] = []
        consumer = Consumer(self.client.events(after=after, on_reset=told.append)).go()
        self.flush()
        [reset] = told
        return consumer.taken, reset

    def test_resets_of_another_log(self) -> None:
        """Where the id is none of the log everything comes, and what one had is of no use."""
        self.log.commit(batch(3))
        for after, reason in ((f"evt_4_{START_MS}", "future"), ("evt_2_1", "unknown")):
            taken, reset = self.had(after)

            assert taken == [1, 2, 3]
            assert (reset.asked, reset.reason, reset.begins_anew) == (after, reason, True)

    def read_from_the_log(self) -> None:
        """Let the server have nothing in memory."""
        self.root.hub = self.hub = Hub(self.clock, self.log, tail_bytes=0)

    def test_resets_of_what_has_expired(self) -> None:
        """An event that is still there is gone on behind; for one that is gone, kept ones come."""
        self.log.commit(batch(2), batch(2, session_id=OTHER), batch(2), batch(2))
        self.log.expire(7, OTHER)
        self.read_from_the_log()
        for number, after in ((1, [3, 4, 7, 8]), (3, [4, 7, 8]), (5, [3, 4, 7, 8])):
            taken, reset = self.had(f"evt_{number}_{START_MS}")

            assert taken == after
            assert (reset.reason, reset.begins_anew) == ("expired", False)
            assert reset.oldest == f"evt_3_{START_MS}"

    def test_a_reset_of_one_who_is_overtaken(self) -> None:
        """Who reads slower than events are dropped goes on behind what it has."""
        for _ in range(7):
            self.log.commit(batch(padding="x" * 100_000))
        self.read_from_the_log()
        told: list[StreamReset] = []
        self.log.holding = True
        stream = self.client.events(after=f"evt_1_{START_MS}", on_reset=told.append)
        consumer = Consumer(stream).go()
        self.log.answer()  # that it knows the event
        self.log.expire(6)  # while the first page, of before, is on its way
        self.log.answer()
        self.flush()
        assert consumer.taken == [2, 3, 4]
        self.log.holding = False
        self.log.answer(self.log.waiting)
        self.flush()

        assert consumer.taken == [2, 3, 4, 6, 7]
        [reset] = told
        assert (reset.asked, reset.reason, reset.begins_anew) == (None, "expired", False)
