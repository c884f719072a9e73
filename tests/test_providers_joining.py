"""Texts that come in parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents.providers.joining import ENOUGH, Held, add, grow

PARTS = st.lists(st.text("ab \n", max_size=40) | st.just("word " * 300) | st.just("x" * 5000))


@given(PARTS)
def test_nothing_is_lost_or_told_twice(parts: list[str]) -> None:
    """What is told and what is held are the text, and little is held."""
    held, told = Held("text"), ""
    for part in parts:
        held, said = add(held, part)
        told += said
        assert len(held.text) < ENOUGH
        assert held.told == len(told)
    assert told + held.text == "".join(parts)


@given(PARTS)
def test_a_text_that_grows_is_told_as_its_parts_are(parts: list[str]) -> None:
    """Whether an agent says what is new or all so far makes no difference."""
    by_parts = by_wholes = Held("text")
    whole = ""
    for part in parts:
        whole += part
        by_parts, said = add(by_parts, part)
        by_wholes, said_too = grow(by_wholes, whole)
        assert (by_wholes, said_too) == (by_parts, said)


def test_a_text_is_cut_where_a_reader_would() -> None:
    """Behind a paragraph, else a line, else a word."""
    for mark in ("\n\n", "\n", " "):
        text = "x" * 2000 + mark + "y" * 100
        held, said = add(Held("text"), text)
        assert said == "x" * 2000 + mark
        assert held.text == "y" * 100


def test_a_text_that_shrinks() -> None:
    """What was told is not told again."""
    held, said = grow(Held("text"), "x" * 3000)
    assert len(said) == 3000
    assert grow(held, "x" * 10) == (held, "")
