"""
When the next round may begin.

A round costs a system call for each live subscriber, however little it brings: 5 microseconds,
so a thousand subscribers and a hundred events a second are half a processor. So a round that was
long is followed by a rest, in which little things gather and then go out together. Whoever has
few subscribers sees no difference; whoever has many gets events some milliseconds later for a
fraction of the work, and the reactor has time for others.
"""

from __future__ import annotations

from typing import Final

REST_PER_ROUND: Final = 2.0
"""How long a rest is, in lengths of the round before it."""

LEAST_REST_SECONDS: Final = 0.001
"""A shorter one is none: a timer costs more than it would save."""

MOST_REST_SECONDS: Final = 0.02
"""No event waits longer than this for others to go with."""

LARGE_BYTES: Final = 16 * 1024
"""With so much to send, the system call is no longer what costs, and nothing waits."""


class Pace:
    """Knows how long the last round was, and when it ended."""

    __slots__ = ("_ended_at", "_rest_seconds")

    def __init__(self) -> None:
        self._ended_at = 0.0
        self._rest_seconds = 0.0

    def round_over(self, length: float, ended: float) -> None:
        """
        Note a round.

        :param length: How many seconds of work it was; should the clock jump meanwhile, the rest
            is none, or the longest there is.
        :param ended: When, in seconds of the same clock.
        """
        rest = REST_PER_ROUND * length
        self._ended_at = ended
        self._rest_seconds = 0.0 if rest < LEAST_REST_SECONDS else min(rest, MOST_REST_SECONDS)

    def seconds_left(self, now: float, waiting_bytes: int) -> float:
        """
        Say how long the next round is to be put off.

        :param waiting_bytes: How much there is to send.
        :returns: 0 if it is to begin now.
        """
        if not self._rest_seconds or waiting_bytes >= LARGE_BYTES:
            return 0.0
        rested = now - self._ended_at
        return max(0.0, self._rest_seconds - rested) if rested >= 0 else 0.0
