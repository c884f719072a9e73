"""Budgets: what a session may spend, and how near to it a total is."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import attrs
import msgspec

from loki_twisted.model.spending import Spending

WARNED_AT: Final = 0.8
"""At this share of a limit people are warned."""


class Stage(StrEnum):
    """How near a total is to a limit."""

    WITHIN = "within"
    """Below the share at which people are warned, or there is no limit."""
    NEAR = "near"
    OVER = "over"
    """The limit is reached: nothing more may be spent."""


_ORDER: Final = tuple(Stage)


class Limit(StrEnum):
    """What is limited."""

    COST = "cost"
    TOKENS = "tokens"


@attrs.frozen(slots=True, kw_only=True)
class Budget:
    """
    What may be spent; None is without limit.

    :ivar budget_usd: US dollars, above 0. A cost that nobody knows counts as nothing.
    :ivar max_tokens: Tokens of all kinds together, above 0.
    """

    budget_usd: float | None = None
    max_tokens: int | None = None


class Standing(msgspec.Struct, frozen=True, rename="camel", kw_only=True, gc=False):
    """How near a total is to each limit, or was when people were last told; can be stored."""

    cost: Stage = Stage.WITHIN
    tokens: Stage = Stage.WITHIN


@attrs.frozen(slots=True)
class Alarm:
    """
    Something that people are told, once.

    :ivar stage: ``near`` or ``over``.
    :ivar words: A sentence about it.
    """

    limit: Limit
    stage: Stage
    words: str


def judged(budget: Budget, total: Spending, told: Standing) -> tuple[Standing, tuple[Alarm, ...]]:
    """
    Say what people are to be told of a total.

    Each stage of each limit is told once, whatever the total does in between; a limit that is
    passed at once is told as such, without the warning.

    :param told: What came of the total before; ``Standing()`` at first.
    :returns: What to give the next time, and what to tell now.
    """
    stages = {
        Limit.COST: _stage(total.cost, budget.budget_usd),
        Limit.TOKENS: _stage(total.tokens, budget.max_tokens),
    }
    before = {Limit.COST: told.cost, Limit.TOKENS: told.tokens}
    alarms = tuple(
        Alarm(limit, stage, _words(limit, stage, budget, total))
        for limit, stage in stages.items()
        if _ORDER.index(stage) > _ORDER.index(before[limit])
    )
    now = {**before, **{alarm.limit: alarm.stage for alarm in alarms}}
    return Standing(cost=now[Limit.COST], tokens=now[Limit.TOKENS]), alarms


def _stage(total: float, limit: float | None) -> Stage:
    if limit is None or total < WARNED_AT * limit:
        return Stage.WITHIN
    return Stage.OVER if total >= limit else Stage.NEAR


def _words(limit: Limit, stage: Stage, budget: Budget, total: Spending) -> str:
    if limit is Limit.COST:
        what, of = f"${total.cost:,.2f}", f"a budget of ${budget.budget_usd or 0:,.2f}"
    else:
        what, of = f"{total.tokens:,} tokens", f"{budget.max_tokens or 0:,}"
    if stage is Stage.OVER:
        return f"The session has spent {what} of {of}."
    return f"The session has spent {what} of {of}, and is stopped when that is reached."
