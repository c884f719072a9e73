"""Whether a client still takes what there is for it."""

from __future__ import annotations

import attrs


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
