"""
What the lines of ``cline --json`` mean, by their types: one reader each.

Its texts come in parts, each with all of the text so far; its tools begin and end; its usage comes
for each request, with totals. Sub-agents are only seen by the events of its hooks. Whatever a line
holds, a reader goes by what is of the right type in it and passes over the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from loki_twisted.agents.outputs import Conversation, Hindered, Output, Spent, Trouble
from loki_twisted.agents.providers import telling
from loki_twisted.agents.providers.cline_agents import hook_event, team_event
from loki_twisted.agents.providers.cline_state import (
    ABORTED,
    TEXT,
    THINKING,
    ClineState,
    Step,
    flushed,
    told_text,
    unknown,
    with_problem,
    with_text,
    with_words,
)
from loki_twisted.agents.providers.members import (
    Fields,
    fields_of,
    maybe_amount,
    maybe_count,
    maybe_text,
)
from loki_twisted.agents.providers.programs import CLINE
from loki_twisted.agents.providers.telling import MAIN
from loki_twisted.model.spending import CostOrigin, Spending

Reader = Callable[[ClineState, Fields], Step]

COUNTER: Final = "cline"
"""The counter of all that a run has spent."""

MUTE: Final = (
    "This version of cline cannot ask for permission while it works on its first prompt, so it"
    " denies every tool. Run `cline --acp` as an agent of the provider acp to be asked, or set"
    " LOKI_CLINE_AUTO_APPROVE=true for the server to allow cline everything."
)

_CANNOT_ASK: Final = ("approval IPC is not configured", "approval IPC is not available")


def with_spent(state: ClineState, spent: Spending) -> Step:
    """Tell what the run has spent by now, in all. A model without a price is said to cost 0."""
    origin = CostOrigin.REPORTED if spent.cost else CostOrigin.UNKNOWN
    told = Spent(spent, origin, counter=COUNTER, model=state.model or None)
    return state.but(spent=spent), [told]


# Lines of the run


def _run_start(state: ClineState, found: Fields) -> Step:
    session = maybe_text(found, "sessionId")
    model = maybe_text(found, "modelId")
    told: list[Output] = [Conversation(telling.name(session))] if session else []
    return state.but(model=telling.name(model) if model else state.model), told


def _run_result(state: ClineState, found: Fields) -> Step:
    state, told = flushed(state)
    model = maybe_text(fields_of(found.get("model")), "id")
    usage = fields_of(found.get("aggregateUsage")) or fields_of(found.get("usage"))
    finish = maybe_text(found, "finishReason") or "unknown"
    state = with_words(state.but(finish=telling.name(finish)), maybe_text(found, "text") or "")
    if model and not state.model:
        state = state.but(model=telling.name(model))
    total = _spending(usage, maybe_amount(usage, "totalCost"), state.spent)
    if maybe_count(usage, "inputTokens") is not None and total != state.spent:
        state, spent = with_spent(state, total)
        told += spent
    return state, told


def _run_aborted(state: ClineState, _: Fields) -> Step:
    return state.but(finish=ABORTED), ()


def _error(state: ClineState, found: Fields) -> Step:
    state, told = flushed(state)
    words = maybe_text(found, "message") or "unknown error"
    return with_problem(state, words), [*told, telling.log("error", words, CLINE)]


def _agent_event(state: ClineState, found: Fields) -> Step:
    event = fields_of(found.get("event"))
    return _AGENT_EVENTS.get(maybe_text(event, "type") or "", unknown)(state, event)


# What an agent does


def _flush(state: ClineState, _: Fields) -> Step:
    return flushed(state)


def _content_start(state: ClineState, event: Fields) -> Step:
    kind = event.get("contentType")
    if kind == "text":
        return with_text(state, TEXT, maybe_text(event, "text"), maybe_text(event, "accumulated"))
    if kind == "reasoning":
        return with_text(state, THINKING, maybe_text(event, "reasoning"), None)
    if kind != "tool":
        return unknown(state, event)
    state, told = flushed(state)
    tool, call = maybe_text(event, "toolName") or "tool", maybe_text(event, "toolCallId") or ""
    return state, [*told, telling.called(MAIN, CLINE, tool, call, event.get("input"))]


def _content_end(state: ClineState, event: Fields) -> Step:
    kind = event.get("contentType")
    if kind in ("text", "reasoning"):
        return _text_ended(state, str(kind), event)
    if kind != "tool":
        return unknown(state, event)
    state, told = flushed(state)
    error, output = event.get("error"), event.get("output")
    tool, call = maybe_text(event, "toolName"), maybe_text(event, "toolCallId") or ""
    result = output if error is None else error
    is_error = error is not None or _has_failed(output)
    told.append(telling.returned(MAIN, CLINE, tool, call, result, is_error=is_error))
    words = telling.text(result)
    if is_error and not state.is_mute and any(each in words for each in _CANNOT_ASK):
        state = state.but(is_mute=True)
        told.append(telling.log("warn", MUTE, CLINE))
    return state, told


def _text_ended(state: ClineState, kind: str, event: Fields) -> Step:
    """A text has ended, of which all, some or nothing was told in parts."""
    sort = TEXT if kind == "text" else THINKING
    whole, held = maybe_text(event, kind) or "", state.held
    told: Sequence[Output] = ()
    if held.kind == sort and len(whole) > held.told + len(held.text):
        state, told = with_text(state, sort, None, whole)
    elif not state.has_parts:
        told = told_text(sort, whole)
    state, last = flushed(state)
    return state, [*told, *last]


def _has_failed(output: Any) -> bool:
    entries = output if isinstance(output, list) else [output]
    return any(isinstance(each, dict) and each.get("success") is False for each in entries)


def _usage(state: ClineState, event: Fields) -> Step:
    """One request. Totals that are not told are added up here."""
    before = state.spent
    read = before.input_tokens + before.cache_read_tokens + before.cache_write_tokens
    cost = maybe_amount(event, "totalCost")
    if cost is None:
        cost = before.cost + (maybe_amount(event, "cost") or 0.0)
    totals = {
        "inputTokens": _total(event, "InputTokens", read),
        "outputTokens": _total(event, "OutputTokens", before.output_tokens),
        "cacheReadTokens": _total(event, "CacheReadTokens", before.cache_read_tokens),
        "cacheWriteTokens": _total(event, "CacheWriteTokens", before.cache_write_tokens),
    }
    before = msgspec.structs.replace(before, api_calls=before.api_calls + 1)
    return with_spent(state, _spending(totals, cost, before))


def _total(event: Fields, name: str, before: int) -> int:
    """A total, or the one before and the part that is told."""
    said = maybe_count(event, f"total{name}")
    part = maybe_count(event, name[0].lower() + name[1:]) or 0
    return before + part if said is None else said


def _spending(usage: Fields, cost: float | None, before: Spending) -> Spending:
    """Make a total. Its input holds what was read from the cache and written to it."""
    cached = maybe_count(usage, "cacheReadTokens") or 0
    written = maybe_count(usage, "cacheWriteTokens") or 0
    read = maybe_count(usage, "inputTokens") or 0
    return Spending(
        input_tokens=max(0, read - cached - written),
        output_tokens=maybe_count(usage, "outputTokens") or 0,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        api_calls=before.api_calls,
        cost=before.cost if cost is None else cost,
    )


def _notice(state: ClineState, event: Fields) -> Step:
    state, told = flushed(state)
    words, reason = maybe_text(event, "message") or "", maybe_text(event, "reason") or ""
    if not words and not reason:
        return state, told
    is_trouble = reason != "auto_compaction"
    level = "warn" if is_trouble else "info"
    told.append(telling.log(level, words or reason, CLINE, {"reason": reason} if reason else None))
    if reason == "api_error":
        told.append(Hindered(Trouble.RETRYING, telling.text(words or reason)))
    return state, told


def _agent_error(state: ClineState, event: Fields) -> Step:
    state, told = flushed(state)
    error = event.get("error")
    words = maybe_text(fields_of(error), "message") or telling.text(error) or "unknown error"
    if event.get("recoverable") is True:
        return state, [*told, telling.log("warn", words, CLINE)]
    return with_problem(state, words), [*told, telling.log("error", words, CLINE)]


def _done(state: ClineState, event: Fields) -> Step:
    """Its work has ended. The run says so once more, unless it is ended before that."""
    state, told = flushed(state)
    reason = maybe_text(event, "reason") or "unknown"
    state = state.but(agent_finish=telling.name(reason))
    return with_words(state, maybe_text(event, "text") or ""), told


def _nothing(state: ClineState, _: Fields) -> Step:
    return state, ()


_AGENT_EVENTS: Final[Mapping[str, Reader]] = {
    "iteration_start": _flush,
    "iteration_end": _flush,
    "content_start": _content_start,
    "content_update": _nothing,
    "content_end": _content_end,
    "usage": _usage,
    "notice": _notice,
    "error": _agent_error,
    "done": _done,
}

READERS: Final[Mapping[str, Reader]] = {
    "run_start": _run_start,
    "run_result": _run_result,
    "run_abort_requested": _nothing,
    "run_aborted": _run_aborted,
    "error": _error,
    "agent_event": _agent_event,
    "hook_event": hook_event,
    "team_event": team_event,
    "team_restored": _nothing,
    "zen_dispatched": _nothing,
}
"""By type, what reads a line of the schema of today."""
