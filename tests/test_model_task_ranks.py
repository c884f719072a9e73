"""How urgent a task is."""

from __future__ import annotations

import pytest

from loki_twisted.model.task_ranks import priority_rank


@pytest.mark.parametrize(
    "falling",
    [
        [9, 5, 1, None],
        ["critical", "high", "medium", "low", None],
        ["P0", "p1", "p2", "p3"],
        ["10", " 9 ", "-3"],
        [10**30, 10**15 - 1, -(10**30)],
    ],
)
def test_priorities_in_order(falling: list[int | str | None]) -> None:
    """Numbers, numbers as text, and the usual words are in the order that one expects."""
    ranks = [priority_rank(priority) for priority in falling]

    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ranks)) == len(ranks)


def test_a_word_of_no_meaning() -> None:
    """A word that says nothing ranks as no priority at all."""
    assert priority_rank("whenever") == priority_rank(None) == priority_rank("²") == 0
