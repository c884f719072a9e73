"""Tests of reading fields that anybody may have written."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.timestamps import iso_from_ms
from loki_twisted.state.fields import (
    MAX_DEPTH,
    is_carriable,
    maybe_number,
    maybe_priority,
    maybe_session_status,
    maybe_task_status,
    maybe_text,
    maybe_time,
    maybe_whole,
    maybe_word,
)

ANYTHING = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(codec="utf-8"))
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner)),
    max_leaves=5,
)


@given(ANYTHING)
def test_any_value_is_read_or_none(value: Any) -> None:
    """Whatever a field holds, what is read of it can be encoded, or is None."""
    for read in (
        *(maybe_text, maybe_word, maybe_number, maybe_whole, maybe_time, maybe_priority),
        *(maybe_task_status, maybe_session_status),
    ):
        found = read(value)
        if found is not None:
            assert msgspec.json.decode(msgspec.json.encode(found)) == found


@given(st.integers(0, 253_402_300_799_999))
def test_times_are_read_in_both_forms(milliseconds: int) -> None:
    """A time as text and as a number is the same time."""
    text = iso_from_ms(milliseconds)
    assert maybe_time(text) == maybe_time(milliseconds) == maybe_time(float(milliseconds)) == text


@pytest.mark.parametrize(
    "value", [-1, 253_402_300_800_000, 1e300, True, "yesterday", "1969-12-31T23:59:59Z", "", [1]]
)
def test_what_is_no_time_of_our_era_is_none(value: Any) -> None:
    """Times outside the years 1970 to 9999 are none, and other values too."""
    assert maybe_time(value) is None


def test_numbers_are_those_that_everybody_can_read() -> None:
    """Numbers are finite, and whole ones exact in every reader of JSON."""
    assert maybe_number(1.5) == 1.5
    assert maybe_number(2**53) is None
    assert maybe_number(float("inf")) is None
    assert maybe_whole(3) == 3
    assert maybe_whole(3.0) is None
    assert maybe_whole(True) is None


def test_a_priority_is_a_number_or_a_word() -> None:
    """A whole number is a priority however it is written, and a word as it is."""
    assert maybe_priority(3.0) == 3
    assert maybe_priority(3.5) is None
    assert maybe_priority("High") == "High"
    assert maybe_priority(None) is None


def test_depth_is_bounded() -> None:
    """A value may be passed on up to a number of levels."""
    deep: Any = "x"
    for _ in range(MAX_DEPTH - 1):
        assert is_carriable(deep)
        deep = {"a": True, "b": deep}
    assert is_carriable(deep)
    assert not is_carriable([deep])


def test_texts_are_cut() -> None:
    """A text that is too long is cut, one of blanks is none, and a number may stand for one."""
    assert maybe_text("abc", 2) == "ab"
    assert maybe_text(" \n") is None
    assert maybe_text(42) == "42"
    assert maybe_text(True) is None
    assert maybe_word(" Testing ") == "testing"
