"""When the next round may begin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.stream.pace import LARGE_BYTES, MOST_REST_SECONDS, Pace

SECONDS = st.floats(-1e9, 1e9, allow_nan=False)


def paced(began: float, ended: float) -> Pace:
    pace = Pace()
    pace.round_over(ended - began, ended)
    return pace


@pytest.mark.parametrize(
    ("length", "rest"), [(0, 0), (0.0001, 0), (0.001, 0.002), (0.008, 0.016), (1, 0.02)]
)
def test_a_rest_is_twice_its_round(length: float, rest: float) -> None:
    """A short round is followed by none, and no rest is longer than 20 ms."""
    assert paced(10, 10 + length).seconds_left(10 + length, 1) == pytest.approx(rest)


def test_a_rest_ends() -> None:
    """What was rested already counts."""
    pace = paced(10, 10.005)
    assert pace.seconds_left(10.009, 1) == pytest.approx(0.006)
    assert pace.seconds_left(10.015, 1) == pytest.approx(0, abs=1e-9)
    assert pace.seconds_left(99, 1) == 0


def test_much_does_not_wait() -> None:
    """When there is much to send, the next round begins at once."""
    assert paced(10, 11).seconds_left(11, LARGE_BYTES) == 0


@pytest.mark.promise("R24")
@given(SECONDS, SECONDS, SECONDS)
def test_a_clock_that_jumps(began: float, ended: float, now: float) -> None:
    """Whatever the clock says, nothing is put off for longer than the longest rest."""
    assert 0 <= paced(began, ended).seconds_left(now, 1) <= MOST_REST_SECONDS


def test_the_first_round() -> None:
    """Before the first round there is nothing to rest from."""
    assert Pace().seconds_left(5, 1) == 0
