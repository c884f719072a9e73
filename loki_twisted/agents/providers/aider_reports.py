"""
What the bridge of ``aider`` says: which message it is at, what is reported, and how that ended.

Whether a message was answered is what the reports say: the exit code is 0 also where the model
could not be reached. A model is asked several times for one message, where its edits do not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from loki_twisted.agents.outputs import (
    Conversation,
    Freed,
    Output,
    Spent,
    Taken,
    TurnBegan,
    TurnEnded,
    Verdict,
)
from loki_twisted.agents.providers import telling
from loki_twisted.agents.providers.aider_state import (
    MOST_PROBLEM,
    AiderState,
    Step,
    flushed,
)
from loki_twisted.agents.providers.bridges import order
from loki_twisted.agents.providers.cleaning import cut
from loki_twisted.agents.providers.members import (
    Fields,
    fields_of,
    maybe_amount,
    maybe_count,
    maybe_text,
)
from loki_twisted.agents.providers.programs import AIDER
from loki_twisted.model.spending import CostOrigin, Spending

NO_KEY: Final = "aider has no key for a model, and nobody can log in for it."


def _begin(state: AiderState, found: Fields) -> Step:
    name = maybe_text(found, "conversation")
    return state, [Conversation(telling.name(name))] if name else []


def _turn(state: AiderState, found: Fields) -> Step:
    state, told = flushed(state)
    message = maybe_text(found, "message")
    state = state.but(
        is_busy=True,
        sent=0,
        answered=0,
        total=0.0,
        exception="",
        problem="",
        given_up="",
        is_done=False,
    )
    return state, [*told, *([Taken(message)] if message else []), TurnBegan()]


def _analytics(state: AiderState, found: Fields) -> Step:
    read = _REPORTS.get(maybe_text(found, "event") or "", nothing)
    return read(state, fields_of(found.get("properties")))


def _sending(state: AiderState, _: Fields) -> Step:
    return state.but(sent=state.sent + 1, exception=""), []


def _answered(state: AiderState, properties: Fields) -> Step:
    cost, total = maybe_amount(properties, "cost"), maybe_amount(properties, "total_cost")
    if cost is None:
        cost = max(0.0, (total or 0.0) - state.total)
    spent = Spending(
        input_tokens=maybe_count(properties, "prompt_tokens") or 0,
        output_tokens=maybe_count(properties, "completion_tokens") or 0,
        api_calls=1,
        cost=cost,
    )
    # Of a model that it has no prices for it says that it cost nothing.
    origin = CostOrigin.UNKNOWN if spent.tokens and not cost else CostOrigin.REPORTED
    told: list[Output] = [Spent(spent, origin, model=_model_of(properties)), Freed()]
    total = state.total + cost if total is None else total
    return state.but(answered=state.answered + 1, total=total), told


def _model_of(properties: Fields) -> str | None:
    """The model; None where its name is kept secret, as that of each it does not know."""
    model = maybe_text(properties, "main_model")
    return telling.name(model) if model and "REDACTED" not in model else None


def _exception(state: AiderState, properties: Fields) -> Step:
    words = cut(telling.text(properties.get("exception")), MOST_PROBLEM) or "unknown error"
    return state.but(exception=words), [telling.log("error", words, AIDER)]


def _login(state: AiderState, _: Fields) -> Step:
    """It has no key, and waits for somebody to log in with a browser, which nobody does here."""
    if state.given_up:
        return state, []
    return state.but(given_up=NO_KEY), [telling.log("error", NO_KEY, AIDER), order(interrupt=True)]


def _exit(state: AiderState, properties: Fields) -> Step:
    """It ends by itself; other reasons than this are failures, and errors that it has run into."""
    reason = maybe_text(properties, "reason") or ""
    return state.but(is_done=reason.startswith("Completed")), []


def _ended(state: AiderState, found: Fields) -> Step:
    state, told = flushed(state)
    verdict = _verdict_of(state, found)
    return state.but(is_busy=False, verdict=verdict.verdict.value), [*told, verdict]


def _verdict_of(state: AiderState, found: Fields) -> TurnEnded:
    if found.get("interrupted") is True and not state.given_up:
        return TurnEnded(Verdict.INTERRUPTED, "Its work was broken off.")
    reason = _failure_of(state, found)
    return TurnEnded(Verdict.DONE) if reason is None else TurnEnded(Verdict.FAILED, reason)


def _failure_of(state: AiderState, found: Fields) -> str | None:
    """Why it has failed, in words; None if it has not. The first of these says most."""
    number, code = maybe_count(found, "signal"), maybe_count(found, "code")
    is_answered = 0 < state.answered >= state.sent
    reasons = (
        telling.text(maybe_text(found, "problem")),
        state.given_up,
        f"Signal {number} ended aider." if number and not state.is_done else "",
        state.exception,
        (state.problem or f"aider ended with exit code {code}.") if code else "",
        "" if is_answered else f"The model did not answer. {state.problem}".rstrip(),
    )
    return next(filter(None, reasons), None)


def nothing(state: AiderState, _: Fields) -> Step:
    """Pass over something that says nothing to people."""
    return state, []


_Reader = Callable[[AiderState, Fields], Step]

_REPORTS: Final[Mapping[str, _Reader]] = {
    "message_send_starting": _sending,
    "message_send": _answered,
    "message_send_exception": _exception,
    "oauth_flow_initiated": _login,
    "exit": _exit,
}
BRIDGE_LINES: Final[Mapping[str, _Reader]] = {
    "begin": _begin,
    "turn": _turn,
    "analytics": _analytics,
    "ended": _ended,
}
"""By kind, what reads a line of the bridge."""
