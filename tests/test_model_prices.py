"""What models cost."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.prices import PRICES, Price, estimated, price_of
from loki_twisted.model.spending import NOTHING, CostOrigin, Spending, plus
from tests.log_support import spendings

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("claude-opus-4-5", "claude-opus-4-5"),
        ("claude-opus-4-5-20251101", "claude-opus-4-5"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("claude-opus-5-5", "claude-opus-5-5"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-6[1m]", "claude-sonnet-4-6"),
        ("Claude-Haiku-4-5-latest", "claude-haiku-4-5"),
        ("anthropic/claude-sonnet-5", "claude-sonnet-5"),
        ("anthropic.claude-sonnet-5", "claude-sonnet-5"),
        ("openai/gpt-5.4-mini-2026-03-17", "gpt-5.4-mini"),
        ("gpt-5-2025-08-07", "gpt-5"),
        ("gpt-5.1-codex-max", "gpt-5.1-codex-max"),
    ],
)
def test_a_model_is_known_by_its_name(model: str, known: str) -> None:
    """An edition of a model, or who makes it, does not make it another one."""
    assert price_of(model) is PRICES[known]


@pytest.mark.parametrize(
    "model",
    [
        "",
        "gpt",
        "gpt-5-pro",
        "gpt-5.9",
        "gpt-5.2-codex-2",
        "claude-opus-4-9",
        "claude-opus-5-20261",
        "claude-opus-5-5-5",
        "gemini-2.5-flash-lite",
        "my-claude-opus-5",
        "ollama/gpt-5",
        "claude-sonnet-5\n",
        "opus",
    ],
)
def test_a_neighbour_is_another_model(model: str) -> None:
    """A model that only begins like one that is known costs nobody knows what."""
    assert price_of(model) is None
    assert estimated(Spending(input_tokens=MILLION), model) == (0.0, CostOrigin.UNKNOWN)


def test_tokens_of_no_known_kind() -> None:
    """What they cost cannot be told."""
    spent = Spending(input_tokens=MILLION, other_tokens=1)
    assert estimated(spent, "claude-opus-4-5") == (0.0, CostOrigin.UNKNOWN)


def test_each_kind_has_its_price() -> None:
    """A million tokens of each kind cost what the list says, and reasoning nothing more."""
    price = PRICES["claude-opus-4-5"]
    kinds = {
        "input_tokens": price.input,
        "output_tokens": price.output,
        "cache_read_tokens": price.cache_read,
        "cache_write_tokens": price.cache_write,
        "reasoning_tokens": 0,
        "api_calls": 0,
        "cost": 0,
    }
    assert set(kinds) == set(Spending.__struct_fields__) - {"other_tokens"}
    for kind, dollars in kinds.items():
        spent = Spending(**{kind: MILLION})
        assert estimated(spent, "claude-opus-4-5") == (dollars, CostOrigin.ESTIMATED)


def test_writing_a_cache_may_be_reading() -> None:
    """Where writing a cache has no price of its own, it has that of the input."""
    assert Price(2, 8, 0.5).cache_write == 2
    assert PRICES["gpt-5"].cache_write == PRICES["gpt-5"].input


@pytest.mark.parametrize("model", PRICES)
def test_prices_are_plausible(model: str) -> None:
    """The cache is cheaper to read than the text, writing costs more, and output most."""
    price = PRICES[model]
    assert 0 < price.cache_read <= price.input / 2
    assert price.input <= price.cache_write <= 2 * price.input
    assert 4 * price.input <= price.output <= 10 * price.input
    assert price_of(model) is price


of_known_kinds = spendings.map(lambda spent: msgspec.structs.replace(spent, other_tokens=0))


@given(of_known_kinds, of_known_kinds, st.sampled_from(sorted(PRICES)))
def test_what_is_spent_later_costs_the_same(one: Spending, two: Spending, model: str) -> None:
    """Amounts that are estimated one by one add up to what they cost together."""
    together, _ = estimated(plus(one, two), model)

    assert together == pytest.approx(estimated(one, model)[0] + estimated(two, model)[0])
    assert estimated(NOTHING, model) == (0.0, CostOrigin.ESTIMATED)
