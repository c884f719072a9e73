"""How many events there were lately."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.stream.rate import WINDOW_SECONDS, Rate
from tests.fakes_stream import calm


def test_nothing() -> None:
    """Without events the mean is 0, whatever the clock says."""
    assert Rate().mean(123_456.7) == 0


def test_events_are_forgotten_after_a_minute() -> None:
    """An event counts for a minute, then no more."""
    rate = Rate()
    rate.add(120, 1000.5)
    assert rate.mean(1000.9) == 2
    assert rate.mean(1059.9) == 2
    assert rate.mean(1060.0) == 0


@calm
@given(st.lists(st.tuples(st.floats(0, 40), st.integers(0, 9)), max_size=30), st.floats(0, 100))
def test_mean_is_that_of_the_last_seconds(steps: list[tuple[float, int]], rest: float) -> None:
    """The mean is over what was counted in this second and the 59 before it."""
    rate, counted, now = Rate(), [], 500.0
    for passed, events in steps:
        now += passed
        rate.add(events, now)
        counted.append((int(now), events))
    now += rest
    recent = sum(events for second, events in counted if second > int(now) - WINDOW_SECONDS)
    assert rate.mean(now) == recent / WINDOW_SECONDS
