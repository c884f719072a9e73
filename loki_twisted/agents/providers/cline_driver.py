"""
The driver of ``cline --json`` behind its bridge.

``cline`` works on one prompt and ends. Its last line says how that went, not its exit code, which
is 0 also for work that was broken off. When that line has come the bridge is told that the work
is done, so that one which does not end is ended.

It asks for each tool, where its settings do not allow it. What only looks is allowed at once, by
the list that its own terminal goes by; for all else people are asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from loki_twisted.agents.bridges.voice import MARK
from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.lines import CUT_MARK
from loki_twisted.agents.outputs import (
    Asked,
    EndInput,
    Output,
    Outputs,
    TurnBegan,
    TurnEnded,
    Verdict,
    Withdrawn,
)
from loki_twisted.agents.providers import telling
from loki_twisted.agents.providers.bridges import key_of, maybe_fields, order
from loki_twisted.agents.providers.cleaning import cut
from loki_twisted.agents.providers.cline_lines import MUTE, READERS
from loki_twisted.agents.providers.cline_older import read_older
from loki_twisted.agents.providers.cline_state import (
    ABORTED,
    COMPLETED,
    ClineState,
    Step,
    flushed,
    spoken,
    unknown,
    with_problem,
)
from loki_twisted.agents.providers.driver import RememberingDriver
from loki_twisted.agents.providers.members import Fields, fields_of, maybe_count, maybe_text
from loki_twisted.agents.providers.programs import CLINE
from loki_twisted.agents.providers.prompts import maybe_prompt
from loki_twisted.agents.providers.telling import MAIN
from loki_twisted.model.inputs import Answer, Effect, InputKind, Option

ALLOW: Final = "allow"
DENY: Final = "deny"

PATIENCE_MS: Final = 5 * 60 * 1000
"""How long ``cline`` waits for a decision before it denies for itself."""

LOOKING_TOOLS: Final = frozenset(
    {
        "ask_followup_question",
        "ask_question",
        "fetch_web_content",
        "read_files",
        "search_codebase",
        "skills",
        "submit_and_exit",
    }
)
"""What ``cline`` in a terminal does without asking."""

_OPTIONS: Final = (
    Option(value=ALLOW, label="Allow", effect=Effect.ALLOW),
    Option(value=DENY, label="Deny", effect=Effect.DENY),
)
_UNKNOWN_TOLD_EACH: Final = 1000
_MOST_OPEN: Final = 1000
_MOST_SUMMARY: Final = 200


class ClineDriver(RememberingDriver[ClineState]):
    """
    See the module.

    :param memory: Of the driver before; empty for none.
    """

    line_limit = 1024 * 1024  # A text that comes in parts is in each of them.
    says_done = True

    def __init__(self, request: LaunchRequest, memory: str = "") -> None:
        super().__init__(ClineState(), memory)
        self._request = request

    def begin(self) -> Outputs:
        """See :class:`IDriver`. Its prompt stands on its command line."""
        task = maybe_prompt(self._request) or self._request.prd_path
        return [telling.spawned(MAIN, CLINE, model=self._request.model, task=task), TurnBegan()]

    def line(self, stream: str, text: str) -> Outputs:
        """See :class:`IDriver`."""
        before = self._state
        try:
            state, told = self._read(stream, text)
        except RecursionError:  # It is nested so deeply that it was just possible to read it.
            state, told = unknown(before)
        if state.finish != before.finish:
            state, ended = _turn_ended(state)
            told = [*told, *ended]
        if state.unknown // _UNKNOWN_TOLD_EACH > before.unknown // _UNKNOWN_TOLD_EACH:
            told = [*told, _of_unknown(state)]
        self._become(state)
        return told

    def quiet(self) -> Outputs:
        """See :class:`IDriver`."""
        state, told = spoken(self._state)
        self._become(state)
        return told

    def answer(self, key: str, answer: Answer) -> Outputs:
        """See :class:`IDriver`."""
        number = int(key) if key.isdecimal() else -1
        if number not in self._state.open:
            return ()
        self._become(_without(self._state, number))
        approved = ALLOW in answer.values
        reason = answer.message or ("" if approved else "A user has denied it.")
        more = {"reason": reason} if reason else {}
        return [order(decision=number, approved=approved, **more)]

    def ended(self) -> Outputs:
        """See :class:`IDriver`."""
        state, told = flushed(self._state)
        if state.unknown % _UNKNOWN_TOLD_EACH:
            told.append(_of_unknown(state))
        if state.is_told:
            told += _agents_ended(state)
        else:
            state = state.but(finish=state.finish or state.agent_finish)
            told += _end_told(state)
        self._become(state.but(agents={}, is_told=True))
        return told

    def _read(self, stream: str, text: str) -> Step:
        found = maybe_fields(text)
        if found is None:
            return _noise(self._state, stream, text)
        key = key_of(found, self._state.key) if stream == "stdout" else None
        if key is not None:
            return _of_bridge(self._state.but(key=key), found)
        sort = maybe_text(found, "type") or ""
        if sort in ("say", "ask"):
            return read_older(self._state, found)
        return READERS.get(sort, unknown)(self._state, found)


# Lines that are not of ``cline``


def _noise(state: ClineState, stream: str, text: str) -> Step:
    """A line that is no JSON: of Node, of a plugin, or the beginning of one that was too long."""
    if not text.strip():
        return state, ()
    state, told = flushed(state)
    if text.lstrip().startswith("{") and text.endswith(CUT_MARK):
        words = f"A line of more than {ClineDriver.line_limit} bytes was not read."
        return state, [*told, telling.log("warn", words, CLINE)]
    # What is an error of its own it says in JSON.
    level = "warn" if stream == "stderr" else "info"
    return state, [*told, telling.log(level, text, CLINE)]


def _of_bridge(state: ClineState, found: Fields) -> Step:
    kind, number = found.get(MARK), maybe_count(found, "request") or 0
    if kind == "approval" and number:
        return _approval(state, number, fields_of(found.get("asked")))
    if kind == "withdrawn" and number in state.open:
        words = "cline no longer waits for it."
        return _without(state, number), [Withdrawn(str(number), words)]
    if kind == "problem":
        words = maybe_text(found, "message") or "cline could not be started."
        return with_problem(state, words), [telling.log("error", words, CLINE)]
    return state, ()


def _approval(state: ClineState, number: int, asked: Fields) -> Step:
    state, told = flushed(state)
    tool = telling.name(maybe_text(asked, "toolName") or "a tool")
    state = state.but(asked=state.asked + 1)
    if tool in LOOKING_TOOLS:
        return state, [*told, order(decision=number, approved=True)]
    agent = telling.name(maybe_text(asked, "agentId") or "")
    arguments = telling.arguments_of(asked.get("input"))
    first = cut(arguments["output"].strip().partition("\n")[0], _MOST_SUMMARY)
    question = Asked(
        key=str(number),
        kind=InputKind.PERMISSION,
        prompt=f"cline wants to use {tool}: {first}" if first else f"cline wants to use {tool}.",
        details={
            "tool": tool,
            "arguments": arguments.get("input", arguments["output"]),
            "callId": telling.name(maybe_text(asked, "toolCallId") or ""),
        },
        options=_OPTIONS,
        timeout_ms=PATIENCE_MS,
        agent_id=agent if state.agents.get(agent) is not None else None,
    )
    return state.but(open=(*state.open[-_MOST_OPEN:], number)), [*told, question]


def _without(state: ClineState, number: int) -> ClineState:
    return state.but(open=tuple(each for each in state.open if each != number))


# The end


def _turn_ended(state: ClineState) -> Step:
    """The run has said how it ended; perhaps it says another word after the first."""
    if state.is_told:
        return state, [_verdict_of(state)]
    told = [*_end_told(state), order(done=True), EndInput()]
    return state.but(is_told=True, agents={}, open=()), told


def _end_told(state: ClineState) -> list[Output]:
    """Tell that it has ended, as far as it has said how."""
    verdict = _verdict_of(state)
    is_done = verdict.verdict is Verdict.DONE
    tell = telling.completed if is_done else telling.failed
    words = state.words if is_done else verdict.reason
    told = [*_agents_ended(state), tell(MAIN, CLINE, words)]
    return [*told, verdict] if state.finish or state.problem else told


def _verdict_of(state: ClineState) -> TurnEnded:
    if state.finish == COMPLETED:
        if state.is_mute and not state.asked:
            return TurnEnded(Verdict.FAILED, MUTE)
        return TurnEnded(Verdict.DONE)
    if state.finish == ABORTED:
        return TurnEnded(Verdict.INTERRUPTED, "Its work was broken off.")
    said = state.problem or state.words
    how = f"cline ended with {state.finish!r}" if state.finish else ""
    return TurnEnded(Verdict.FAILED, ": ".join(filter(None, (how, said))))


def _agents_ended(state: ClineState) -> Sequence[Output]:
    """Nobody outlives the run."""
    tell = telling.completed if state.finish == COMPLETED else telling.failed
    left = [name for name, above in state.agents.items() if above is not None]
    return [tell(name, "subagent") for name in left]


def _of_unknown(state: ClineState) -> Output:
    words = f"{state.unknown} lines of cline were of types that are not known."
    return telling.log("debug", words, CLINE)
