"""Whether a client still takes what there is for it."""

from __future__ import annotations

from typing import Final

import attrs

PACE_BYTES: Final = 65_536
PACE_SECONDS: Final = 10.0
"""Who takes fewer bytes in such a time is slow."""


@attrs.frozen(slots=True)
class Taking:
    """
    What was seen when a client was last looked at.

    :ivar moved_at: When it was last seen to have taken something, or to have nothing to take; in
        seconds.
    :ivar taken: How much it had taken, in bytes, from wherever that is counted.
    """

    moved_at: float
    taken: int = 0

    def look(self, now: float, taken: int, *, is_stuck: bool) -> Taking:
        """
        Look at it again.

        :param now: In seconds.
        :param taken: How much it has taken by now.
        :param is_stuck: Whether there is something that it does not take: others wait for nothing.
        """
        has_moved = taken > self.taken or not is_stuck
        return Taking(now if has_moved else self.moved_at, taken)

    def idle_seconds(self, now: float) -> float:
        """For how long it has taken nothing of what there is."""
        return now - self.moved_at


@attrs.frozen(slots=True)
class Pace:
    """
    How much a client takes, from one stretch of time to the next.

    :ivar since: When this stretch began, in seconds.
    :ivar taken: How much the client had taken then, in bytes.
    :ivar is_slow: Whether it took too little in the last whole stretch.
    """

    since: float
    taken: int = 0
    is_slow: bool = False

    def look(self, now: float, taken: int, *, is_stuck: bool) -> Pace:
        """
        Look at the client again: see :meth:`Taking.look`.

        Who has taken all there is is not slow.
        """
        if not is_stuck:
            return Pace(now, taken)
        if now - self.since < PACE_SECONDS:
            return self
        return Pace(now, taken, taken - self.taken < PACE_BYTES)
