"""The end of an event stream by its consumer."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.web.iweb import IResponse

from loki_twisted.client import EventStream, StreamReset
from tests.client_fakes import frame
from tests.client_streams import RESET, Consumer, StreamCase, special


class StubbornSource:
    """Never connects, and does not close."""

    def first_place(self) -> Deferred[str]:
        return Deferred()

    def connect(self, last_event_id: str) -> Deferred[IResponse]:
        return Deferred()

    def close(self) -> Deferred[None]:
        return fail(OSError("It will not close."))


class ClosingTests(StreamCase):
    """When it is closed nothing of it is open any more."""

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

    def test_closing_at_a_reset(self) -> None:
        """Where events are missing a consumer may end its stream, and wait for that."""

        async def on_reset(_: StreamReset) -> None:
            await consumer.stream.aclose()

        consumer = self.consume(after="evt_9_9", on_reset=on_reset)
        self.played.send(special("stream:reset", RESET) + frame(3))
        self.played.flush()

        assert consumer.taken == []
        assert consumer.end is None
        assert self.played.stream.gone

    def test_closing_that_fails(self) -> None:
        """A connection that cannot be closed is logged, and keeps nobody waiting."""
        stream = EventStream(StubbornSource(), self.played.clock)
        waiting = Deferred.fromCoroutine(stream.__anext__())
        for _ in range(2):
            self.close(stream)

        self.failureResultOf(waiting, StopAsyncIteration)
        [failure] = self.flushLoggedErrors(OSError)
        assert str(failure.value) == "It will not close."
