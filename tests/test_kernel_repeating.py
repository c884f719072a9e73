"""What is done again and again."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.kernel.repeating import repeating
from tests.test_layers import MODULES, name_of

WHO_MAY_END = {"kernel.repeating"}
"""Who may use what ends with its first failure; so may commands, which tell it and end."""


class RepeatingTests(SynchronousTestCase):
    """A call that is repeated each second."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.calls = 0
        self.error: Exception | None = None
        self.repeated = repeating(self.clock, self.call, "It could not be done")
        self.repeated.start(1, now=False)

    def call(self) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error

    def test_it_goes_on_after_a_failure(self) -> None:
        """Each failure is told once for as long as it is the same, and the next call comes."""
        for error, told in (
            (OSError(24, "Too many open files"), 1),
            (OSError(24, "Too many open files"), 0),
            (ValueError("else"), 1),
            (None, 0),
            (ValueError("else"), 1),
        ):
            self.error = error
            self.clock.advance(1)
            assert len(self.flushLoggedErrors(OSError, ValueError)) == told
        assert self.calls == 5
        assert self.repeated.running

    def test_it_can_be_stopped(self) -> None:
        """By whoever has it, also from what it calls."""
        self.repeated.stop()
        self.clock.advance(5)
        assert self.calls == 0


def test_nothing_else_in_the_server_is_repeated() -> None:
    """Whatever a server does again and again outlives a failure of one time."""
    found = {
        name_of(path)
        for path in MODULES
        if "LoopingCall(" in path.read_text(encoding="utf-8")
        and not name_of(path).startswith("command")
    }
    assert found == WHO_MAY_END
