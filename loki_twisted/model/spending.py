"""What agents spend: tokens by kind, calls, and money."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec


class CostOrigin(StrEnum):
    """Where a cost comes from."""

    REPORTED = "reported"
    """The agent said it. It is its own estimate, not an invoice."""
    ESTIMATED = "estimated"
    """We made it from tokens and a table of prices."""
    UNKNOWN = "unknown"
    """Nobody knows; the number is 0 and means nothing."""


class Spending(msgspec.Struct, frozen=True, rename="camel", kw_only=True, gc=False):
    """
    An amount of what was spent, or a total.

    :ivar input_tokens: Read for the first time; those of the cache are counted apart.
    :ivar reasoning_tokens: Of the ``output_tokens``, where the agent says so.
    :ivar other_tokens: Those of which the agent does not say what they were.
    :ivar cost: US dollars.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    other_tokens: int = 0
    api_calls: int = 0
    cost: float = 0.0

    @property
    def tokens(self) -> int:
        """All tokens that were read or written."""
        return (
            self.input_tokens
            + self.output_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.other_tokens
        )


NOTHING: Final = Spending()
"""Nothing was spent."""

MOST_TOKENS: Final = 10**12
"""More of a kind nobody spends at once: a number above it was made up, and counts as this."""

MOST_DOLLARS: Final = 1e9
"""Likewise."""


def plus(one: Spending, other: Spending) -> Spending:
    """Add two amounts."""
    return Spending(
        **{name: getattr(one, name) + getattr(other, name) for name in Spending.__struct_fields__}
    )


def booked(before: Spending, total: Spending) -> Spending:
    """
    Say what was spent since the last total of the same counter.

    A counter that has gone down was set back, so all that it shows is new. Each of its numbers
    is taken by itself: an agent may set one of them back and not the others.
    """
    return Spending(
        **{
            name: _since(getattr(before, name), getattr(total, name))
            for name in Spending.__struct_fields__
        }
    )


def _since(before: Any, now: Any) -> Any:
    return now - before if now >= before else now


def bounded(amount: Spending) -> Spending:
    """
    Leave of an amount what can be.

    The numbers are those of agents. One that is below 0, or none at all, counts as 0, and one
    beyond all measure as :data:`MOST_TOKENS` or :data:`MOST_DOLLARS`.
    """
    counts = {
        name: int(_within(getattr(amount, name), MOST_TOKENS))
        for name in Spending.__struct_fields__
        if name != "cost"
    }
    return Spending(**counts, cost=float(_within(amount.cost, MOST_DOLLARS)))


def _within(value: float, most: float) -> float:
    # What is no number is not above 0 either.
    return min(value, most) if value > 0 else 0
