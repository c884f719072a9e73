"""The driver of ``opencode run --format json``: one prompt, facts as they are complete, the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

import msgspec

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import (
    Conversation,
    Output,
    Outputs,
    Spent,
    TurnBegan,
    TurnEnded,
    Verdict,
)
from loki_twisted.agents.providers.driver import RememberingDriver
from loki_twisted.agents.providers.opencode.driver import LINE_LIMIT
from loki_twisted.agents.providers.opencode.events import plan_of, problem_of
from loki_twisted.agents.providers.opencode.parts import spending_of, tool_outputs
from loki_twisted.agents.providers.opencode.state import (
    Fields,
    Problem,
    fields,
    items,
    maybe_json,
    name_of,
    words_of,
)
from loki_twisted.agents.providers.opencode.words import (
    REFUSED,
    facts_of_stderr,
    says_refused,
    verdict_of_step,
)
from loki_twisted.agents.providers.plain import facts_of_line
from loki_twisted.agents.providers.plans import Plan, changes
from loki_twisted.agents.providers.programs import OPENCODE
from loki_twisted.agents.providers.telling import (
    MAIN,
    completed,
    failed,
    log,
    said,
    spawned,
    thought,
)
from loki_twisted.agents.providers.unknown import Unknown, one_more, told
from loki_twisted.model.spending import CostOrigin

_AGENT: Final = (MAIN, OPENCODE)
_TODOS: Final = "todowrite"
"""The tool by which it writes its plan; there are no other events of that here."""


class RunState(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    What this driver remembers.

    :ivar step: Why the last step ended.
    :ivar refused: Whether it has refused itself a permission.
    """

    session: str = ""
    step: str = ""
    problem: Problem | None = None
    refused: bool = False
    plan: Plan = ()
    unknown: Unknown = {}


class OpencodeRunDriver(RememberingDriver[RunState]):
    """
    See :class:`IDriver`. It asks nothing: what it would ask is denied by itself.

    :param memory: Of the driver before.
    """

    line_limit = LINE_LIMIT
    says_done = True

    def __init__(self, request: LaunchRequest, memory: str) -> None:
        super().__init__(RunState(), memory)
        self._request = request

    def begin(self) -> Outputs:
        """See :class:`IDriver`."""
        return [TurnBegan()]

    def line(self, stream: str, text: str) -> Outputs:
        """See :class:`IDriver`."""
        if stream == "stderr":
            if says_refused(text):
                self._change(refused=True)
            return facts_of_stderr(text)
        if not text.startswith("{"):
            return facts_of_line(stream, text)
        found = fields(maybe_json(text))
        reader = self._READERS.get(words_of(found.get("type")))
        if reader is None:
            return self._not_known(name_of(found.get("type")) or "a line that cannot be read")
        return [*self._opened(found), *reader(self, found)]

    def ended(self) -> Outputs:
        """See :class:`IDriver`. Only now it is known that no further step comes."""
        state = self._state
        verdict = verdict_of_step(state.step)
        if verdict.verdict is Verdict.FAILED and state.refused:
            verdict = TurnEnded(Verdict.FAILED, REFUSED)
        if state.problem is not None:
            verdict = TurnEnded(Verdict.FAILED, state.problem.words)
        tell = completed if verdict.verdict is Verdict.DONE else failed
        agent = [tell(*_AGENT)] if state.session else []
        return [verdict, *self._tell_unknown(), *agent]

    def _opened(self, found: Fields) -> Outputs:
        session = name_of(found.get("sessionID"))
        if not session or self._state.session:
            return ()
        self._change(session=session)
        return [Conversation(session), spawned(*_AGENT, model=self._request.model)]

    def _text(self, found: Fields) -> Outputs:
        words = words_of(fields(found, "part").get("text"))
        return [said(*_AGENT, words)] if words.strip() else ()

    def _reasoning(self, found: Fields) -> Outputs:
        words = words_of(fields(found, "part").get("text"))
        return [thought(*_AGENT, words)] if words.strip() else ()

    def _tool(self, found: Fields) -> Outputs:
        part = fields(found, "part")
        outputs: list[Output] = [*tool_outputs(_AGENT, part, is_known=False)]
        if part.get("tool") == _TODOS and fields(part, "state").get("status") == "completed":
            todos = items(fields(part, "state", "input").get("todos"))
            before = self._state.plan
            self._change(plan=plan_of(before, [each for each in todos if isinstance(each, dict)]))
            outputs += changes(before, self._state.plan)
        return outputs

    def _step_start(self, _: Fields) -> Outputs:
        self._change(problem=None, step="")
        return ()

    def _step_finish(self, found: Fields) -> Outputs:
        part = fields(found, "part")
        self._change(step=name_of(part.get("reason")))
        return [Spent(spending_of(part), CostOrigin.REPORTED, model=self._request.model)]

    def _error(self, found: Fields) -> Outputs:
        problem = problem_of(fields(found, "error"))
        self._change(problem=problem)
        return [log("error", problem.words, OPENCODE)]

    def _done(self, _: Fields) -> Outputs:
        """It says in newer versions that it is idle; how that came its last step says."""
        return ()

    def _change(self, **changes: object) -> None:
        self._state = msgspec.structs.replace(self._state, **changes)

    def _not_known(self, kind: str) -> Outputs:
        unknown, facts = one_more(self._state.unknown, kind, OPENCODE)
        self._change(unknown=unknown)
        return facts

    def _tell_unknown(self) -> Outputs:
        unknown, facts = told(self._state.unknown, OPENCODE)
        self._change(unknown=unknown)
        return facts

    _READERS: ClassVar[Mapping[str, Callable[[OpencodeRunDriver, Fields], Outputs]]] = {
        "text": _text,
        "reasoning": _reasoning,
        "tool_use": _tool,
        "step_start": _step_start,
        "step_finish": _step_finish,
        "error": _error,
        "done": _done,
    }
