"""How urgent a task is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_WORDS: Final[Mapping[str, float]] = {
    "critical": 10,
    "urgent": 10,
    "blocker": 10,
    "p0": 10,
    "highest": 9,
    "high": 8,
    "p1": 8,
    "medium": 5,
    "normal": 5,
    "p2": 5,
    "low": 2,
    "p3": 2,
    "lowest": 1,
    "p4": 1,
}


def priority_rank(priority: int | str | None) -> float:
    """
    Put a priority in order: higher is more urgent.

    :param priority: A number stands for itself, also as text; a word of the usual ones
        lies between 1 and 10; everything else, and None, is 0.
    """
    if priority is None:
        return 0.0
    if isinstance(priority, str):
        word = priority.strip().lower()
        if word.removeprefix("-").isdecimal():
            return _as_rank(int(word[:20]))
        return _WORDS.get(word, 0.0)
    return _as_rank(priority)


def _as_rank(number: int) -> float:
    return float(max(-(10**15), min(number, 10**15)))  # exact as a float
