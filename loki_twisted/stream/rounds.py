"""
Rounds: what was committed goes out to all who listen, in turns that others can bear.

A commit begins a round at once, or joins those that wait: for the rest after a long round
(:mod:`~loki_twisted.stream.pace`), or for the round that is under way to end. A round that
takes long gives the reactor a turn again and again. That is safe because each subscriber has a
cursor of its own: whoever joins, leaves or falls behind in the middle is put right by it. If more
is committed than can be handed over, those who commit wait, and nothing piles up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from loki_twisted.model.blocks import Block
from loki_twisted.stream.pace import Pace

TURN_SECONDS: Final = 0.01
"""How long a round may go on before others have their turn."""

MOST_WAITING_BYTES: Final = 1024 * 1024
"""When more waits, who commits waits too."""

HandOver = Callable[[Sequence[Block]], Iterator[object]]
"""Hands blocks over as it is iterated, and yields wherever others may have their turn."""


class Rounds:
    """
    What waits to go out, and the round that is under way.

    :param reactor: For its clock, which measures too.
    """

    __slots__ = (
        "_busy",
        "_bytes",
        "_hand_over",
        "_length",
        "_next",
        "_pace",
        "_reactor",
        "_round",
        "_waiting",
    )

    def __init__(self, reactor: IReactorTime, hand_over: HandOver) -> None:
        self._reactor = reactor
        self._hand_over = hand_over
        self._pace = Pace()
        self._waiting: list[Block] = []
        self._bytes = 0
        self._busy: list[Deferred[None]] = []
        self._round: Iterator[object] | None = None
        self._length = 0.0
        self._next: IDelayedCall | None = None

    def add(self, blocks: Sequence[Block]) -> Deferred[None] | None:
        """
        Have blocks handed over, after all that were added before.

        :returns: None, or if too much waits, what fires when it does no more.
        """
        self._waiting += blocks
        self._bytes += sum(len(block.body) for block in blocks)
        if self._round is None:
            self._plan()
        if self._bytes <= MOST_WAITING_BYTES:
            return None
        busy: Deferred[None] = Deferred()
        self._busy.append(busy)
        return busy

    def finish(self) -> None:
        """Hand over everything now, however long it takes."""
        while self._round is not None or self._waiting:
            for _ in self._begun():
                pass
            self._round = None
        self._cancel()

    def _plan(self) -> None:
        """Begin the next round, or see that it will be begun."""
        left = self._pace.seconds_left(self._reactor.seconds(), self._bytes)
        if not left:
            self._turn()
        elif self._next is None:
            self._next = self._reactor.callLater(left, self._turn)

    def _turn(self) -> None:
        """Go on with the round, or begin one."""
        self._cancel()
        round_ = self._begun()
        began = now = self._reactor.seconds()
        for _ in round_:
            now = self._reactor.seconds()
            if not 0 <= now - began < TURN_SECONDS:
                self._length += max(0.0, now - began)
                self._next = self._reactor.callLater(0, self._turn)
                return
        now = self._reactor.seconds()
        self._round = None
        self._pace.round_over(self._length + now - began, now)
        if self._waiting:
            self._plan()

    def _begun(self) -> Iterator[object]:
        """The round that is under way; a new one, of all that waits, if there is none."""
        if self._round is None:
            blocks, self._waiting, self._bytes = self._waiting, [], 0
            self._length = 0.0
            self._round = self._hand_over(blocks)
            busy, self._busy = self._busy, []
            for each in busy:
                each.callback(None)
        return self._round

    def _cancel(self) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = None
