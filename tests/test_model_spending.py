"""Adding up what is spent, and understanding counters."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.spending import (
    MOST_DOLLARS,
    MOST_TOKENS,
    NOTHING,
    Spending,
    booked,
    bounded,
    plus,
)
from tests.log_support import spendings

NAMES = Spending.__struct_fields__

anything = st.floats() | st.integers()
whatever = st.fixed_dictionaries(dict.fromkeys(NAMES, anything)).map(
    lambda fields: Spending(**fields)
)

positive = spendings.map(lambda spent: plus(spent, Spending(**dict.fromkeys(NAMES, 1))))


def added(several: list[Spending]) -> Spending:
    total = NOTHING
    for each in several:
        total = plus(total, each)
    return total


def booked_in_turn(totals: list[Spending]) -> list[Spending]:
    """What is booked when a counter shows one total after the other."""
    return [booked(before, now) for before, now in pairwise([NOTHING, *totals])]


@given(spendings, spendings, spendings)
def test_adding(one: Spending, two: Spending, three: Spending) -> None:
    """The order in which amounts are added makes no difference, and nothing adds nothing."""
    assert plus(one, two) == plus(two, one)
    assert plus(plus(one, two), three) == plus(one, plus(two, three))
    assert plus(one, NOTHING) == one
    assert plus(one, two).tokens == one.tokens + two.tokens


def test_tokens_are_counted_once() -> None:
    """Those for reasoning are among those of the output."""
    spent = Spending(
        input_tokens=1,
        output_tokens=20,
        cache_read_tokens=300,
        cache_write_tokens=4000,
        reasoning_tokens=7,
        other_tokens=50_000,
        api_calls=9,
    )
    assert spent.tokens == 54_321


@given(st.lists(spendings, max_size=8))
def test_a_counter_that_only_grows(amounts: list[Spending]) -> None:
    """Of each total that is booked which was spent since the one before."""
    totals = [added(amounts[: length + 1]) for length in range(len(amounts))]

    assert booked_in_turn(totals) == amounts


def below(total: Spending) -> st.SearchStrategy[Spending]:
    """Totals that are lower in each number."""
    numbers = {name: st.integers(0, math.ceil(getattr(total, name)) - 1) for name in NAMES}
    return st.builds(Spending, **numbers)


@given(st.lists(st.lists(positive, min_size=2, max_size=4), max_size=4), st.data())
def test_a_counter_that_is_set_back(runs: list[list[Spending]], data: st.DataObject) -> None:
    """Each time that a counter begins anew, and is seen to, all that it shows is booked."""
    totals: list[Spending] = []
    amounts: list[Spending] = []
    for run in runs:
        first = data.draw(below(totals[-1])) if totals else run[0]
        spent = [first, *run[1:]]
        amounts += spent
        totals += accumulate(spent, plus)

    assert booked_in_turn(totals) == amounts


def test_one_number_is_set_back() -> None:
    """An agent that begins to count its calls anew has not begun to count its tokens anew."""
    before = Spending(input_tokens=100, api_calls=5, cost=1.5)
    now = Spending(input_tokens=130, api_calls=1, cost=1.5)

    assert booked(before, now) == Spending(input_tokens=30, api_calls=1)


@given(spendings, spendings)
def test_nothing_is_booked_back(before: Spending, now: Spending) -> None:
    """Whatever totals are told, no amount is below nothing, or above the total."""
    amount = booked(before, now)

    assert all(0 <= getattr(amount, name) <= getattr(now, name) for name in NAMES)


@given(whatever)
def test_any_amount_is_bounded(amount: Spending) -> None:
    """Whatever numbers an agent makes up, what is left of them can be added and stored."""
    left = bounded(amount)

    for name in NAMES:
        most = MOST_DOLLARS if name == "cost" else MOST_TOKENS
        value = getattr(left, name)
        assert type(value) is (float if name == "cost" else int)
        assert 0 <= value <= most
        given_value = getattr(amount, name)
        if 0 <= given_value <= most and name != "cost":
            assert value == int(given_value)
    assert bounded(left) == left


@pytest.mark.parametrize("value", [math.nan, -math.inf, -1, -0.0])
def test_what_is_no_amount(value: float) -> None:
    """What is no number, or below nothing, is nothing."""
    assert bounded(Spending(cost=value, input_tokens=value)) == NOTHING  # type: ignore[arg-type]
