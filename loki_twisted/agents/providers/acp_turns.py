"""How a turn of an agent of the Agent Client Protocol ended: what its answer to the prompt says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from loki_twisted.agents.outputs import Outputs, Spent, Verdict
from loki_twisted.agents.providers.acp_content import short
from loki_twisted.agents.providers.members import count_of, fields_of, list_of, object_of
from loki_twisted.model.spending import CostOrigin, Spending

_VERDICTS: Final[Mapping[str, tuple[Verdict, str | None]]] = {
    "end_turn": (Verdict.DONE, None),
    "max_tokens": (Verdict.FAILED, "It reached the most tokens that it may use."),
    "max_turn_requests": (Verdict.FAILED, "It reached the most requests that a turn may have."),
    "refusal": (Verdict.FAILED, "It refused to go on."),
    "cancelled": (Verdict.INTERRUPTED, "The turn was cancelled."),
}


_COMPLAINT: Final = "Error: "

_MOST_MODELS: Final = 16
"""Models of one turn."""


def verdict_of(result: Mapping[str, Any], last_piece: str) -> tuple[Verdict, str | None]:
    """
    Say how it ended, and why, unless it is done.

    :param last_piece: What was said last, of an agent that says its errors in words, as if all was
        well; else empty.
    """
    stopped = short(result.get("stopReason"))
    if stopped == "end_turn" and last_piece.startswith(_COMPLAINT):
        return Verdict.FAILED, last_piece.removeprefix(_COMPLAINT)
    unknown = f"It stopped: {stopped or 'it did not say why'}."
    return _VERDICTS.get(stopped, (Verdict.FAILED, unknown))


def spent_in(result: Mapping[str, Any], origin: CostOrigin, model: str | None) -> Outputs:
    """
    Say how many tokens it took.

    The protocol has a draft for that, which agents take to be what the turn took, and not the
    whole session; gemini has a field of its own, which says it for each model.

    :param origin: Where the cost comes from, which is not among these.
    :param model: That of the session, where the answer names none.
    """
    usage = result.get("usage")
    if isinstance(usage, dict):
        amount = _drafted(usage)
        return [Spent(amount, origin, model=model)] if amount.tokens else ()
    counted = _of_gemini(result)
    return [Spent(each, origin, model=named or model) for named, each in counted if each.tokens]


def _drafted(usage: Mapping[str, Any]) -> Spending:
    read, written = count_of(usage, "cachedReadTokens"), count_of(usage, "cachedWriteTokens")
    fresh, output = count_of(usage, "inputTokens"), count_of(usage, "outputTokens")
    total = count_of(usage, "totalTokens")
    # Some count what is of the cache as input too. The sum gives it away.
    if read + written <= fresh and 0 < total < fresh + output + read + written:
        fresh -= read + written
    return Spending(
        input_tokens=fresh,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=min(count_of(usage, "thoughtTokens"), output),
    )


def _of_gemini(result: Mapping[str, Any]) -> Iterator[tuple[str | None, Spending]]:
    quota = object_of(object_of(result, "_meta"), "quota")
    for each in list_of(quota, "model_usage")[:_MOST_MODELS] or [quota]:
        counted = object_of(each, "token_count")
        amount = Spending(
            input_tokens=count_of(counted, "input_tokens"),
            output_tokens=count_of(counted, "output_tokens"),
        )
        yield short(fields_of(each).get("model")) or None, amount
