"""
The driver of ``codex exec --json``: one prompt on its standard input, then lines until it ends.

It asks nothing and is told nothing more. Its totals are those of the whole thread, also of one that
is continued.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import (
    Conversation,
    EndInput,
    Freed,
    Hindered,
    Output,
    Outputs,
    Spent,
    Trouble,
    TurnBegan,
    TurnEnded,
    Verdict,
    Write,
)
from loki_twisted.agents.providers import telling
from loki_twisted.agents.providers.codex_lines import (
    in_camel,
    noise,
    small,
    spending_of,
    words_of_error,
)
from loki_twisted.agents.providers.codex_work import (
    Seen,
    Work,
    all_ended,
    item_seen,
    unknown_seen,
)
from loki_twisted.agents.providers.driver import RememberingDriver
from loki_twisted.agents.providers.members import object_of, text_of
from loki_twisted.agents.providers.programs import CODEX
from loki_twisted.agents.providers.prompts import prompt_of
from loki_twisted.model.spending import NOTHING

LINE_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of a line, which is one item: less than codex says at once where it speaks of all."""

_RETRY: Final = "Reconnecting"
"""How an error begins that it tries to get over by itself."""

_decode: Final = msgspec.json.Decoder().decode

_Said = Mapping[str, Any]


class ExecState(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """
    All that a driver of ``codex exec`` remembers.

    :ivar is_working: Whether a turn is on.
    :ivar verdict: How the last one ended.
    :ivar error: The words of the last error.
    """

    work: Work = Work()
    model: str = ""
    is_working: bool = False
    is_hindered: bool = False
    verdict: Verdict | None = None
    error: str = ""


_Step = tuple[ExecState, Sequence[Output]]


class ExecDriver(RememberingDriver[ExecState]):
    """
    Reads one ``codex exec --json``.

    :param memory: Of the driver before.
    """

    line_limit = LINE_LIMIT
    says_done = True

    def __init__(self, request: LaunchRequest, memory: str) -> None:
        model = request.model if small(request.model) and request.model else ""
        super().__init__(ExecState(model=model), memory)
        self._request = request

    def begin(self) -> Outputs:
        """See :class:`IDriver`."""
        return [Write(prompt_of(self._request)), EndInput()]

    def line(self, stream: str, text: str) -> Outputs:
        """See :class:`IDriver`."""
        said = _maybe_said(text) if stream == "stdout" else None
        if said is None:
            return noise(stream, text)
        state = self._state
        try:
            self._state, outputs = _read(state, said)
        except RecursionError:  # Something in it is nested too deep to be written down again.
            self._state, outputs = _seen(state, unknown_seen(state.work, "too deep"))
        return outputs

    def ended(self) -> Outputs:
        """See :class:`IDriver`."""
        state = self._state
        has_failed = state.verdict is not Verdict.DONE
        self._state, outputs = _seen(state, all_ended(state.work, has_failed=has_failed))
        if state.work.main:
            tell = telling.failed if has_failed else telling.completed
            words = state.error if has_failed else None
            outputs = [*outputs, tell(telling.MAIN, CODEX, words)]
        if state.error and (state.is_working or state.verdict is None):
            outputs = [*outputs, TurnEnded(Verdict.FAILED, state.error)]
        return outputs


def _maybe_said(text: str) -> _Said | None:
    """Read a line that is an object with a type; None if it is none."""
    if text[:64].lstrip()[:1] != "{":
        return None
    try:
        found = _decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return found if isinstance(found, dict) and text_of(found, "type") else None


def _seen(state: ExecState, seen: Seen) -> _Step:
    return replace(state, work=seen[0]), seen[1]


def _read(state: ExecState, said: _Said) -> _Step:
    kind = text_of(said, "type")
    read = _READERS.get(kind)
    if read is None:
        return _seen(state, unknown_seen(state.work, kind))
    before: Sequence[Output] = ()
    if state.is_hindered and kind != "error":
        state, before = replace(state, is_hindered=False), [Freed()]
    state, outputs = read(state, said)
    return state, [*before, *outputs]


# Readers: one for each type of line.


def _thread(state: ExecState, said: _Said) -> _Step:
    thread = text_of(said, "thread_id")
    if not small(thread) or state.work.main:
        return state, ()
    spawned = telling.spawned(telling.MAIN, CODEX, model=state.model)
    state = replace(state, work=replace(state.work, main=thread))
    return state, [Conversation(thread), spawned]


def _turn(state: ExecState, _: _Said) -> _Step:
    return replace(state, is_working=True, verdict=None, error=""), [TurnBegan()]


def _done(state: ExecState, said: _Said) -> _Step:
    total = spending_of(object_of(said, "usage"))
    spent = Spent(total, counter=state.work.main or CODEX, model=state.model or None)
    state = replace(state, is_working=False, verdict=Verdict.DONE)
    return state, [*([] if total == NOTHING else [spent]), TurnEnded(Verdict.DONE)]


def _failed(state: ExecState, said: _Said) -> _Step:
    error = object_of(said, "error")
    words = words_of_error(error) if error or not state.error else state.error
    state = replace(state, is_working=False, verdict=Verdict.FAILED, error=words)
    return state, [TurnEnded(Verdict.FAILED, words)]


def _error(state: ExecState, said: _Said) -> _Step:
    """It gets over some errors, and says so only by the way that it puts them."""
    words = words_of_error(said)
    if words.startswith(_RETRY):
        return replace(state, is_hindered=True), [Hindered(Trouble.RETRYING, words)]
    return replace(state, error=words), [telling.log("error", words, CODEX)]


def _item(state: ExecState, said: _Said) -> _Step:
    is_done = text_of(said, "type") == "item.completed"
    item = in_camel(object_of(said, "item"))
    return _seen(state, item_seen(state.work, item, telling.MAIN, is_done=is_done))


_READERS: Final[Mapping[str, Callable[[ExecState, _Said], _Step]]] = {
    "thread.started": _thread,
    "turn.started": _turn,
    "turn.completed": _done,
    "turn.failed": _failed,
    "item.started": _item,
    "item.updated": _item,
    "item.completed": _item,
    "error": _error,
}
