"""How near a total is to what may be spent."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.budget import Alarm, Budget, Limit, Stage, Standing, judged
from loki_twisted.model.spending import NOTHING, Spending, plus
from tests.log_support import spendings

BUDGET = Budget(budget_usd=5.0, max_tokens=1000)


@pytest.mark.parametrize(
    ("cost", "stage"),
    [
        (0.0, Stage.WITHIN),
        (3.999, Stage.WITHIN),
        (4.0, Stage.NEAR),
        (4.999, Stage.NEAR),
        (5.0, Stage.OVER),
        (500.0, Stage.OVER),
    ],
)
def test_the_stages_of_a_cost(cost: float, stage: Stage) -> None:
    """From 80 % on a limit is near, and when it is reached it is over."""
    standing, alarms = judged(BUDGET, Spending(cost=cost), Standing())

    assert standing == Standing(cost=stage)
    assert [(each.limit, each.stage) for each in alarms] == (
        [] if stage is Stage.WITHIN else [(Limit.COST, stage)]
    )


def test_tokens_of_all_kinds_count() -> None:
    """A limit of tokens is for all that are read and written."""
    spent = Spending(input_tokens=300, output_tokens=300, cache_read_tokens=200)

    assert judged(BUDGET, spent, Standing())[0] == Standing(tokens=Stage.NEAR)
    assert judged(BUDGET, plus(spent, spent), Standing())[0] == Standing(tokens=Stage.OVER)


def test_it_is_said_in_words() -> None:
    """People read how much was spent of what."""
    spent = Spending(cost=4.1, input_tokens=1234)
    _, alarms = judged(BUDGET, spent, Standing())

    assert alarms == (
        Alarm(
            Limit.COST,
            Stage.NEAR,
            "The session has spent $4.10 of a budget of $5.00, and is stopped when that is"
            " reached.",
        ),
        Alarm(Limit.TOKENS, Stage.OVER, "The session has spent 1,234 tokens of 1,000."),
    )


def test_no_limit_is_never_near() -> None:
    """Without a limit nothing is told, whatever is spent."""
    spent = Spending(cost=1e9, input_tokens=10**12)

    assert judged(Budget(), spent, Standing()) == (Standing(), ())


budgets = st.builds(
    Budget,
    budget_usd=st.none() | st.floats(0.01, 10),
    max_tokens=st.none() | st.integers(1, 10_000),
)


@given(budgets, st.lists(spendings, max_size=10))
def test_each_stage_is_told_once(budget: Budget, amounts: list[Spending]) -> None:
    """However a session spends, also over restarts, no stage is told twice, and none goes back."""
    total, told = NOTHING, Standing()
    alarms: list[Alarm] = []
    for amount in amounts:
        total = plus(total, amount)
        told, new = judged(budget, total, told)
        told = msgspec.json.decode(msgspec.json.encode(told), type=Standing)
        alarms += new

    for limit, value, most in (
        (Limit.COST, total.cost, budget.budget_usd),
        (Limit.TOKENS, total.tokens, budget.max_tokens),
    ):
        stages = [each.stage for each in alarms if each.limit is limit]
        assert stages in ([], [Stage.NEAR], [Stage.OVER], [Stage.NEAR, Stage.OVER])
        is_near = most is not None and value >= 0.8 * most
        assert bool(stages) == is_near
        assert (Stage.OVER in stages) == (most is not None and value >= most)
    assert judged(budget, total, told) == (told, ())


@given(budgets, spendings, st.sampled_from(Stage), st.sampled_from(Stage))
def test_what_was_told_is_not_taken_back(
    budget: Budget, total: Spending, cost: Stage, tokens: Stage
) -> None:
    """A total that is lower than the last one changes nothing of what was told."""
    told = Standing(cost=cost, tokens=tokens)
    order = list(Stage)
    now, alarms = judged(budget, total, told)

    assert order.index(now.cost) >= order.index(cost)
    assert order.index(now.tokens) >= order.index(tokens)
    assert (now == told) == (not alarms)
