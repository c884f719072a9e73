"""Events of opencode's sessions and messages, and what they mean: one reader for each type."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from loki_twisted.agents.outputs import (
    Freed,
    Hindered,
    Output,
    Trouble,
    TurnBegan,
    Withdrawn,
)
from loki_twisted.agents.providers.opencode.asking import (
    read_permission,
    read_permission_reply,
    read_question,
    read_question_reply,
)
from loki_twisted.agents.providers.opencode.parts import flushed, read_delta, read_part, settled
from loki_twisted.agents.providers.opencode.state import (
    USER,
    Child,
    Fields,
    Phase,
    Problem,
    State,
    Told,
    agent_of,
    fields,
    items,
    name_of,
    number_of,
    replaced,
    with_entry,
    with_name,
    without_entries,
    words_of,
)
from loki_twisted.agents.providers.plans import MOST_ENTRIES, Plan, changes, entry, numbered
from loki_twisted.agents.providers.programs import OPENCODE
from loki_twisted.agents.providers.telling import MAIN, completed, failed, log, spawned, text

Reader = Callable[[State, Fields], Told | None]

_SUB_AGENT: Final = re.compile(r"\s*\(@([\w-]{1,64}) subagent\)\s*$")
_LIMIT: Final = re.compile(r"rate.?limit|too many requests|usage limit|quota", re.IGNORECASE)
_NUMBERED: Final = re.compile(r"todo-[0-9]{1,9}")
_MOST_TITLE: Final = 300
_MOST_TODOS: Final = min(MOST_ENTRIES, 200)


def read_event(state: State, event: Fields) -> Told | None:
    """
    Say what an event means.

    :returns: None for one that is not known.
    """
    kind, properties = words_of(event.get("type")), fields(event, "properties")
    reader = READERS.get(kind)
    if reader is not None:
        return reader(state, properties)
    return (state, ()) if kind in _UNUSED or kind.startswith(_UNUSED_FAMILIES) else None


def _read_part(state: State, properties: Fields) -> Told | None:
    return read_part(state, fields(properties, "part"))


def _read_message(state: State, properties: Fields) -> Told:
    info = fields(properties, "info")
    name, session = name_of(info.get("id")), name_of(info.get("sessionID"))
    if not name or name in state.ended:
        return state, ()
    if info.get("role") == USER:
        if session == state.session and name not in state.messages:
            state = replaced(state, unseen=max(0, state.unseen - 1))
        return with_entry(state, "messages", name, USER), ()
    if session == state.session and state.phase is Phase.ASKED:
        state = replaced(state, phase=Phase.BUSY)
    models = (name_of(info.get("providerID")), name_of(info.get("modelID")))
    state = with_entry(state, "messages", name, "/".join(filter(None, models)))
    outputs: Sequence[Output] = ()
    if fields(info, "error"):
        state = _with_problem(state, session, problem_of(fields(info, "error")))
    if session == state.session and name_of(info.get("finish")):
        state = replaced(state, step=name_of(info.get("finish")))
    if fields(info, "time").get("completed"):
        state, outputs = flushed(state, session)
        state = with_name(state, "ended", name)
    return state, outputs


def _read_session(state: State, properties: Fields) -> Told:
    """A session of a sub-agent begins; those of others are not there."""
    info = fields(properties, "info")
    name, parent = name_of(info.get("id")), name_of(info.get("parentID"))
    if not name or not parent or name == state.session or name in state.children:
        return state, ()
    title = words_of(info.get("title"))
    named = _SUB_AGENT.search(title)
    kind = name_of(info.get("agent")) or (named[1] if named else "agent")
    state = with_entry(state, "children", name, Child(kind))
    task = _SUB_AGENT.sub("", title)
    return state, [spawned(name, kind, task=task, parent=agent_of(state, parent)[0])]


def _read_status(state: State, properties: Fields) -> Told:
    session, status = name_of(properties.get("sessionID")), fields(properties, "status")
    if status.get("type") == "idle":
        return _read_idle(state, properties)
    state, told = _at_work(state, session)
    if session != state.session:
        return state, told
    if status.get("type") == "retry":
        words = text(status.get("message")) or "It tries again."
        until_ms = int(number_of(status.get("next"))) or None
        trouble = Trouble.RATE_LIMITED if _LIMIT.search(words) else Trouble.RETRYING
        hindered = Hindered(trouble, words, until_ms)
        return replaced(state, is_hindered=True), [*told, hindered]
    if state.is_hindered:
        return replaced(state, is_hindered=False), [*told, Freed()]
    return state, told


def _read_idle(state: State, properties: Fields) -> Told:
    """A session has done its work. It says so twice; ours is dealt with by the driver."""
    session = name_of(properties.get("sessionID"))
    child = state.children.get(session)
    if child is None or not child.is_on:
        return state, ()
    state, outputs = settled(state, session)
    state, gone = withdrawn(state, session)
    tell = completed if child.error is None else failed
    state = with_entry(state, "children", session, replaced(child, is_on=False, error=None))
    return state, [*outputs, *gone, tell(session, child.kind, child.error)]


def _read_error(state: State, properties: Fields) -> Told:
    session, problem = name_of(properties.get("sessionID")), problem_of(fields(properties, "error"))
    if session == state.session and _is_late(state, problem):
        return state, [log("debug", problem.words, OPENCODE)]
    state = _with_problem(state, session, problem)
    if session == state.session:
        state = replaced(state, unseen=0)  # What is not there yet will not come.
    return state, [log("info" if problem.is_abort else "error", problem.words, OPENCODE)]


def _is_late(state: State, problem: Problem) -> bool:
    """
    Whether an error is that of the last turn, which was told already.

    It comes once more when the turn is over, in other words around the same ones.
    """
    is_between = state.phase is Phase.IDLE or (state.phase is Phase.ASKED and state.waiting)
    return bool(is_between and state.last and state.last in problem.words)


def _read_compacted(state: State, _: Fields) -> Told:
    return state, [log("info", "The conversation so far was summed up, to save room.", OPENCODE)]


def _read_todos(state: State, properties: Fields) -> Told:
    """The plan is that of our session; sub-agents have their own, which are not told."""
    if name_of(properties.get("sessionID")) != state.session:
        return state, ()
    todos = [each for each in items(properties.get("todos")) if isinstance(each, dict)]
    plan = plan_of(state.plan, todos)
    return replaced(state, plan=plan), changes(state.plan, plan)


def plan_of(before: Plan, todos: Sequence[Fields]) -> Plan:
    """
    Read a list of things to do.

    :param before: The plan as it was: older versions name what is to do, newer ones do not.
    """
    todos = todos[:_MOST_TODOS]
    titled = [(words_of(each.get("content"))[:_MOST_TITLE], each.get("status")) for each in todos]
    names = [name_of(each.get("id")) for each in todos]
    if all(names) and len(set(names)) == len(names):
        pairs = zip(names, titled, strict=True)
        return tuple(entry(name, title, status) for name, (title, status) in pairs)
    known = tuple(each for each in before if _NUMBERED.fullmatch(each.id))
    return numbered(known, titled, "todo")


def problem_of(error: Fields) -> Problem:
    """Say what went wrong."""
    name, message = name_of(error.get("name")), words_of(fields(error, "data").get("message"))
    words = text(message or words_of(error.get("message")) or name or "It failed.")
    return Problem(words[:2000], is_abort=name == "MessageAbortedError")


def _with_problem(state: State, session: str, problem: Problem) -> State:
    if session == state.session:
        return replaced(state, problem=problem)
    child = state.children.get(session)
    if child is None:
        return state
    return with_entry(state, "children", session, replaced(child, error=problem.words))


def _at_work(state: State, session: str) -> Told:
    """Take note of a session that shows that it is at work."""
    if session == state.session:
        if state.phase is Phase.ASKED:
            return replaced(state, phase=Phase.BUSY), ()
        if state.phase is Phase.IDLE:
            return replaced(state, phase=Phase.BUSY), [TurnBegan()]
        return state, ()
    child = state.children.get(session)
    if child is None or child.is_on:
        return state, ()
    state = with_entry(state, "children", session, replaced(child, is_on=True))
    return state, [spawned(session, child.kind, parent=MAIN)]


def withdrawn(state: State, session: str) -> tuple[State, list[Output]]:
    """Take back what a session that is idle had asked."""
    gone = [key for key, each in state.asks.items() if each.session == session]
    why = "It is no longer at work on that."
    return without_entries(state, "asks", gone), [Withdrawn(key, why) for key in gone]


READERS: Final[Mapping[str, Reader]] = {
    "message.part.updated": _read_part,
    "message.part.delta": read_delta,
    "message.updated": _read_message,
    "session.created": _read_session,
    "session.updated": _read_session,
    "session.status": _read_status,
    "session.idle": _read_idle,
    "session.error": _read_error,
    "session.compacted": _read_compacted,
    "todo.updated": _read_todos,
    "permission.asked": read_permission,
    "permission.updated": read_permission,  # as older versions ask
    "permission.replied": read_permission_reply,
    "question.asked": read_question,
    "question.replied": read_question_reply,
    "question.rejected": read_question_reply,
}

_UNUSED: Final = frozenset(
    {"message.removed", "message.part.removed", "session.diff", "session.deleted"}
)
_UNUSED_FAMILIES: Final = (
    # The same as the others in the words of a newer protocol, and what is about no session.
    *("session.next.", "permission.v2.", "question.v2.", "server.", "global.", "installation."),
    *("command.", "file.", "lsp.", "mcp.", "plugin.", "project.", "pty.", "tui.", "vcs."),
    *("workspace.", "worktree.", "account.", "catalog.", "models-dev."),
)
