"""
The hub: hands what is committed to all who listen.

It observes the log. What was committed goes out in rounds
(:mod:`~loki_twisted.stream.rounds`): it is cut into pieces of bounded size; each piece is selected
and joined once for each distinct filter, and the same bytes go to all live subscribers of that
filter. One timer looks after all subscribers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from itertools import chain
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from loki_twisted.kernel.repeating import repeating
from loki_twisted.log.interface import IEventLog, Page
from loki_twisted.model.blocks import Block
from loki_twisted.model.errors import Unavailable
from loki_twisted.model.filters import EVERYTHING, EventFilter
from loki_twisted.model.identifiers import event_id
from loki_twisted.stream import sse
from loki_twisted.stream.group import Group
from loki_twisted.stream.interface import ISink
from loki_twisted.stream.patience import GRACE_SECONDS, SETTLE_SECONDS, Patience
from loki_twisted.stream.position import FROM_NOW, Start
from loki_twisted.stream.rate import Rate
from loki_twisted.stream.returning import return_ms
from loki_twisted.stream.rounds import Rounds
from loki_twisted.stream.subscriber import Subscriber
from loki_twisted.stream.tail import PAGE_BYTES, PIECE_BYTES, Tail, pieces
from loki_twisted.stream.times import Times

TAIL_BYTES: Final = 1024 * 1024
"""How much of the end of the log is kept in memory, for all subscribers together."""

_log = Logger()


class Phase(Enum):
    """How far the end of a hub has come."""

    OPEN = "open"
    REFUSING = "refusing"
    """No more subscribers are taken."""
    ENDING = "ending"
    """Those who have all are told that the stream ends."""


class Hub:
    """
    All subscribers of one log.

    :param reactor: For its clock.
    :param log: Must be open when the first one subscribes, and need not before.
    :param stall_seconds: Cut a subscriber that takes no byte for so long while there is
        something for it.
    :param keep_alive_seconds: Say something to a subscriber at least so often.
    :param tail_bytes: How much of the end of the log is kept in memory, for all together.
    :param piece_bytes: How much is written to a subscriber at a time.
    :ivar position: Number of the last event that was published, or was in the log
        when the first one subscribed.
    :ivar times: Of the events of the log.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        log: IEventLog,
        *,
        stall_seconds: float = 60.0,
        keep_alive_seconds: float = 15.0,
        tail_bytes: int = TAIL_BYTES,
        piece_bytes: int = PIECE_BYTES,
    ) -> None:
        self.log = log
        self.position = 0
        self.piece_bytes = piece_bytes
        self.patience = Patience(stall_seconds, keep_alive_seconds)
        self._reactor = reactor
        self._groups: dict[EventFilter, Group] = {}
        self._tail = Tail(tail_bytes)
        self.times = Times(log, self._tail)
        self._rounds = Rounds(reactor, self._hand_over)
        self._rate = Rate()
        self._phase = Phase.OPEN
        self._parting = 0  # how many there were when the end was told
        self._parted = 0  # and to how many of them by now
        self._sweeper = repeating(reactor, self._sweep, "Subscribers could not be looked at")
        self._unobserve = log.observe(self._committed)

    # Who listens

    def subscribe(
        self, sink: ISink, wanted: EventFilter = EVERYTHING, start: Start = FROM_NOW
    ) -> Subscriber:
        """
        Add a subscriber. Nothing is sent until its ``start`` is called.

        :param sink: Where its bytes go.
        :param wanted: Which events it wants.
        :param start: Where it begins.
        :raises Unavailable: while the server shuts down.
        """
        if self._phase is not Phase.OPEN:
            raise Unavailable("The server is shutting down.")
        if self._tail.newest is None:
            self.position = self.log.bounds.newest
        group = self._groups.get(wanted)
        if group is None:
            group = self._groups[wanted] = Group(wanted)
        subscriber = Subscriber(self, group, sink, start, self._reactor.seconds())
        group.subscribers[subscriber] = None
        if not self._sweeper.running:
            self._sweeper.start(self.patience.sweep_seconds, now=False)
        return subscriber

    def forget(self, subscriber: Subscriber) -> None:
        """Drop a subscriber that is gone."""
        group = subscriber.group
        group.subscribers.pop(subscriber, None)
        if not group.subscribers:
            self._groups.pop(group.wanted, None)
        if not self._groups and self._sweeper.running:
            self._sweeper.stop()

    @property
    def subscriber_count(self) -> int:
        """How many there are, whatever they are doing."""
        return sum(len(group.subscribers) for group in self._groups.values())

    def lag(self) -> int:
        """How many events the slowest subscriber is behind."""
        return max((self.position - each.cursor for each in self._subscribers()), default=0)

    def events_per_second(self) -> float:
        """How many events were published, as the mean over the last minute."""
        return self._rate.mean(self._reactor.seconds())

    # What is published

    def announce(self, session_id: str, kind: int, frame: bytes) -> None:
        """
        Send a frame that is not in the log to the live subscribers whose filter wants it.

        :param kind: The position of its type in ``EVENT_TYPES``.
        """
        for group in tuple(self._groups.values()):
            if group.wanted.wants(session_id, kind):
                group.announce(frame)

    def recent(self, after: int) -> Page | None:
        """What follows a number, if it is in memory."""
        return self._tail.page(after, PAGE_BYTES)

    def _committed(self, blocks: Sequence[Block]) -> Deferred[None] | None:
        self._rate.add(sum(map(len, blocks)), self._reactor.seconds())
        return self._rounds.add(blocks)

    def _hand_over(self, blocks: Sequence[Block]) -> Iterator[None]:
        for piece in pieces(blocks, self.piece_bytes):
            # First what can be read, then who is handed it: a subscriber that
            # leaves the round inside of it may come back inside of it.
            for block in piece:
                self._tail.add(block)
            self.position = piece[-1].last_seq
            for group in tuple(self._groups.values()):
                yield from group.publish(piece)

    # The end

    @property
    def closing(self) -> bool:
        """Whether those who have all shall be told that the stream ends."""
        return self._phase is Phase.ENDING

    def close(self, grace_seconds: float = GRACE_SECONDS) -> Deferred[None]:
        """
        End all streams: everyone gets what there is for it, is told so, and ends cleanly.

        :param grace_seconds: Who has not taken all by then is cut.
        :returns: Fires when all are gone. New ones are refused from now on. Cancelling
            it cuts all at once.
        """
        self._phase = Phase.REFUSING
        return Deferred.fromCoroutine(self._close(self._reactor.seconds() + grace_seconds))

    async def _close(self, deadline: float) -> None:
        try:
            self._rounds.finish()
            await self._learn_newest_time(deadline)
            self._phase = Phase.ENDING
            self._parting = self.subscriber_count
            self._each("A subscriber could not be told the end", Subscriber.part)
            while self._groups and self._reactor.seconds() < deadline:
                await deferLater(self._reactor, SETTLE_SECONDS)
                self._each("A subscriber could not end", Subscriber.settle)
        finally:
            self._rounds.finish()
            self._each("A subscriber could not be cut", Subscriber.cut)
            self._unobserve()
            self._unobserve = _nothing

    async def _learn_newest_time(self, deadline: float) -> None:
        """Ask for what is needed to name the newest event to those who will be told it."""
        if self.position and self._groups:
            with _log.failuresHandled("The id of the newest event could not be read"):
                lookup = self.times.of(self.position)
                patience = (deadline - self._reactor.seconds()) / 2
                await lookup.addTimeout(max(0.0, patience), self._reactor)

    def farewell(self) -> bytes:
        """What to say to those who have all when the stream ends."""
        milliseconds = self.times.known(self.position)
        last = None if milliseconds is None else event_id(self.position, milliseconds)
        wait = return_ms(self._parted, self._parting)
        self._parted += 1
        return sse.bye(last, wait)

    # All of them

    def _subscribers(self) -> Sequence[Subscriber]:
        return tuple(chain.from_iterable(group.subscribers for group in self._groups.values()))

    def _sweep(self) -> None:
        now = self._reactor.seconds()
        if self.position:
            self.times.learn(self.position)  # for all who will be told where they are
        self._each("A subscriber could not be looked at", lambda each: each.look(now))

    def _each(self, trouble: str, act: Callable[[Subscriber], None]) -> None:
        for subscriber in self._subscribers():
            with _log.failuresHandled(trouble) as operation:
                act(subscriber)
            if operation.failed:
                subscriber.cut()


def _nothing() -> None:
    pass
