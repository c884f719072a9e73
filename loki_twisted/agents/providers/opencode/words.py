"""How opencode's turns ended, and what its own complaints are, in words of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from loki_twisted.agents.outputs import TurnEnded, Verdict
from loki_twisted.agents.providers.cleaning import clean
from loki_twisted.agents.providers.opencode.state import State
from loki_twisted.agents.providers.plain import facts_of_line
from loki_twisted.agents.providers.programs import OPENCODE
from loki_twisted.agents.providers.telling import log
from loki_twisted.agents.providers.words import maybe_level
from loki_twisted.model.events import Fact

_LOG_LINE: Final = re.compile(r"(DEBUG|INFO|WARN|ERROR)\s+(\S.*)", re.DOTALL)
_REFUSED: Final = re.compile(r"\W*permission requested:")
_WARNING: Final = re.compile(r"\W*(?:permission requested:|agent \"|Warning:)")
_CHATTER: Final = re.compile(r"opencode server listening |Performing one time ")

REFUSED: Final = "It has left off, because it was not allowed to go on."

_BAD_STEPS: Final[Mapping[str, str]] = {
    "length": "Its answer was cut, because it had become too long.",
    "content-filter": "Its answer was held back by a filter of its provider.",
    "error": "Its last step has failed.",
    "tool-calls": "It has left off in the middle of its work.",
    "": "It has ended without an answer.",
}
"""What is wrong with a turn whose last step ended so; all other reasons are good ones."""


def verdict_of(state: State) -> TurnEnded:
    """Say how the turn ended that is over."""
    problem = state.problem
    if problem is not None:
        verdict = Verdict.INTERRUPTED if problem.is_abort else Verdict.FAILED
        return TurnEnded(verdict, problem.words)
    if state.refused and state.step in ("tool-calls", ""):
        return TurnEnded(Verdict.FAILED, REFUSED)
    return verdict_of_step(state.step)


def says_refused(line: str) -> bool:
    """Whether a line says that ``opencode run`` has refused a permission by itself."""
    return _REFUSED.match(clean(line)) is not None


def verdict_of_step(reason: str) -> TurnEnded:
    """
    Say how a turn ended by its last step.

    :param reason: Why that ended; empty if there was none.
    """
    words = _BAD_STEPS.get(reason)
    return TurnEnded(Verdict.DONE) if words is None else TurnEnded(Verdict.FAILED, words)


def facts_of_stderr(line: str) -> Sequence[Fact]:
    """Say what a line is that opencode writes for people."""
    line = clean(line)
    if _CHATTER.match(line):
        return [log("debug", line, OPENCODE)]
    found = _LOG_LINE.match(line)
    if found is not None:
        return [log(maybe_level(found[1]) or "info", found[2], OPENCODE)]
    if _WARNING.match(line):
        return [log("warn", line, OPENCODE)]
    return facts_of_line("stderr", line)
