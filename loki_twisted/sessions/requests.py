"""
What may be asked of a run of Loki Mode, and what has become of it: decisions without I/O.

An order to such a run is a request that lies in a file until the run looks for it, before its
next iteration. So the answers are honest in two steps: asked for, and done. What it is known to
ignore is refused at once.
"""

from __future__ import annotations

from typing import Final

from loki_twisted.model.events import Fact
from loki_twisted.model.sessions import ReasonCode, SessionStatus
from loki_twisted.sessions.conditions import FLEETING
from loki_twisted.sessions.lifecycle import facts_between
from loki_twisted.sessions.run_words import PAUSES
from loki_twisted.sessions.state import SessionState, with_status
from loki_twisted.state.interface import InputFate, LiveRun, Orders

PAUSE_REQUESTED: Final = (
    "A pause was requested. Loki Mode takes it before its next iteration; this one goes on."
)
RESUME_REQUESTED: Final = "It was asked to go on. Loki Mode looks for that every second or two."
STOP_REQUESTED: Final = (
    "A stop was requested. Loki Mode ends before its next iteration; this one goes on."
)
PAUSED: Final = "It is paused by its PAUSE file."
OVER_BUDGET: Final = (
    "Its budget is used up. Loki Mode keeps to the limit that it was started with, so it would "
    "pause again at once."
)
PAUSE_GONE: Final = (
    "The request to pause is gone, and Loki Mode does not pause: it ignored it, or somebody else "
    "took it back."
)

_NO_RUN: Final = "No run of Loki Mode is found alive there, so nobody would read the request."
_NOT_UP: Final = (
    "Loki Mode is still starting, and deletes all requests that it finds then. Try again soon."
)
_PERPETUAL: Final = (
    "This run of Loki Mode ignores a pause: it has no PRD, so it runs in perpetual mode."
)
_NO_INPUT: Final = (
    "This run of Loki Mode rejects all input: it was started without LOKI_PROMPT_INJECTION=true."
)

_STANDING: Final = frozenset({SessionStatus.RUNNING, SessionStatus.PAUSED})


def obstacle_to_pause(run: LiveRun | None, orders: Orders) -> str | None:
    """Say why a run would not pause if it were asked to; None if it would."""
    if run is not None and run.ignores_pause and not orders.over_budget:
        return _PERPETUAL
    return obstacle_to_stop(run)


def obstacle_to_resume(run: LiveRun | None, orders: Orders) -> str | None:
    """Say why a paused run would not go on; None if it would."""
    return OVER_BUDGET if orders.over_budget and run is not None else obstacle_to_stop(run)


def obstacle_to_stop(run: LiveRun | None) -> str | None:
    """Say why a run would not read a request; None if it would."""
    if run is None:
        return _NO_RUN
    return None if run.is_up else _NOT_UP


def obstacle_to_input(run: LiveRun | None) -> str | None:
    """Say why a run would not take an input; None if it would."""
    if run is not None and not run.takes_input:
        return _NO_INPUT
    return obstacle_to_stop(run)


def after_look(
    state: SessionState, run: LiveRun | None, orders: Orders, *, is_ours: bool
) -> tuple[SessionState, list[Fact]]:
    """
    Bring a session in line with what its run says.

    :param is_ours: Whether we started it. Of a session that we only observe the status is told
        elsewhere; what became of a request is told here for both.
    :returns: The state that it has then, and what that means in events; the same state and
        nothing if all is as it was.
    """
    before = state.session
    if run is None or before.status not in _STANDING:
        return state, []
    if is_ours and run.status is not None:
        says_paused = run.status in PAUSES
        if before.status is SessionStatus.RUNNING and says_paused:
            reason = OVER_BUDGET if orders.over_budget else PAUSED
            return _moved(state, SessionStatus.PAUSED, reason)
        if before.status is SessionStatus.PAUSED and not says_paused:
            left = PAUSE_REQUESTED if orders.pause else None
            moved, facts = _moved(state, SessionStatus.RUNNING, left)
            return requested(moved, left), facts
    if before.status is SessionStatus.RUNNING:
        is_free = before.reason is None or before.reason_code in FLEETING
        if orders.pause and is_free:
            return requested(state, PAUSE_REQUESTED), []
        if not orders.pause and before.reason == PAUSE_REQUESTED:
            return with_status(state, before.status), [told("warn", PAUSE_GONE)]
    return state, []


def requested(state: SessionState, reason: str | None) -> SessionState:
    """Note what was asked of a run and has not happened; None for nothing."""
    code = None if reason is None else ReasonCode.REQUESTED
    return with_status(state, state.session.status, reason=reason, code=code)


def told_of_input(fate: InputFate, path: str | None) -> Fact | None:
    """Say what became of an input; None while it waits."""
    match fate:
        case InputFate.WAITING:
            return None
        case InputFate.TAKEN:
            return told("info", f"Loki Mode has taken the input: it is in .loki/{path}.")
        case InputFate.REJECTED:
            return told("warn", f"Loki Mode has rejected the input: it is in .loki/{path}.")
        case InputFate.TOO_LARGE:
            return told("warn", f"Loki Mode finds the input too large: it is in .loki/{path}.")
        case InputFate.GONE:
            return told("warn", "The input is gone, and Loki Mode did not say what became of it.")


def told(level: str, message: str) -> Fact:
    """Say something about a run in its own log."""
    return Fact(f"log:{level}", {"level": level, "message": message, "source": "loki"})


def _moved(
    state: SessionState, status: SessionStatus, reason: str | None
) -> tuple[SessionState, list[Fact]]:
    facts = facts_between(state.session.status, status, reason)
    return with_status(state, status, reason=reason), facts
