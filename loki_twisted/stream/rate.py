"""How many events there were lately, counted in constant memory."""

from __future__ import annotations

from typing import Final

WINDOW_SECONDS: Final = 60
"""Over how many seconds the mean goes."""


class Rate:
    """Events a second, as the mean over the last minute: one count for each second of it."""

    __slots__ = ("_counts", "_second")

    def __init__(self) -> None:
        self._counts = [0] * WINDOW_SECONDS
        self._second = 0

    def add(self, events: int, now: float) -> None:
        """
        Count events.

        :param now: Seconds of a clock that does not go back.
        """
        self._forget_before(int(now))
        self._counts[self._second % WINDOW_SECONDS] += events

    def mean(self, now: float) -> float:
        """Events a second."""
        self._forget_before(int(now))
        return sum(self._counts) / WINDOW_SECONDS

    def _forget_before(self, second: int) -> None:
        passed = min(second - self._second, WINDOW_SECONDS)
        for old in range(second - passed + 1, second + 1):
            self._counts[old % WINDOW_SECONDS] = 0
        self._second = second
