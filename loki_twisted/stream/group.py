"""Subscribers that want the same events: they are served from the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from twisted.logger import Logger

from loki_twisted.model.blocks import Block
from loki_twisted.model.filters import EventFilter

if TYPE_CHECKING:
    from loki_twisted.stream.subscriber import Subscriber

_log = Logger()


class Group:
    """
    All subscribers of equal filters.

    :ivar wanted: The filter.
    :ivar subscribers: All of them, in the order in which they came.
    :ivar live: Those that have everything and are handed what comes, the members of the round.
    """

    __slots__ = ("live", "subscribers", "wanted")

    def __init__(self, wanted: EventFilter) -> None:
        self.wanted = wanted
        self.subscribers: dict[Subscriber, None] = {}
        self.live: dict[Subscriber, None] = {}

    def publish(self, blocks: Sequence[Block]) -> None:
        """Hand new blocks to the live subscribers: consecutive ones, at least one."""
        if not self.live:
            return
        first, last = blocks[0].first_seq, blocks[-1].last_seq
        data = b"".join([block.select(self.wanted) for block in blocks])
        self._to_each(lambda subscriber: subscriber.give(first, last, data))

    def announce(self, frame: bytes) -> None:
        """Hand a frame that is not in the log to the live subscribers."""
        self._to_each(lambda subscriber: subscriber.announce(frame))

    def _to_each(self, hand: Callable[[Subscriber], None]) -> None:
        # A copy, because who is served may leave, and others may join. One
        # iterator over all attempts, because the round goes on behind the broken one.
        round_ = iter(tuple(self.live))
        finished = False
        while not finished:
            subscriber = None
            with _log.failuresHandled("A subscriber could not be served") as operation:
                for subscriber in round_:
                    hand(subscriber)
            finished = operation.succeeded
            if operation.failed and subscriber is not None:
                subscriber.cut()
