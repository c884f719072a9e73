"""
What models cost, for agents that only say how many tokens they used.

The prices are those that the makers list for everybody, in US dollars for 1,000,000 tokens, as they
stood in October 2026 on these pages, or were repeated from them elsewhere:

- https://platform.claude.com/docs/en/about-claude/pricing (cache writes that last five minutes)
- https://developers.openai.com/api/docs/pricing (requests of up to 272,000 tokens)

Left out is what has no one price: models that agents use with short and with long requests for
different prices, and prices that end at a date. A model that is not here costs nobody knows what;
its price is never guessed from that of its neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import attrs

from loki_twisted.model.spending import CostOrigin, Spending

_MILLION: Final = 1_000_000


@attrs.frozen(slots=True)
class Price:
    """
    US dollars for 1,000,000 tokens of each kind.

    :ivar cache_write: The price of ``input`` where writing is not charged for by itself.
    """

    input: float
    output: float
    cache_read: float
    cache_write: float = attrs.field()

    @cache_write.default
    def _as_input(self) -> float:
        return self.input


_OPUS_4: Final = Price(15, 75, 1.50, 18.75)
_OPUS: Final = Price(5, 25, 0.50, 6.25)
_SONNET_4: Final = Price(3, 15, 0.30, 3.75)
_GPT_5: Final = Price(1.25, 10, 0.125)
_GPT_5_2: Final = Price(1.75, 14, 0.175)

PRICES: Final[Mapping[str, Price]] = {
    "claude-fable-5": Price(10, 50, 1.00, 12.50),
    "claude-fable-5-1": Price(10, 50, 0.25, 12.50),
    "claude-opus-4": _OPUS_4,
    "claude-opus-4-1": _OPUS_4,
    "claude-opus-4-5": _OPUS,
    "claude-opus-4-6": _OPUS,
    "claude-opus-4-7": _OPUS,
    "claude-opus-4-8": _OPUS,
    "claude-opus-5": _OPUS,
    "claude-opus-5-5": Price(4, 20, 0.20, 5.00),
    "claude-sonnet-4": _SONNET_4,
    "claude-sonnet-4-5": _SONNET_4,
    "claude-sonnet-4-6": _SONNET_4,
    "claude-sonnet-5": Price(2, 10, 0.20, 2.50),
    "claude-sonnet-5-5": Price(2, 10, 0.10, 2.50),
    "claude-haiku-4-5": Price(1, 5, 0.10, 1.25),
    "gpt-5": _GPT_5,
    "gpt-5-codex": _GPT_5,
    "gpt-5-mini": Price(0.25, 2, 0.025),
    "gpt-5.1": _GPT_5,
    "gpt-5.1-codex": _GPT_5,
    "gpt-5.1-codex-max": _GPT_5,
    "gpt-5.2": _GPT_5_2,
    "gpt-5.2-codex": _GPT_5_2,
    "gpt-5.3-codex": _GPT_5_2,
    "gpt-5.4": Price(2.50, 15, 0.25),
    "gpt-5.4-mini": Price(0.75, 4.50, 0.075),
    "gpt-5.4-nano": Price(0.20, 1.25, 0.02),
    "gpt-5.5": Price(5, 30, 0.50),
    "gpt-5.6-terra": Price(2, 12, 0.20, 2.50),
    "gpt-5.6-luna": Price(0.20, 1.20, 0.02, 0.25),
    "gpt-6-sol": Price(2, 10, 0.20, 2.50),
    "gpt-6-luna": Price(0.10, 0.50, 0.01, 0.125),
    "gpt-6.1-sol": Price(2, 10, 0.10, 2.50),
}
"""By the name of the model, as its maker writes it."""

_LONGEST_FIRST: Final = sorted(PRICES, key=len, reverse=True)

_MAKERS: Final = re.compile(r"(?:anthropic|openai|google|gemini|models)[/.]", re.ASCII)
"""What some agents write before the name."""

_EDITION: Final = re.compile(
    r"(?:[-@]\d{8}|-\d{4}-\d{2}-\d{2}|-latest|-preview(?:-\d{2}-\d{2,4})?)?(?:\[1m\])?", re.ASCII
)
"""What may follow a name without making another model of it: a date, or how long its context is."""


def price_of(model: str) -> Price | None:
    """
    Look up what a model costs.

    The longest name in :data:`PRICES` that the model's begins with is meant, if nothing but an
    edition follows it: ``claude-opus-4-5-20251101`` is ``claude-opus-4-5``, and ``gpt-5-pro`` is
    not ``gpt-5``.

    :param model: Its name as an agent says it.
    :returns: None if it is not known.
    """
    name = model.lower()
    maker = _MAKERS.match(name)
    if maker is not None:
        name = name[maker.end() :]
    for known in _LONGEST_FIRST:
        if name.startswith(known):
            return PRICES[known] if _EDITION.fullmatch(name, len(known)) else None
    return None


def estimated(spending: Spending, model: str) -> tuple[float, CostOrigin]:
    """
    Estimate what tokens cost.

    :param spending: Whatever cost it says is passed over.
    :param model: Its name as an agent says it; empty where that is not known.
    :returns: US dollars, and that they are estimated; or 0, and that nobody knows, where the model
        has no price, or there are tokens of no known kind.
    """
    price = price_of(model)
    if price is None or spending.other_tokens:
        return 0.0, CostOrigin.UNKNOWN
    dollars = (
        spending.input_tokens * price.input
        + spending.output_tokens * price.output
        + spending.cache_read_tokens * price.cache_read
        + spending.cache_write_tokens * price.cache_write
    )
    return dollars / _MILLION, CostOrigin.ESTIMATED
