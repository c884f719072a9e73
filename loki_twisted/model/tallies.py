"""How often something took how long, counted by fixed bounds: cheap, for what happens often."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""In seconds: a figure is counted under the first of them that it does not exceed."""


class Tally:
    """
    Durations, counted.

    :ivar total: The sum of all, in seconds.
    """

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self.total = 0.0
        self._counts = [0] * (len(BOUNDS) + 1)

    def add(self, seconds: float) -> None:
        """Count one."""
        self.total += seconds
        self._counts[bisect_left(BOUNDS, seconds)] += 1

    def absorb(self, other: Tally) -> None:
        """Count all of another one too."""
        self.total += other.total
        self._counts = [mine + its for mine, its in zip(self._counts, other._counts, strict=True)]

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self._counts)

    def cumulative(self) -> Sequence[tuple[float, int]]:
        """How many did not exceed each bound, and behind the last one infinity: all."""
        return list(zip((*BOUNDS, float("inf")), accumulate(self._counts), strict=True))
