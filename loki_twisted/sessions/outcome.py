"""
How a run of Loki Mode ended: by what it wrote, and by how its process ended.

Its exit code 0 is no proof of success: a run that finds a STOP file ends so too. What it wrote last
decides, in this order:

======================================================== =====================================
what it wrote                                            the session
======================================================== =====================================
outcome ``stopped``; status ``stopped``, ``interrupted`` was stopped
one of the statuses of success; outcome ``complete``     completed, even if it was killed then
one of the statuses of failure; outcome ``failed``,      failed; the reason is what it said
``max_iterations``
anything else: it was at work                            failed, whatever its exit code
nothing                                                  as its exit code says
======================================================== =====================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from loki_twisted.agents.interface import AgentEnd
from loki_twisted.model.redaction import redact
from loki_twisted.sessions.lifecycle import Step
from loki_twisted.state.interface import RunEnding

_STOPPED: Final[Mapping[str, str]] = {
    "stopped": "It was stopped by its STOP file.",
    "interrupted": "It was interrupted by a signal.",
}

_COMPLETED: Final = frozenset(
    {
        "council_approved",
        "council_force_approved",
        "deterministic_gates_passed",
        "completion_promise_fulfilled",
        "reuse_already_satisfied",
    }
)

_AT_WORK: Final = frozenset({"running", "exited", "paused"})
"""Statuses that are followed by another, unless the run is killed. All others are failures."""

_FAILED: Final[Mapping[str, str]] = {
    "failed": "Loki Mode gave up.",
    "max_iterations": "It reached its limit of iterations.",
    "max_iterations_reached": "It reached its limit of iterations.",
    "max_duration_reached": "It reached its limit of time.",
    "budget_exceeded": "Its budget is used up.",
    "policy_blocked": "A policy forbade it to go on.",
    "force_stopped": "Loki Mode's council stopped it.",
}
"""Those that we have words for; any other is quoted."""

_MOST_OF_BRIEF: Final = 500
"""So many characters of what it says of an error are passed on."""


def outcome_of(end: AgentEnd, said: RunEnding | None) -> tuple[Step, str | None]:
    """
    Say how a run ended.

    :param said: What it wrote of that; None if nothing.
    :returns: The step that its session takes, and why, where that is not obvious.
    """
    if said is None:
        succeeded = end.exit_code == 0 and end.problem is None
        return (Step.SUCCEED, None) if succeeded else (Step.FAIL, words_of_end(end))
    status, outcome = said.status or "", said.outcome or ""
    if outcome == "stopped" or status in _STOPPED:
        return Step.QUIT, _STOPPED["stopped" if outcome == "stopped" else status]
    if outcome == "complete" or status in _COMPLETED:
        is_clean = end.exit_code == 0
        return Step.SUCCEED, None if is_clean else f"It had completed. {words_of_end(end)}"
    for word in (status, outcome):
        if word in _FAILED or (word and word == status and word not in _AT_WORK):
            words = _FAILED.get(word, f"Loki Mode says: {word[:_MOST_OF_BRIEF].replace('_', ' ')}.")
            brief = redact(said.brief or "")[:_MOST_OF_BRIEF]
            return Step.FAIL, f"{words} {brief}".rstrip()
    if end.exit_code == 0 and end.problem is None:
        return Step.FAIL, "It ended with exit code 0, but did not say that it had completed."
    return Step.FAIL, words_of_end(end)


def words_of_end(end: AgentEnd) -> str:
    """Say in words how an agent ended."""
    if end.problem is not None:
        return end.problem
    if end.signal is not None:
        return f"The agent was ended by signal {end.signal}."
    return f"The agent ended with exit code {end.code}."
