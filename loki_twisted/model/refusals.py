"""What is refused and tried again and again: told once, and counted."""

from __future__ import annotations


class Refusals:
    """Refusals of one thing, from the first on until it is taken."""

    __slots__ = ("_count", "_last")

    def __init__(self) -> None:
        self._count = 0
        self._last: str | None = None

    def is_news(self, reason: str) -> bool:
        """Count one. Says whether its reason is another one than that of the last."""
        self._count += 1
        before, self._last = self._last, reason
        return reason != before

    def over(self) -> int:
        """It was taken. Says how many refusals there were before."""
        count, self._count, self._last = self._count, 0, None
        return count
