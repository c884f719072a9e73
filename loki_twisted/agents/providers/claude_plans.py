"""
The plans of Claude Code: lists of things to do, which it keeps by tools.

The older tool, ``TodoWrite``, says the whole list each time. The newer ones say one entry:
``TaskCreate``, whose result gives it its number, and ``TaskUpdate``. Those of sub-agents are told
as the uses of tools that they are, and not as tasks of the session.
"""

from __future__ import annotations

import re
from typing import Final

from loki_twisted.agents.providers.claude_memory import Call, Draft
from loki_twisted.agents.providers.claude_reading import Line, is_name, objects_of, text_of
from loki_twisted.agents.providers.cleaning import clean, cut
from loki_twisted.agents.providers.plans import Entry, Plan, changes, entry, numbered

CREATES: Final = "TaskCreate"
"""The tool that adds an entry."""

MOST_ENTRIES: Final = 100
"""Entries of a plan that are told."""

_MOST_TITLE: Final = 160
"""Bytes of an entry's title; the whole of it is in the tool's arguments."""

_NUMBER: Final = re.compile(r"#([A-Za-z0-9_-]{1,32})")
_MOST_WORDS: Final = 1000


def title_of(text: str) -> str:
    """A title of one line."""
    return cut(clean(" ".join(text[: 4 * _MOST_TITLE].split())), _MOST_TITLE)


def take_plan(draft: Draft, tool: str, arguments: Line) -> None:
    """A tool is used; perhaps one that changes a plan."""
    if tool == "TodoWrite":
        _take_todos(draft, arguments)
    elif tool == "TaskUpdate":
        _take_update(draft, arguments)


def take_created(draft: Draft, call: Call, task: Line, words: str) -> None:
    """
    An entry is added.

    :param task: What the result says of it, where it does.
    :param words: The same in words.
    """
    found = _NUMBER.search(words[:_MOST_WORDS])
    number = _number(task) or (found[1] if found is not None else "")
    if number:
        title = title_of(text_of(task, "subject")) or call.title
        _put(draft, entry(f"task-{number}", title, "pending"))


def _take_todos(draft: Draft, arguments: Line) -> None:
    said = [
        (title_of(text_of(each, "content") or text_of(each, "activeForm")), each.get("status"))
        for each in objects_of(arguments, "todos")[:MOST_ENTRIES]
    ]
    before = draft.memory.todos
    after = numbered(before, said)
    draft.say(*changes(before, after))
    draft.change(todos=after)


def _take_update(draft: Draft, arguments: Line) -> None:
    number = _number(arguments)
    if not number:
        return
    task_id = f"task-{number}"
    status = text_of(arguments, "status")
    if status == "deleted":
        _replan(draft, tuple(each for each in draft.memory.plan if each.id != task_id))
        return
    known = next((each for each in draft.memory.plan if each.id == task_id), None)
    title = title_of(text_of(arguments, "subject"))
    if known is not None:
        title, status = title or known.title, status or known.status
    _put(draft, entry(task_id, title or f"Task {number}", status))


def _number(task: Line) -> str:
    """The id of an entry, as the one tool or the other says it."""
    for name in ("taskId", "id"):
        value = task.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and is_name(value):
            return value
    return ""


def _put(draft: Draft, said: Entry) -> None:
    before = draft.memory.plan
    if any(each.id == said.id for each in before):
        _replan(draft, tuple(said if each.id == said.id else each for each in before))
    elif len(before) < MOST_ENTRIES:
        _replan(draft, (*before, said))


def _replan(draft: Draft, after: Plan) -> None:
    draft.say(*changes(draft.memory.plan, after))
    draft.change(plan=after)
