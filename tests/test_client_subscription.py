"""Callbacks for the events of a stream."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.client import StreamReset
from tests.client_fakes import Played, frame
from tests.client_streams import RESET, special


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

    def test_a_reset_that_fails(self) -> None:
        """What is raised where events are missing is logged, and the events behind it come."""
        told: list[Exception] = []

        def on_reset(reset: StreamReset) -> None:
            raise LookupError(reset.reason)

        unsubscribe = self.subscribe(
            lambda event: self.got.append(event.id), on_reset=on_reset, on_error=told.append
        )
        self.played.send(special("stream:reset", RESET) + frame(3))
        assert self.got == ["evt_3_3000"]
        self.unsubscribe(unsubscribe)

        assert [str(each.value) for each in self.flushLoggedErrors(LookupError)] == ["future"]
        assert told == []

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

    def test_a_refusal_that_is_told_in_a_coroutine(self) -> None:
        """Who is told of a refusal may be a coroutine, like the callback for events."""
        told: list[Exception] = []

        async def on_error(error: Exception) -> None:
            told.append(error)

        self.played.server.stream_answer = (401, {"error": "Who?", "code": "UNAUTHORIZED"})
        self.subscribe(self.got.append, on_error=on_error)

        assert [error.status for error in told] == [401]
