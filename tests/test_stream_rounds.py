"""Rounds: what was committed goes out in turns that others can bear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.model.blocks import Block, block_of_facts
from loki_twisted.model.events import Fact
from loki_twisted.stream.pace import MOST_REST_SECONDS
from loki_twisted.stream.rounds import MOST_WAITING_BYTES, TURN_SECONDS, Rounds


def block(number: int, size: int = 1) -> Block:
    """Give a block of one event."""
    return block_of_facts(number, 1, "s", [Fact("log:info", {"message": "x" * size})])


class RoundsTests(SynchronousTestCase):
    """Work that takes the time of a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.step = 0.0
        self.told: list[int] = []
        self.rounds_of: list[int] = []
        self.rounds = Rounds(self.clock, self.hand_over)

    def hand_over(self, blocks: Sequence[Block]) -> Iterator[None]:
        self.rounds_of.append(len(blocks))
        for each in blocks:
            self.told.append(each.first_seq)
            self.clock.rightNow += self.step
            yield

    def test_at_once(self) -> None:
        """A short round is over when what was added is, and leaves nothing to do."""
        assert self.rounds.add([block(1), block(2)]) is None
        assert self.rounds.add([block(3)]) is None
        assert self.told == [1, 2, 3]
        assert self.clock.getDelayedCalls() == []

    def test_a_long_round_lets_others_have_their_turn(self) -> None:
        """After some milliseconds the reactor goes on, and the round in its next turn."""
        self.step = TURN_SECONDS * 0.6
        self.rounds.add([block(number) for number in range(1, 7)])
        assert self.told == [1, 2]
        others_turn = 0
        self.clock.callLater(0, self.told.append, others_turn)
        self.clock.advance(0)
        assert self.told == [1, 2, 3, 4, others_turn, 5, 6]
        assert self.clock.getDelayedCalls() == []

    def test_what_comes_meanwhile_goes_out_together(self) -> None:
        """It waits for the round to end and for the rest after it, and is one round, in order."""
        self.step = TURN_SECONDS
        self.rounds.add([block(1), block(2)])
        self.rounds.add([block(3)])
        self.rounds.add([block(4)])
        assert self.told == [1]
        self.clock.advance(0)
        assert self.told == [1, 2]
        self.clock.advance(MOST_REST_SECONDS)
        assert self.told == [1, 2, 3, 4]
        assert self.rounds_of == [2, 2]

    def test_too_much(self) -> None:
        """Who adds what makes it too much waits until the next round begins."""
        self.step = TURN_SECONDS
        self.rounds.add([block(1), block(2)])
        assert self.rounds.add([block(3)]) is None
        busy = self.rounds.add([block(4, MOST_WAITING_BYTES)])
        assert busy is not None
        self.assertNoResult(busy)
        assert self.told == [1]
        self.clock.advance(0)
        self.successResultOf(busy)
        assert self.told == [1, 2, 3, 4]

    def test_finish(self) -> None:
        """At the end everything goes out at once: the rest of a round and what waits for it."""
        self.step = TURN_SECONDS
        self.rounds.add([block(1), block(2)])
        busy = self.rounds.add([block(3, MOST_WAITING_BYTES)])
        assert busy is not None
        self.rounds.finish()
        self.successResultOf(busy)
        assert self.told == [1, 2, 3]
        assert self.clock.getDelayedCalls() == []

    def test_finish_of_nothing(self) -> None:
        """Where nothing waits there is nothing to do."""
        self.rounds.finish()
        assert self.rounds_of == []

    def test_a_clock_that_goes_back(self) -> None:
        """It ends a turn too early, and nothing else."""
        self.step = -3600.0
        self.rounds.add([block(1), block(2)])
        self.clock.advance(0)
        self.clock.advance(0)
        assert self.told == [1, 2]
