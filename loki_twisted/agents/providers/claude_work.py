"""
What Claude Code does: its uses of tools and their results, its sub-agents, and what goes on in
the background.

A sub-agent is spawned by the use of a tool, whose id is its own; whatever it says bears that id.
It has done when the tool gives its result, or, in the background, when that is notified.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import structs

from loki_twisted.agents.providers.claude_memory import (
    MOST_KNOWN,
    BackgroundTask,
    Call,
    Draft,
    Helper,
    Memory,
)
from loki_twisted.agents.providers.claude_plans import maybe_change, take_change, take_todos
from loki_twisted.agents.providers.claude_reading import Line, is_name
from loki_twisted.agents.providers.cleaning import clean, cut
from loki_twisted.agents.providers.members import object_of, objects_of, text_of
from loki_twisted.agents.providers.programs import CLAUDE
from loki_twisted.agents.providers.telling import (
    MAIN,
    called,
    completed,
    failed,
    log,
    returned,
    spawned,
)

_SPAWNING: Final = frozenset({"Agent", "Task"})
"""Tools that spawn a sub-agent; the second is the older name."""

_MOST_KIND: Final = 64
"""Bytes of the type of a sub-agent, and of what is remembered of its task."""

_OVER: Final = frozenset({"completed", "failed", "killed", "stopped"})

Speaker = tuple[str, str]
"""Who says something: the id and the type of an agent."""


def speaker_of(memory: Memory, line: Line) -> Speaker:
    """Say whose a line is."""
    call_id = text_of(line, "parent_tool_use_id")
    if not call_id:
        return MAIN, CLAUDE
    helper = memory.helper(call_id)
    return call_id, helper.kind if helper is not None else text_of(line, "subagent_type") or "agent"


def take_call(draft: Draft, speaker: Speaker, block: Line) -> None:
    """A tool is used."""
    agent_id = speaker[0]
    call_id, tool = text_of(block, "id"), text_of(block, "name") or "tool"
    arguments = object_of(block, "input")
    draft.say(called(*speaker, tool, call_id, arguments))
    if is_name(call_id) and is_name(tool):
        change = maybe_change(tool, arguments) if agent_id == MAIN else None
        made = Call(call_id, tool, agent_id if is_name(agent_id) else MAIN, change)
        draft.change(calls=(*draft.memory.calls, made)[-MOST_KNOWN:])
    if tool in _SPAWNING:
        _spawn(draft, agent_id, call_id, arguments)
    elif agent_id == MAIN:
        take_todos(draft, tool, arguments)


def take_tool_result(draft: Draft, speaker: Speaker, block: Line, line: Line) -> None:
    """
    A tool has given its result.

    :param block: The part of the line that is the result.
    """
    call_id = text_of(block, "tool_use_id")
    call = draft.memory.call(call_id)
    words = words_of(block.get("content"))
    is_error = block.get("is_error") is True
    tool = None if call is None else call.tool
    draft.say(returned(*speaker, tool, call_id, words, is_error=is_error))
    if call is not None:
        draft.change(calls=tuple(each for each in draft.memory.calls if each is not call))
    said = object_of(line, "tool_use_result")
    helper = draft.memory.helper(call_id)
    if helper is not None:
        _take_result_of_helper(draft, helper, words, said, is_error=is_error)
    elif call is not None and call.entry is not None and not is_error:
        take_change(draft, call.entry, object_of(said, "task"), words)


def words_of(content: Any) -> str:
    """The text of a message or a result; what is no text is named."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    blocks = [each for each in content if isinstance(each, dict)]
    return "\n".join(text_of(each, "text") or f"[{text_of(each, 'type')}]" for each in blocks)


# Sub-agents


def _spawn(draft: Draft, parent: str, call_id: str, arguments: Line) -> None:
    helpers = draft.memory.helpers
    is_known = draft.memory.helper(call_id) is not None
    if is_known or not is_name(call_id) or len(helpers) >= MOST_KNOWN:
        return
    kind = _short(text_of(arguments, "subagent_type")) or "general-purpose"
    task = text_of(arguments, "description") or text_of(arguments, "prompt")
    model = text_of(arguments, "model") or None
    draft.say(spawned(call_id, kind, model=model, task=task, parent=parent))
    draft.change(helpers=(*helpers, Helper(call_id, kind, task=_short(task))))


def _short(words: str) -> str:
    return cut(clean(words[:_MOST_KIND]), _MOST_KIND)


def _take_result_of_helper(
    draft: Draft, helper: Helper, words: str, said: Line, *, is_error: bool
) -> None:
    is_launched = said.get("isAsync") is True or said.get("status") == "async_launched"
    if (is_launched or helper.in_background) and not is_error:
        _put_in_background(draft, helper.call)
        return
    draft.change(tasks=tuple(each for each in draft.memory.tasks if each.call != helper.call))
    _end(draft, helper, words, is_error=is_error)


def _put_in_background(draft: Draft, call_id: str) -> None:
    draft.change(
        helpers=tuple(
            structs.replace(each, in_background=True) if each.call == call_id else each
            for each in draft.memory.helpers
        )
    )


def _end(draft: Draft, helper: Helper, words: str | None, *, is_error: bool) -> None:
    tell = failed if is_error else completed
    draft.say(tell(helper.call, helper.kind, words))
    draft.change(helpers=tuple(each for each in draft.memory.helpers if each is not helper))


def end_helpers(draft: Draft, *, is_error: bool) -> None:
    """The agent has ended, and all that it spawned with it."""
    for helper in draft.memory.helpers:
        _end(draft, helper, None, is_error=is_error)


# What goes on in the background


def take_task_started(draft: Draft, line: Line) -> None:
    """Something has begun, in the background or as a part of the turn."""
    task_id, call_id = text_of(line, "task_id"), text_of(line, "tool_use_id")
    is_part = line.get("is_backgrounded") is False or line.get("owned_by_subagent") is True
    if is_part or line.get("ambient") is True:
        return
    _add_task(draft, task_id, call_id)
    if line.get("is_backgrounded") is True:
        _put_in_background(draft, call_id)


def take_task_updated(draft: Draft, line: Line) -> None:
    """It has ended, or went into the background, or came out of it."""
    task_id, patch = text_of(line, "task_id"), object_of(line, "patch")
    if text_of(patch, "status") in _OVER or patch.get("is_backgrounded") is False:
        _drop_task(draft, task_id)
    elif patch.get("is_backgrounded") is True:
        _add_task(draft, task_id, "")


def take_task_notification(draft: Draft, line: Line) -> None:
    """It has ended, and this is what came of it."""
    task_id, status = text_of(line, "task_id"), text_of(line, "status")
    call_id = text_of(line, "tool_use_id") or next(
        (each.call for each in draft.memory.tasks if each.id == task_id), ""
    )
    _drop_task(draft, task_id)
    words = text_of(line, "summary")
    helper = draft.memory.helper(call_id)
    if helper is not None:
        # Some versions say here only what it was to do; what came of it is the tool's result then.
        if helper.in_background or _short(words) != helper.task:
            _end(draft, helper, words, is_error=status != "completed")
    elif line.get("ambient") is not True:
        level = "warn" if status == "failed" else "info"
        draft.say(log(level, f"Background task {status or 'ended'}: {words}", CLAUDE))


def take_tasks_changed(draft: Draft, line: Line) -> None:
    """These are all that go on in the background. Ambient ones are no work of the session's."""
    calls = {each.id: each.call for each in draft.memory.tasks}
    ids = [
        text_of(each, "task_id")
        for each in objects_of(line, "tasks")
        if each.get("ambient") is not True
    ]
    tasks = [BackgroundTask(each, calls.get(each, "")) for each in ids if is_name(each)]
    draft.change(tasks=tuple(tasks[:MOST_KNOWN]))


def _add_task(draft: Draft, task_id: str, call_id: str) -> None:
    tasks = draft.memory.tasks
    if is_name(task_id) and all(each.id != task_id for each in tasks):
        known = call_id if is_name(call_id) else ""
        draft.change(tasks=(*tasks, BackgroundTask(task_id, known))[-MOST_KNOWN:])


def _drop_task(draft: Draft, task_id: str) -> None:
    draft.change(tasks=tuple(each for each in draft.memory.tasks if each.id != task_id))
