"""
What the lines of ``cline`` mean in the schema that its documentation describes.

Older versions print it.

Each is something that it says, or asks; ``say`` or ``ask`` names the sort, ``text`` holds the
words, or JSON. A line that is ``partial`` comes again with more of its text. Nobody is waited
for: what it asks it has answered itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from loki_twisted.agents.providers import telling
from loki_twisted.agents.providers.cline_lines import with_spent
from loki_twisted.agents.providers.cline_state import (
    COMPLETED,
    TEXT,
    THINKING,
    ClineState,
    Step,
    flushed,
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
from loki_twisted.model.spending import Spending, plus

_decode: Final = msgspec.json.Decoder().decode


def read_older(state: ClineState, found: Fields) -> Step:
    """Read a line of ``type`` ``say`` or ``ask``."""
    sort = maybe_text(found, "say") or maybe_text(found, "ask") or ""
    return _SORTS.get(sort, unknown)(state, found)


def _text(state: ClineState, found: Fields) -> Step:
    return _joined(state, found, TEXT, maybe_text(found, "text"))


def _reasoning(state: ClineState, found: Fields) -> Step:
    words = maybe_text(found, "reasoning") or maybe_text(found, "text")
    return _joined(state, found, THINKING, words)


def _joined(state: ClineState, found: Fields, kind: str, words: str | None) -> Step:
    state, told = with_text(state, kind, None, words or "")
    if found.get("partial") is True:
        return state, told
    state, last = flushed(state)
    return state, [*told, *last]


def _completion(state: ClineState, found: Fields) -> Step:
    state, told = _text(state, found)
    if found.get("partial") is True:
        return state, told
    return with_words(state.but(finish=COMPLETED), maybe_text(found, "text") or ""), told


def _tool(state: ClineState, found: Fields) -> Step:
    arguments = _json(found)
    return _called(state, found, maybe_text(arguments, "tool") or "tool", arguments)


def _server_tool(state: ClineState, found: Fields) -> Step:
    arguments = _json(found)
    return _called(state, found, maybe_text(arguments, "toolName") or "mcp", arguments)


def _command(state: ClineState, found: Fields) -> Step:
    return _called(state, found, "command", {"command": maybe_text(found, "text") or ""})


def _called(state: ClineState, found: Fields, tool: str, arguments: Any) -> Step:
    if found.get("partial") is True:
        return state, ()
    state, told = flushed(state)
    return state, [*told, telling.called(MAIN, CLINE, tool, _call_of(found), arguments)]


def _command_output(state: ClineState, found: Fields) -> Step:
    state, told = flushed(state)
    words = maybe_text(found, "text") or ""
    if found.get("partial") is True or not words:
        return state, told
    result = telling.returned(MAIN, CLINE, "command", _call_of(found), words, is_error=False)
    return state, [*told, result]


def _call_of(found: Fields) -> str:
    return f"call-{maybe_count(found, 'ts') or 0}"


def _question(state: ClineState, found: Fields) -> Step:
    if found.get("partial") is True:
        return state, ()
    state, told = flushed(state)
    words = maybe_text(_json(found), "question") or maybe_text(found, "text") or ""
    return state, [*told, telling.said(MAIN, CLINE, words)] if words else told


def _failure(state: ClineState, found: Fields) -> Step:
    state, told = flushed(state)
    words = maybe_text(found, "text") or "unknown error"
    return with_problem(state, words), [*told, telling.log("error", words, CLINE)]


def _request(state: ClineState, found: Fields) -> Step:
    """A request to the model. It comes again when it has ended: then it says what it has cost."""
    state, told = flushed(state)
    usage, at = _json(found), maybe_count(found, "ts") or 0
    read = maybe_count(usage, "tokensIn")
    if read is None or (at and at == state.counted):
        return state, told
    spent = Spending(
        input_tokens=read,
        output_tokens=maybe_count(usage, "tokensOut") or 0,
        cache_read_tokens=maybe_count(usage, "cacheReads") or 0,
        cache_write_tokens=maybe_count(usage, "cacheWrites") or 0,
        api_calls=1,
        cost=maybe_amount(usage, "cost") or 0.0,
    )
    state, said = with_spent(state.but(counted=at), plus(state.spent, spent))
    return state, [*told, *said]


def _nothing(state: ClineState, _: Fields) -> Step:
    return state, ()


def _json(found: Fields) -> Fields:
    """The JSON that stands in the text; empty if it is none."""
    try:
        return fields_of(_decode(maybe_text(found, "text") or ""))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}


_SORTS: Final[Mapping[str, Callable[[ClineState, Fields], Step]]] = {
    "text": _text,
    "task": _nothing,
    "user_feedback": _nothing,
    "reasoning": _reasoning,
    "completion_result": _completion,
    "tool": _tool,
    "use_mcp_server": _server_tool,
    "mcp_server_request_started": _nothing,
    "mcp_server_response": _command_output,
    "command": _command,
    "command_output": _command_output,
    "followup": _question,
    "plan_mode_respond": _question,
    "api_req_started": _request,
    "api_req_finished": _nothing,
    "api_req_retried": _nothing,
    "api_req_failed": _failure,
    "error": _failure,
    "mistake_limit_reached": _failure,
    "checkpoint_created": _nothing,
    "task_progress": _nothing,
}
