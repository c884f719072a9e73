"""Tests of reading members of JSON objects of which no type is certain."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents.providers.members import (
    count_of,
    fields_of,
    list_of,
    maybe_amount,
    maybe_count,
    maybe_text,
    number_of,
    object_of,
    objects_of,
    text_of,
    texts_of,
)
from loki_twisted.agents.providers.objects import MAX_NUMBER

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=6,
)


@given(VALUES)
def test_whatever_it_is(value: Any) -> None:
    """Each gives what it says it gives, or nothing, and never fails."""
    found = {"a": value}
    assert object_of(found, "a") == fields_of(value) == (value if type(value) is dict else {})
    assert list_of(found, "a") == (value if type(value) is list else [])
    assert objects_of(found, "a") == [e for e in list_of(found, "a") if type(e) is dict]
    assert texts_of(found, "a") == [e for e in list_of(found, "a") if type(e) is str]
    assert text_of(found, "a") == (value if type(value) is str else "")
    assert maybe_text(found, "a") == (value if type(value) is str else None)
    for number in (number_of(found, "a"), count_of(found, "a")):
        assert 0 <= number < MAX_NUMBER
    assert type(count_of(found, "a")) is int
    for maybe in (maybe_count(found, "a"), maybe_amount(found, "a")):
        assert maybe is None or (math.isfinite(maybe) and maybe == value)


@given(VALUES)
def test_what_is_no_object_has_no_members(value: Any) -> None:
    """It is as good as an empty one."""
    if not isinstance(value, dict):
        assert object_of(value, "a") == {}
        assert list_of(value, "a") == []
        assert text_of(value, "a") == ""
        assert number_of(value, "a") == count_of(value, "a") == 0


@pytest.mark.parametrize(
    ("value", "count", "amount"),
    [
        (7, 7, 7.0),
        (7.0, 7, 7.0),
        (0.5, None, 0.5),
        (0, 0, 0.0),
        (-1, None, None),
        (True, None, None),
        ("7", None, None),
        (MAX_NUMBER, None, None),
        (math.inf, None, None),
        (math.nan, None, None),
    ],
)
def test_numbers(value: Any, count: int | None, amount: float | None) -> None:
    """A count is whole, an amount finite; neither is negative, a truth, or beyond what all hold."""
    assert maybe_count({"n": value}, "n") == count
    assert maybe_amount({"n": value}, "n") == amount
    assert number_of({"n": value}, "n") == (amount or 0)


def test_the_first_that_says_something() -> None:
    """Of several names that stands which holds a text, or a count, that is not empty."""
    found = {"a": "", "b": 3, "c": "words", "d": 5}
    assert text_of(found, "a", "b", "c") == "words"
    assert count_of(found, "a", "c", "d", "b") == 5
    assert text_of(found, "a", "missing") == ""
