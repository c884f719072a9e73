"""What tests of event streams share: a consumer, and a stream whose server is played."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.client import ClientError, EventStream
from tests.client_fakes import Played

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


class StreamCase(SynchronousTestCase):
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
