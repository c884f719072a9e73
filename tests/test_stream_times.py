"""The times of events by their numbers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.stream.tail import Tail
from loki_twisted.stream.times import Times
from tests.fakes_log import START_MS, FakeLog
from tests.fakes_stream import batch


class TimesTests(SynchronousTestCase):
    """Over a log in memory, with a window on its end."""

    def setUp(self) -> None:
        self.log = FakeLog()
        self.tail = Tail(0)
        self.times = Times(self.log, self.tail)

    def test_the_newest_is_known(self) -> None:
        """What was committed last needs no read, and nothing else is known by it."""
        for count in (2, 3):
            for block in self.log.commit(batch(count, at_ms=START_MS + count)):
                self.tail.add(block)
        assert [self.times.known(seq) for seq in (0, 1, 4, 6)] == [None] * 4
        assert self.times.known(5) == START_MS + 3
        assert self.successResultOf(self.times.of(5)) == START_MS + 3
        assert self.log.reads["time_of"] == 0

    def test_what_was_looked_up_is_known(self) -> None:
        """The newest of what was asked for is asked for once, whatever else is."""
        self.log.commit(batch(2), batch(1, at_ms=START_MS + 4))
        for seq, milliseconds in [(3, START_MS + 4), (1, START_MS), (3, START_MS + 4)]:
            assert self.successResultOf(self.times.of(seq)) == milliseconds
        assert self.times.known(3) == START_MS + 4
        assert self.times.known(1) is None
        assert self.log.reads["time_of"] == 2

    def test_what_is_not_there_is_asked_for_again(self) -> None:
        """An event that the log does not have yet may come."""
        assert self.successResultOf(self.times.of(1)) is None
        self.log.commit(batch(1))
        assert self.successResultOf(self.times.of(1)) == START_MS

    def test_one_read_for_all(self) -> None:
        """Who asks while it is looked up waits for the same answer; others have their own."""
        self.log.commit(batch(2))
        self.log.holding = True
        first, second, other = self.times.of(2), self.times.of(2), self.times.of(1)
        assert self.log.waiting == 2
        self.log.answer()
        assert self.successResultOf(first) == self.successResultOf(second) == START_MS
        self.assertNoResult(other)
        self.log.answer()
        assert self.successResultOf(other) == START_MS

    def test_a_failure_is_for_all(self) -> None:
        """A read that fails fails for those who waited, and is tried again for the next."""
        self.log.commit(batch(1))
        self.log.holding = True
        waiting = [self.times.of(1), self.times.of(1)]
        self.log.fail(ZeroDivisionError("disk"))
        for each in waiting:
            self.failureResultOf(each, ZeroDivisionError)
        again = self.times.of(1)
        self.log.answer()
        assert self.successResultOf(again) == START_MS

    def test_one_gives_up(self) -> None:
        """Who cancels gives up its own answer, not that of others."""
        self.log.commit(batch(1))
        self.log.holding = True
        first, second = self.times.of(1), self.times.of(1)
        first.cancel()
        self.failureResultOf(first)
        self.assertNoResult(second)
        self.log.answer()
        assert self.successResultOf(second) == START_MS

    def test_ask_inside_of_an_answer(self) -> None:
        """Who asks again when it is answered is answered at once."""
        self.log.commit(batch(1))
        self.log.holding = True
        asked = self.times.of(1).addCallback(lambda _: self.times.of(1))
        self.log.answer()
        assert self.successResultOf(asked) == START_MS
        assert self.log.reads["time_of"] == 1
