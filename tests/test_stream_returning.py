"""When those come back whose streams the server ends."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.stream.returning import LONGEST_SPREAD_MS, SOONEST_MS, return_ms


@given(st.integers(2, 2_000))
def test_they_come_one_after_the_other(count: int) -> None:
    """However many there are, no part of the time has many more of them than another."""
    times = sorted(return_ms(number, count) for number in range(count))
    spread = min(LONGEST_SPREAD_MS, 40 * count)

    assert SOONEST_MS <= times[0] <= times[-1] < SOONEST_MS + spread
    # Points of the golden ratio leave no gap of three times the mean.
    assert max(later - earlier for earlier, later in pairwise(times)) <= 3 * spread / count + 1


def test_one_comes_back_soon() -> None:
    """Who listens alone waits no longer than a restart takes."""
    assert return_ms(0, 1) == SOONEST_MS


@pytest.mark.promise("R13")
def test_fifty_are_spread_over_more_than_a_second() -> None:
    """Fifty that were cut off together come back over nearly two seconds."""
    times = [return_ms(number, 50) for number in range(50)]

    assert max(times) - min(times) > 1_900
