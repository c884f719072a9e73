"""Parts of messages of opencode: texts, thoughts, tools and steps, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from loki_twisted.agents.outputs import Output, Spent
from loki_twisted.agents.providers.opencode.state import (
    USER,
    Call,
    Fields,
    Held,
    State,
    Told,
    agent_of,
    fields,
    name_of,
    number_of,
    replaced,
    tidy,
    with_entry,
    with_name,
    without_entries,
    words_of,
)
from loki_twisted.agents.providers.telling import called, returned, said, thought
from loki_twisted.model.spending import CostOrigin, Spending

_MOST_HELD: Final = 16
_A_PARAGRAPH: Final = 2 * 1024
"""Characters from which on the paragraphs of a text that are complete are told."""

_MOST_TEXT: Final = 8 * 1024
"""Characters from which on a text is told in any case."""

_NO_RESULT: Final = "opencode did not say what came of it."


def read_part(state: State, part: Fields) -> Told | None:
    """
    Say what a part means that is new or has changed.

    :returns: None for a kind that is not known.
    """
    name, message = name_of(part.get("id")), name_of(part.get("messageID"))
    reader = _READERS.get(words_of(part.get("type")))
    if reader is None:
        return None
    if message in state.ended or name in state.parts or state.messages.get(message) == USER:
        return state, ()
    return reader(state, name, part)


def read_delta(state: State, properties: Fields) -> Told:
    """Take what is new in a text; one that we do not know comes as a whole later."""
    name, delta = name_of(properties.get("partID")), properties.get("delta")
    held = state.held.get(name)
    if held is None or properties.get("field") != "text" or not isinstance(delta, str):
        return state, ()
    return _spilled(state, name, replaced(held, text=held.text + _encodable(delta)))


def flushed(state: State, session: str | None = None) -> Told:
    """Tell all that was held back, of one session or of all."""
    outputs: list[Output] = []
    for name, held in state.held.items():
        if held.text and session in (None, held.session):
            state, told = _told(state, name, held, len(held.text))
            outputs += told
    return state, outputs


def settled(state: State, session: str) -> Told:
    """Tell what is left of a session that is idle, and forget what will not come any more."""
    state, outputs = flushed(state, session)
    agent = agent_of(state, session)
    gone = {name: each for name, each in state.calls.items() if each.session == session}
    told = [
        returned(*agent, each.tool, each.id, _NO_RESULT, is_error=False) for each in gone.values()
    ]
    state = without_entries(state, "calls", gone)
    held = [name for name, each in state.held.items() if each.session == session]
    return without_entries(state, "held", held), [*outputs, *told]


def spending_of(part: Fields) -> Spending:
    """What a step has spent, by itself."""
    tokens, cache = fields(part, "tokens"), fields(part, "tokens", "cache")
    read, write = int(number_of(cache.get("read"))), int(number_of(cache.get("write")))
    given, written = int(number_of(tokens.get("input"))), int(number_of(tokens.get("output")))
    reasoning, total = int(number_of(tokens.get("reasoning"))), tokens.get("total")
    # Whether the output has the reasoning in it differs by version; the total tells.
    if total != given + written + read + write:
        written += reasoning
    return Spending(
        input_tokens=given,
        output_tokens=written,
        cache_read_tokens=read,
        cache_write_tokens=write,
        reasoning_tokens=reasoning,
        api_calls=1,
        cost=float(number_of(part.get("cost"))),
    )


def tool_outputs(agent: tuple[str, str], part: Fields, *, is_known: bool) -> Sequence[Output]:
    """
    Tell of a tool: that it is used, unless that is known, and what came of it if it has ended.

    :param agent: The id and the kind of who uses it.
    """
    tool, call_id = name_of(part.get("tool")) or "tool", name_of(part.get("callID"))
    state = fields(part, "state")
    outputs: list[Output] = []
    if not is_known:
        outputs.append(called(*agent, tool, call_id, tidy(state.get("input"))))
    if state.get("status") == "completed":
        result = tidy(state.get("output"))
        outputs.append(returned(*agent, tool, call_id, result, is_error=False))
    elif state.get("status") == "error":
        outputs.append(returned(*agent, tool, call_id, tidy(state.get("error")), is_error=True))
    return outputs


def _read_text(state: State, name: str, part: Fields) -> Told:
    message, time = name_of(part.get("messageID")), fields(part, "time")
    is_someones = message in state.messages or "start" in time
    if part.get("synthetic") or part.get("ignored") or not is_someones:
        return state, ()
    session = name_of(part.get("sessionID"))
    before = state.held.get(name, Held(session, words_of(part.get("type"))))
    text = _encodable(words_of(part.get("text")))
    held = replaced(before, text=text[before.said :])
    if not time.get("end"):
        return _spilled(state, name, held)
    state, outputs = _told(state, name, held, len(held.text))
    return with_name(without_entries(state, "held", [name]), "parts", name), outputs


def _read_tool(state: State, name: str, part: Fields) -> Told:
    status = fields(part, "state").get("status")
    is_over = status in ("completed", "error")
    if status != "running" and not is_over:
        return state, ()  # What it is called with is not known before it runs.
    if fields(part, "state", "time").get("compacted"):
        return state, ()  # It was long ago: its result is being thrown away.
    session = name_of(part.get("sessionID"))
    state, outputs = flushed(state, session)
    is_known = name in state.calls
    told = tool_outputs(agent_of(state, session), part, is_known=is_known)
    if is_over:
        state = with_name(without_entries(state, "calls", [name]), "parts", name)
    elif not is_known:
        call = Call(session, name_of(part.get("tool")) or "tool", name_of(part.get("callID")))
        state = with_entry(state, "calls", name, call)
    return state, [*outputs, *told]


def _read_step_start(state: State, name: str, part: Fields) -> Told:
    """A step that begins shows that it got over what went wrong before."""
    state = with_name(state, "parts", name)
    if name_of(part.get("sessionID")) == state.session:
        state = replaced(state, problem=None, step="")
    return state, ()


def _read_step_finish(state: State, name: str, part: Fields) -> Told:
    session = name_of(part.get("sessionID"))
    state, outputs = flushed(state, session)
    state = with_name(state, "parts", name)
    if session == state.session:
        state = replaced(state, step=name_of(part.get("reason")))
    model = state.messages.get(name_of(part.get("messageID"))) or None
    spent = Spent(spending_of(part), CostOrigin.REPORTED, model=model)
    return state, [*outputs, spent]


def _read_nothing(state: State, _name: str, _part: Fields) -> Told:
    return state, ()


_READERS: Final[Mapping[str, Callable[[State, str, Fields], Told]]] = {
    "text": _read_text,
    "reasoning": _read_text,
    "tool": _read_tool,
    "step-start": _read_step_start,
    "step-finish": _read_step_finish,
    **dict.fromkeys(
        ("subtask", "file", "snapshot", "patch", "agent", "retry", "compaction"), _read_nothing
    ),
}


def _spilled(state: State, name: str, held: Held) -> Told:
    """Hold a text, and tell the paragraphs of it that are complete, if it has become long."""
    end = 0
    if len(held.text) > _A_PARAGRAPH:
        end = held.text.rfind("\n\n") + 1
    if not end and len(held.text) > _MOST_TEXT:
        end = held.text.rfind("\n") + 1 or len(held.text)
    outputs: list[Output] = []
    if name not in state.held and len(state.held) >= _MOST_HELD:
        oldest, other = next(iter(state.held.items()))
        state, told = _told(state, oldest, other, len(other.text))
        state = with_name(without_entries(state, "held", [oldest]), "parts", oldest)
        outputs += told
    state, told = _told(state, name, held, end)
    return state, [*outputs, *told]


def _told(state: State, name: str, held: Held, end: int) -> Told:
    """Tell a text up to a place, and hold the rest."""
    piece = held.text[:end].strip("\n")
    rest = replaced(held, said=held.said + end, text=held.text[end:])
    state = replaced(state, held={**state.held, name: rest})
    if not piece.strip():
        return state, ()
    tell = thought if held.kind == "reasoning" else said
    return state, [tell(*agent_of(state, held.session), piece)]


def _encodable(text: str) -> str:
    """The same text, with a question mark for each half of a character."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
