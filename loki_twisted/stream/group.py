"""Subscribers that want the same events: they are served from the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from twisted.logger import Logger

from loki_twisted.model.blocks import Block
from loki_twisted.model.filters import EventFilter

if TYPE_CHECKING:
    from loki_twisted.stream.subscriber import Subscriber

_AT_ONCE: Final = 64
"""After so many subscribers others may have their turn: with large pieces that is milliseconds."""

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

    def publish(self, blocks: Sequence[Block]) -> Iterator[None]:
        """
        Hand new blocks to the live subscribers.

        :param blocks: Consecutive ones, at least one.
        :returns: Iterate it; where it yields, others may have their turn, and subscribers come
            and go.
        """
        if not self.live:
            return
        first, last = blocks[0].first_seq, blocks[-1].last_seq
        data = b"".join([block.select(self.wanted) for block in blocks])
        yield
        # A copy, because who is served may leave, and others may join.
        live = tuple(self.live)
        for start in range(0, len(live), _AT_ONCE):
            _to_each(
                live[start : start + _AT_ONCE],
                lambda subscriber: subscriber.give(first, last, data),
            )
            yield

    def announce(self, frame: bytes) -> None:
        """Hand a frame that is not in the log to the live subscribers."""
        _to_each(tuple(self.live), lambda subscriber: subscriber.announce(frame))


def _to_each(subscribers: Iterable[Subscriber], hand: Callable[[Subscriber], None]) -> None:
    # One iterator over all attempts, because the round goes on behind the broken one.
    round_ = iter(subscribers)
    finished = False
    while not finished:
        subscriber = None
        with _log.failuresHandled("A subscriber could not be served") as operation:
            for subscriber in round_:
                hand(subscriber)
        finished = operation.succeeded
        if operation.failed and subscriber is not None:
            subscriber.cut()
