"""Tests of :mod:`loki_twisted.model.task_places`."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.task_places import PLACE_TEXT, TaskPlace

TIMES = st.just("") | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=64)
NUMBERS = st.integers(1, 2**63 - 1)


def written(json: str) -> str:
    """Any JSON, written as the one of a place is."""
    return urlsafe_b64encode(json.encode()).rstrip(b"=").decode()


@given(TIMES, NUMBERS)
def test_there_and_back(created_at: str, number: int) -> None:
    """A place is read as it was written, and its text needs no escaping in a URL."""
    place = TaskPlace(created_at, number)
    assert TaskPlace.of_text(place.text) == place
    assert re.fullmatch(PLACE_TEXT, place.text)


@given(st.text(max_size=60) | st.from_regex(PLACE_TEXT, fullmatch=True))
def test_any_text(text: str) -> None:
    """Any other text is refused: what is read is what would be written."""
    try:
        place = TaskPlace.of_text(text)
    except ValueError:
        return
    assert place.text == text


@pytest.mark.parametrize(
    "json",
    [
        "null",
        "{}",
        "[]",
        '["2026"]',
        '["2026", 1]',
        '["2026",0]',
        '["2026",-1]',
        '["2026",1.5]',
        '["2026",9223372036854775808]',
        '["2026",1,1]',
        "[null,1]",
        '["\\ud800",1]',
        '["\\u0000",1]',
        '["ü",1]',
        '["2026\\n",1]',
        f'["{"x" * 65}",1]',
    ],
)
def test_places_that_cannot_be(json: str) -> None:
    """What no task can have as its place is refused, before the log is asked."""
    with pytest.raises(ValueError, match="nextCursor"):
        TaskPlace.of_text(written(json))


def test_other_letters_of_the_same_place() -> None:
    """A place has one text: bits that base64 ignores are not ignored."""
    text = TaskPlace("2026", 10).text
    assert len(text) % 4
    with pytest.raises(ValueError, match="nextCursor"):
        TaskPlace.of_text(text[:-1] + chr(ord(text[-1]) + 1))
