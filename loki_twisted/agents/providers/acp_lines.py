"""
What an agent of the Agent Client Protocol reports of its work, and the outputs that it is.

One reader for each kind of ``session/update``. It takes what is remembered, the update, and the
type of the agent, and gives what is remembered then and what is to be told; or None for an update
that it cannot make out. Nothing in an update is taken on trust.

A tool is often announced before it is known what it will be called with. So people are told of a
call when that is known, or else when it is at work, or nothing more comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from loki_twisted.agents.outputs import Output, Outputs, Spent, Verdict
from loki_twisted.agents.providers.acp_content import short, text_of_block, text_of_call
from loki_twisted.agents.providers.acp_state import (
    AT_WORK,
    Call,
    Stage,
    State,
    with_call,
    with_changes,
    without_call,
)
from loki_twisted.agents.providers.cleaning import clean, cut
from loki_twisted.agents.providers.joining import NONE_HELD, Held, add
from loki_twisted.agents.providers.objects import MAX_NUMBER
from loki_twisted.agents.providers.plans import changes, numbered
from loki_twisted.agents.providers.telling import (
    MAIN,
    called,
    completed,
    failed,
    log,
    returned,
    said,
    thought,
)
from loki_twisted.model.spending import CostOrigin, Spending

Told = tuple[State, Outputs]

COST_COUNTER: Final = "cost"
"""The name of the counter of what all of a conversation has cost."""

US_DOLLARS: Final = "USD"

MOST_STEPS: Final = 150
"""Entries of a plan that are told."""

MOST_OF_STEP: Final = 400
"""Bytes of the title of one."""

_MOST_OF_RESULT: Final = 1024
"""Bytes of what a call has given so far that are remembered."""

_MOST_OF_PIECE: Final = 500
"""Characters of the last piece that are remembered."""

_EACH_UNKNOWN: Final = 1000
"""So many messages that are only counted are told of at once."""

_TEXT: Final = "text"
_THINKING: Final = "thinking"

_AT_WORK: Final = "in_progress"
_OVER: Final = frozenset({"completed", "failed"})

_QUIET: Final = frozenset(
    {
        "user_message_chunk",
        "available_commands_update",
        "current_mode_update",
        "config_option_update",
        "session_info_update",
    }
)
"""Kinds that say nothing of the work."""

_BESIDE: Final = frozenset({"agent_message_chunk", "agent_thought_chunk", "usage_update"})
"""Kinds that do not end a text of which more may come."""


def read_update(state: State, update: Any, agent: str) -> Told | None:
    """
    Read an update.

    :param agent: The type of the agent, for what is told.
    """
    if not isinstance(update, dict):
        return None
    kind = update.get("sessionUpdate")
    if not isinstance(kind, str):
        return None
    if kind in _QUIET:
        return state, ()
    read = _READERS.get(kind)
    told = None if read is None else read(state, update, agent)
    return told if told is None or kind in _BESIDE else behind_text(told, agent)


def behind_text(told: Told, agent: str) -> Told:
    """Tell the text that is held back, if there is any, before something else that is told."""
    state, outputs = told
    if not outputs:
        return told
    facts = _told_text(state.held, agent)
    return with_changes(state, held=NONE_HELD), [*facts, *outputs]


def told_of_held(state: State, agent: str) -> Told:
    """Tell what is held back: text, and calls of which more could have come."""
    facts = _told_text(state.held, agent)
    if state.held != NONE_HELD:
        state = with_changes(state, held=NONE_HELD)
    for call_id, call in state.calls.items():
        if not call.is_told:
            state, more = told_of_call(state, call_id, agent)
            facts += more
    return state, facts


def told_of_unknown(state: State, agent: str, count: int = 0) -> Told:
    """
    Count messages that nothing else can be done with, and tell the count when there are many.

    :param count: How many came; 0 to tell the rest.
    """
    unknown = state.unknown + count
    if not unknown or (count and unknown < _EACH_UNKNOWN):
        return with_changes(state, unknown=unknown) if count else state, ()
    words = f"{unknown} messages of unknown kinds were passed over."
    return with_changes(state, unknown=0), [log("debug", words, agent)]


def told_of_end(state: State, agent: str) -> Told:
    """Tell that the agent itself has ended, if it was told that it began; once."""
    ended = with_changes(state, stage=Stage.CLOSED, awaited=None)
    if state.stage is Stage.CLOSED or state.conversation is None:
        return ended, ()
    is_done = state.verdict is Verdict.DONE and state.stage not in AT_WORK
    return ended, [(completed if is_done else failed)(MAIN, agent)]


def told_of_call(state: State, call_id: str, agent: str, arguments: Any = None) -> Told:
    """Tell that a tool is used, unless that is told already."""
    call = state.calls[call_id]
    if call.is_told:
        return state, ()
    told = Call(call.tool, call.title, is_told=True, result=call.result)
    shown = arguments or call.title or call.tool
    return with_call(state, call_id, told), [called(MAIN, agent, call.tool, call_id, shown)]


# One reader for each kind.


def _read_message(state: State, update: Mapping[str, Any], agent: str) -> Told | None:
    return _read_text(state, update, agent, _TEXT)


def _read_thought(state: State, update: Mapping[str, Any], agent: str) -> Told | None:
    return _read_text(state, update, agent, _THINKING)


def _read_text(state: State, update: Mapping[str, Any], agent: str, kind: str) -> Told | None:
    """A piece of a text, joined with those before it of the same kind and message."""
    piece = text_of_block(update.get("content"))
    if piece is None:
        return None
    message, held = short(update.get("messageId")), state.held
    facts: list[Output] = []
    if message != state.message or kind != held.kind:
        facts += _told_text(held, agent)
        held = Held(kind)
    held, text = add(held, piece)
    facts += _told_text(Held(kind, text), agent)
    last_piece = clean(piece[:_MOST_OF_PIECE]) if kind == _TEXT else ""
    return with_changes(state, held=held, message=message, last_piece=last_piece), facts


def read_call(state: State, update: Mapping[str, Any], agent: str) -> Told | None:
    """Read what is said of a call; some agents say so only where they ask for a permission."""
    call_id = short(update.get("toolCallId"))
    if not call_id:
        return None
    if call_id in state.ended_calls:
        return state, ()
    before = state.calls.get(call_id)
    result = text_of_call(update)
    call = _after(before, update, result)
    state = with_call(with_changes(state, last_piece=""), call_id, call)
    status, arguments = short(update.get("status")), update.get("rawInput")
    facts: list[Output] = []
    if arguments or status == _AT_WORK or status in _OVER:
        state, more = told_of_call(state, call_id, agent, arguments)
        facts += more
    if status in _OVER:
        state = without_call(state, call_id)
        is_error = status == "failed"
        given = call.result if result is None else result
        facts.append(returned(MAIN, agent, call.tool, call_id, given, is_error=is_error))
    return state, facts


def _after(before: Call | None, update: Mapping[str, Any], result: str | None) -> Call:
    """What is known of a call after an update of it."""
    title, kind = short(update.get("title")), short(update.get("kind"))
    if before is None:
        # What was never announced, and has no title, is not worth an announcement.
        before = Call(is_told=not (title or kind or update.get("rawInput")))
    tool = kind if kind and kind != "other" else before.tool
    if tool == Call().tool and title:
        tool = title
    return Call(
        tool=tool,
        title=title or before.title,
        is_told=before.is_told,
        result=before.result if result is None else cut(result, _MOST_OF_RESULT),
    )


def _read_plan(state: State, update: Mapping[str, Any], _agent: str) -> Told | None:
    entries = update.get("entries")
    if not isinstance(entries, list):
        return None
    known = [each for each in entries[:MOST_STEPS] if isinstance(each, dict)]
    steps = [(_title(each.get("content")), each.get("status")) for each in known]
    plan = numbered(state.plan, steps)
    return with_changes(state, plan=plan), changes(state.plan, plan)


def _read_usage(state: State, update: Mapping[str, Any], agent: str) -> Told | None:
    """How full its context is, which is nothing that was spent; and what all of it has cost."""
    amount, currency = _cost_of(update)
    if amount is None:
        return state, ()
    is_new = currency != state.currency
    state = with_changes(state, currency=currency)
    if currency == US_DOLLARS:
        return state, [Spent(Spending(cost=amount), CostOrigin.REPORTED, COST_COUNTER, state.model)]
    words = f"It says what it costs in {currency}, so nobody knows what that is in US dollars."
    return state, [log("info", words, agent)] if is_new else ()


_READERS: Final[Mapping[str, Callable[[State, Mapping[str, Any], str], Told | None]]] = {
    "agent_message_chunk": _read_message,
    "agent_thought_chunk": _read_thought,
    "tool_call": read_call,
    "tool_call_update": read_call,
    "plan": _read_plan,
    "usage_update": _read_usage,
}


def _title(value: Any) -> str:
    return cut(clean(value), MOST_OF_STEP) if isinstance(value, str) else ""


def _cost_of(update: Mapping[str, Any]) -> tuple[float | None, str]:
    cost = update.get("cost")
    if not isinstance(cost, dict):
        return None, ""
    amount = cost.get("amount")
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        return None, ""
    # NaN is at least nothing.
    known = float(amount) if 0 <= amount < MAX_NUMBER else None
    return known, short(cost.get("currency")) or "an unknown currency"


def _told_text(held: Held, agent: str) -> list[Output]:
    """Tell a text, if it says anything."""
    tell = thought if held.kind == _THINKING else said
    return [tell(MAIN, agent, held.text)] if held.text.strip() else []
