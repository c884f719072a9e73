"""Tests of when a flawed file is worth a warning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.state.flaws import LATER_RETRY, PATIENCE, RETRY, Flaws


def test_a_flaw_that_heals_is_nothing() -> None:
    """A file that was being written is never told of."""
    flaws = Flaws()
    assert not flaws.note("a", "x", 0)
    assert flaws.delay() == RETRY
    flaws.heal("a")
    assert flaws.delay() is None
    assert not flaws.note("a", "x", 10)
    assert flaws.paths() == ["a"]


def test_a_flaw_that_stays_is_told_once() -> None:
    """A file that stays as it is is told of once, and then only looked at now and then."""
    flaws = Flaws()
    flaws.note("a", "x", 0)
    assert not flaws.note("a", "x", PATIENCE - 0.01)
    assert flaws.note("a", "x", PATIENCE)
    assert flaws.note("a", "x", PATIENCE)  # it was not taken
    flaws.told("a", "x")
    assert not flaws.note("a", "x", 100)
    assert flaws.delay() == LATER_RETRY
    assert flaws.was_told("a", "x")


def test_other_content_is_told_again_after_a_while() -> None:
    """A file that becomes flawed in another way is told of again, when that stays too."""
    flaws = Flaws()
    flaws.note("a", "x", 0)
    flaws.note("a", "x", 1)
    flaws.told("a", "x")
    assert not flaws.note("a", "y", 5)
    assert flaws.delay() == RETRY
    assert flaws.note("a", "y", 6)
    flaws.told("a", "y")
    assert not flaws.note("a", "x", 7)
    assert not flaws.note("a", "x", 70)


def test_a_file_that_changes_all_the_time_is_told() -> None:
    """A file that is never right is told of, even if it is never the same."""
    flaws = Flaws()
    assert not flaws.note("a", "0", 0)
    assert not flaws.note("a", "1", 0.6)
    assert flaws.note("a", "2", 1.2)


def test_a_file_that_is_gone_is_forgotten() -> None:
    """After a file was removed a new one in its place is told of anew."""
    flaws = Flaws()
    flaws.note("a", "x", 0)
    flaws.told("a", "x")
    flaws.forget("a")
    assert flaws.delay() is None
    assert not flaws.was_told("a", "x")


@pytest.mark.promise("R17")
@given(st.lists(st.tuples(st.sampled_from("xyz"), st.floats(0, 3)), max_size=60))
def test_each_content_is_told_at_most_once(course: list[tuple[str, float]]) -> None:
    """However contents follow each other, none is told twice, and none at once."""
    flaws, now, told = Flaws(), 0.0, []
    last = 0.0
    for mark, delay in course:
        now += delay
        if flaws.note("a", mark, now):
            assert now - last >= PATIENCE
            flaws.told("a", mark)
            told.append(mark)
            last = now
    assert len(told) == len(set(told))
