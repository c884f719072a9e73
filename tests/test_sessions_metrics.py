"""What agents say that they have used, as a session has it."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.events import Fact
from loki_twisted.model.sessions import Session, Usage
from loki_twisted.model.spending import MOST_DOLLARS, MOST_TOKENS
from loki_twisted.sessions.state import SessionState, after_facts
from tests.log_support import session

NAMES = (
    "tokensUsed",
    "apiCalls",
    "cost",
    "inputTokens",
    "outputTokens",
    "cacheReadTokens",
    "cacheWriteTokens",
    "reasoningTokens",
)
values = st.none() | st.booleans() | st.text(max_size=3) | st.integers() | st.floats()


def usage_after(*reports: dict[str, object]) -> Usage:
    facts = [Fact("metrics:update", report) for report in reports]
    return after_facts(SessionState(session()), facts, "b").session.usage


def test_the_newest_total_counts() -> None:
    """What is told anew replaces what was told before, and the rest stays."""
    usage = usage_after({"tokensUsed": 7, "cost": 0.5}, {"tokensUsed": 5, "apiCalls": 1})

    assert (usage.tokens_used, usage.api_calls, usage.cost) == (5, 1, 0.5)


@given(st.dictionaries(st.sampled_from(NAMES), values))
def test_any_report(report: dict[str, object]) -> None:
    """Whatever numbers an agent makes up, its session can be stored and read back."""
    state = after_facts(SessionState(session()), [Fact("metrics:update", report)], "b")

    stored = msgspec.json.encode(state.session)
    assert msgspec.json.decode(stored, type=Session) == state.session


def test_numbers_that_cannot_be() -> None:
    """What is below nothing or no number is passed over, and what is beyond all measure is cut."""
    good = {"tokensUsed": 7, "cost": 0.5}
    for bad in (-1, float("nan"), float("-inf"), "9", True, None):
        assert usage_after(good, {"tokensUsed": bad, "cost": bad}) == usage_after(good)
    usage = usage_after(good, {"tokensUsed": 10**30, "cost": float("inf")})
    assert (usage.tokens_used, usage.cost) == (MOST_TOKENS, MOST_DOLLARS)
