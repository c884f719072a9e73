"""How much somebody may do in a minute, where what they do is free for them and not for us."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

WINDOW_SECONDS: Final = 60


class Allowance:
    """
    So much a minute, for each party and for all together.

    :param seconds: A clock that never goes back.
    :param each: How often each party may.
    :param together: How often all may; so many parties are remembered at most.
    """

    def __init__(self, seconds: Callable[[], float], each: int, together: int) -> None:
        self._seconds = seconds
        self._each = each
        self._together = together
        self._opened = seconds()
        self._taken: dict[str, int] = {}
        self._sum = 0
        self._refused = 0

    def take(self, party: str) -> bool:
        """Tell whether it is allowed once more."""
        if self._seconds() - self._opened >= WINDOW_SECONDS:
            self._opened = self._seconds()
            self._taken.clear()
            self._sum = 0
        taken = self._taken.get(party, 0)
        if taken >= self._each or self._sum >= self._together:
            self._refused += 1
            return False
        self._taken[party] = taken + 1
        self._sum += 1
        return True

    def refused(self) -> int:
        """Tell how often it was not allowed since this was asked the last time."""
        refused, self._refused = self._refused, 0
        return refused
