"""
When those come back whose streams the server ends: not all in the same moment.

A restart is over within a second or two. If all who listened came then at once, each would be
served late, and the first requests of people with them.
"""

from __future__ import annotations

from typing import Final

SOONEST_MS: Final = 1_000
"""Nobody comes back earlier."""

LONGEST_SPREAD_MS: Final = 4_000
"""From the first to the last who comes back, however many there are."""

_EACH_MS: Final = 40
_GOLDEN: Final = 0.6180339887498949
"""Multiples of it, without their whole parts, fill an interval evenly, however many are taken."""


def return_ms(number: int, of: int) -> int:
    """
    Say after how many milliseconds a client shall come back.

    :param number: Which of those it is that are told to, from 0 on.
    :param of: How many there are.
    """
    spread = min(LONGEST_SPREAD_MS, of * _EACH_MS)
    return SOONEST_MS + int(spread * (number * _GOLDEN % 1))
