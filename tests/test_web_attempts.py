"""Tests of :mod:`loki_twisted.web.attempts`."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from loki_twisted.web.attempts import ALLOWED_FAILURES, MOST_PARTIES, FailedAttempts


def test_ten_failures_a_minute_are_allowed() -> None:
    """The eleventh within a minute is told how long to wait, and the next minute is free."""
    clock = Clock()
    attempts = FailedAttempts(clock)
    for _ in range(ALLOWED_FAILURES):
        assert attempts.fail("a") == 0
        clock.advance(1)
    assert attempts.fail("a") == 50
    clock.advance(49.5)
    assert attempts.fail("a") == 1
    clock.advance(0.5)
    assert attempts.fail("a") == 0


def test_parties_are_counted_apart() -> None:
    """What one does is not held against another."""
    attempts = FailedAttempts(Clock())
    for _ in range(ALLOWED_FAILURES + 1):
        attempts.fail("a")
    assert attempts.fail("b") == 0
    assert attempts.fail("a") > 0


@pytest.mark.threat("T11")
def test_what_is_remembered_is_bounded() -> None:
    """However many parties fail, only so many are kept: those that failed last."""
    attempts = FailedAttempts(Clock())
    for _ in range(ALLOWED_FAILURES):
        attempts.fail("first")
    for number in range(MOST_PARTIES):
        attempts.fail(str(number))
    assert len(attempts._windows) == MOST_PARTIES
    assert attempts.fail("first") == 0
