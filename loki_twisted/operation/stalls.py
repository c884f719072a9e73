"""Turns of the reactor that took too long: how many, and what of them is told."""

from __future__ import annotations

from typing import Final

import attrs

MOST_SECONDS: Final = 0.05
"""A turn that takes longer is a stall: nobody else is served meanwhile."""

QUIET_SECONDS: Final = 10.0
"""After one was told, the next is told no earlier."""


@attrs.define
class Stalls:
    """
    What stalls there were.

    :ivar count: How many.
    :ivar seconds: How long they were together.
    :ivar longest: How long the longest was, in seconds.
    """

    count: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    _quiet_until: float = float("-inf")
    _untold: int = 0

    def note(self, seconds: float, now: float) -> int | None:
        """
        Count one.

        :param seconds: How long it was.
        :param now: When it was over, in seconds of a clock that never goes back.
        :returns: How many before it were not told, if it is to be told; else None.
        """
        self.count += 1
        self.seconds += seconds
        self.longest = max(self.longest, seconds)
        if now < self._quiet_until:
            self._untold += 1
            return None
        self._quiet_until = now + QUIET_SECONDS
        untold, self._untold = self._untold, 0
        return untold
