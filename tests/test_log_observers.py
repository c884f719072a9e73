"""Telling what was committed: everybody, in order, whatever one of them does."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.log.observers import Observers
from tests.log_support import block

BLOCKS = [block(1, ["hello"])]


class ObserversTests(SynchronousTestCase):
    """A few observers that write down what they were told."""

    def setUp(self) -> None:
        self.observers = Observers()
        self.told: list[str] = []

    def note(self, name: str) -> None:
        self.told.append(name)

    def test_all_are_told_in_order(self) -> None:
        """Observers are told in the order in which they came."""
        for name in "abc":
            self.observers.add(lambda blocks, name=name: self.note(name))

        self.observers.tell(BLOCKS)

        assert self.told == ["a", "b", "c"]

    def test_one_that_fails_disturbs_nobody(self) -> None:
        """The round is finished, and what was raised is logged."""

        def fail(blocks: object) -> None:
            raise ZeroDivisionError

        self.observers.add(fail)
        self.observers.add(lambda blocks: self.note("b"))

        self.observers.tell(BLOCKS)

        assert self.told == ["b"]
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    def test_one_that_has_gone_is_not_told(self) -> None:
        """Who leaves, even in the middle of a round, is told nothing more."""
        leave = []
        self.observers.add(lambda blocks: leave[0]())
        leave.append(self.observers.add(lambda blocks: self.note("gone")))
        self.observers.add(lambda blocks: self.note("here"))

        self.observers.tell(BLOCKS)
        leave[0]()
        self.observers.tell(BLOCKS)

        assert self.told == ["here", "here"]

    def test_one_that_comes_in_a_round(self) -> None:
        """Who comes in the middle of a round is told from the next on."""

        def join(blocks: object) -> None:
            if not self.told:
                self.note("joined")
                self.observers.add(lambda blocks: self.note("new"))

        self.observers.add(join)

        self.observers.tell(BLOCKS)
        assert self.told == ["joined"]
        self.observers.tell(BLOCKS)
        assert self.told == ["joined", "new"]

    def test_the_same_function_twice(self) -> None:
        """A function that was given twice is told twice, until one of both leaves."""
        observer = lambda blocks: self.note("x")  # noqa: E731 - the same object twice
        leave = self.observers.add(observer)
        self.observers.add(observer)

        self.observers.tell(BLOCKS)
        leave()
        self.observers.tell(BLOCKS)

        assert self.told == ["x", "x", "x"]
