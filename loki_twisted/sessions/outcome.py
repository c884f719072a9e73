"""
How a session ended: by what its agent said, and by how its process ended.

An exit code is no proof of anything. Of a run of Loki Mode, which ends with 0 as well when it
finds a STOP file, what it wrote last decides, in this order:

======================================================== =====================================
what it wrote                                            the session
======================================================== =====================================
outcome ``stopped``; status ``stopped``, ``interrupted`` was stopped
one of the statuses of success; outcome ``complete``     completed, even if it was killed then
that it was at work or paused, and it was killed when    was stopped
somebody had asked for its end, as ``loki stop`` does
one of the statuses of failure; outcome ``failed``,      failed; the reason is what it said
``max_iterations``
anything else: it was at work                            failed, whatever its exit code
nothing                                                  as its exit code says
======================================================== =====================================

Of any other agent its last turn decides:

======================================================== =====================================
what it said                                             the session
======================================================== =====================================
the turn is done                                         completed, however the process ended
the turn failed                                          failed; the reason is what it said
the turn was interrupted                                 was stopped
a turn had begun, and there is no word of its end        failed, whatever its exit code
nothing, where such agents always say something          failed, whatever its exit code
nothing                                                  as its exit code says
======================================================== =====================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from loki_twisted.agents.interface import AgentEnd
from loki_twisted.agents.outputs import Verdict
from loki_twisted.model.redaction import redact
from loki_twisted.model.sessions import ReasonCode
from loki_twisted.sessions.lifecycle import Step
from loki_twisted.sessions.run_words import AT_WORK, PAUSES, SUCCESSES
from loki_twisted.sessions.talk import Talk
from loki_twisted.state.interface import RunEnding

_STOPPED: Final[Mapping[str, str]] = {
    "stopped": "It was stopped by its STOP file.",
    "interrupted": "It was interrupted by a signal.",
}

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

_CALLED_OFF: Final = "It was ended from outside."
_KILLED: Final = 137

_MOST_OF_BRIEF: Final = 500
"""So many characters of what it says of an error are passed on."""


_CONTRADICTED: Final = "It ended with exit code 0, but did not say that it had completed."


@attrs.frozen(slots=True)
class Outcome:
    """
    How a session ended.

    :ivar step: The step that it takes.
    :ivar reason: Why, in words, where that is not obvious; ``code`` is the same for programs.
    """

    step: Step
    reason: str | None = None
    code: ReasonCode | None = None


def outcome_of(end: AgentEnd, said: RunEnding) -> Outcome:
    """
    Say how a run of Loki Mode ended.

    :param said: What it wrote of that.
    """
    status, outcome = said.status or "", said.outcome or ""
    if outcome == "stopped" or status in _STOPPED:
        return Outcome(Step.QUIT, _STOPPED["stopped" if outcome == "stopped" else status])
    if outcome == "complete" or status in SUCCESSES:
        return _completed(end)
    if said.is_called_off and end.exit_code == _KILLED and status in AT_WORK | PAUSES:
        return Outcome(Step.QUIT, _CALLED_OFF)
    for word in (status, outcome):
        if word in _FAILED or (word and word == status and word not in AT_WORK | PAUSES):
            words = _FAILED.get(word, f"Loki Mode says: {word[:_MOST_OF_BRIEF].replace('_', ' ')}.")
            brief = redact(said.brief or "")[:_MOST_OF_BRIEF]
            return Outcome(Step.FAIL, f"{words} {brief}".rstrip(), ReasonCode.SAID_SO)
    if end.exit_code == 0 and end.problem is None:
        return Outcome(Step.FAIL, _CONTRADICTED, ReasonCode.NEVER_SAID)
    return _failed(end)


def outcome_of_talk(end: AgentEnd, talk: Talk, says_done: bool) -> Outcome:
    """
    Say how any other agent ended.

    :param talk: What was said.
    :param says_done: Whether an agent of its kind says how its turns ended.
    """
    is_clean = end.exit_code == 0 and end.problem is None
    if talk.turn_is_on or (says_done and talk.verdict is None):
        words = _CONTRADICTED if is_clean else words_of_end(end)
        code = ReasonCode.NEVER_SAID if is_clean else code_of_end(end)
        return Outcome(Step.FAIL, _with_errors(words, talk.errors), code)
    match talk.verdict:
        case Verdict.DONE:
            return _completed(end)
        case Verdict.FAILED:
            return Outcome(Step.FAIL, talk.verdict_words, ReasonCode.SAID_SO)
        case Verdict.INTERRUPTED:
            words = talk.verdict_words or "It was interrupted."
            return Outcome(Step.QUIT, words, ReasonCode.SAID_SO)
    return Outcome(Step.SUCCEED) if is_clean else _failed(end, talk.errors)


def _completed(end: AgentEnd) -> Outcome:
    if end.exit_code == 0:
        return Outcome(Step.SUCCEED)
    return Outcome(Step.SUCCEED, f"It had completed. {words_of_end(end)}", code_of_end(end))


def _failed(end: AgentEnd, errors: Sequence[str] = ()) -> Outcome:
    return Outcome(Step.FAIL, _with_errors(words_of_end(end), errors), code_of_end(end))


def _with_errors(words: str, errors: Sequence[str]) -> str:
    """Put the last lines of standard error behind a reason."""
    return "\n".join([words, *errors]) if errors else words


def code_of_end(end: AgentEnd) -> ReasonCode:
    """Say in a code how an agent ended."""
    if end.problem is not None:
        return ReasonCode.LOST
    return ReasonCode.SIGNAL if end.signal is not None else ReasonCode.EXIT_CODE


def words_of_end(end: AgentEnd) -> str:
    """Say in words how an agent ended."""
    if end.problem is not None:
        return end.problem
    if end.signal is not None:
        return f"The agent was ended by signal {end.signal}."
    return f"The agent ended with exit code {end.code}."
