"""
The plans of Claude Code: lists of things to do, which it keeps by tools.

The older tool, ``TodoWrite``, says the whole list each time. The newer ones say one entry:
``TaskCreate``, whose result gives it its number, and ``TaskUpdate``. Those of sub-agents are told
as the uses of tools that they are, and not as tasks of the session.
"""

from __future__ import annotations

import re
from typing import Final

from loki_twisted.agents.providers.claude_memory import Draft
from loki_twisted.agents.providers.claude_reading import Line, is_name
from loki_twisted.agents.providers.cleaning import clean, cut
from loki_twisted.agents.providers.members import objects_of, text_of
from loki_twisted.agents.providers.plans import Entry, Plan, changes, entry, numbered

Change = tuple[str, str, str]
"""What is done to an entry: its number, status and title; empty where that is not said."""

_CREATES: Final = "TaskCreate"
_UPDATES: Final = "TaskUpdate"

MOST_ENTRIES: Final = 100
"""Entries of a plan that are told."""

_MOST_TITLE: Final = 160
"""Bytes of an entry's title; the whole of it is in the tool's arguments."""

_NUMBER: Final = re.compile(r"#([A-Za-z0-9_-]{1,32})")
_MOST_WORDS: Final = 1000
_MOST_STATUS: Final = 16


def title_of(text: str) -> str:
    """A title of one line."""
    return cut(clean(" ".join(text[: 4 * _MOST_TITLE].split())), _MOST_TITLE)


def maybe_change(tool: str, arguments: Line) -> Change | None:
    """Say what the use of a tool does to an entry, once it has succeeded."""
    if tool not in (_CREATES, _UPDATES):
        return None
    status = "pending" if tool == _CREATES else text_of(arguments, "status")
    return _number(arguments), status[:_MOST_STATUS], title_of(text_of(arguments, "subject"))


def take_change(draft: Draft, change: Change, task: Line, words: str) -> None:
    """
    An entry is added, or changed.

    :param task: What the result says of it, where it does.
    :param words: The same in words. Only a result gives a new entry its number.
    """
    number, status, title = change
    found = _NUMBER.search(words[:_MOST_WORDS])
    number = number or _number(task) or (found[1] if found is not None else "")
    if not number:
        return
    task_id = f"task-{number}"
    if status == "deleted":
        _replan(draft, tuple(each for each in draft.memory.plan if each.id != task_id))
        return
    known = next((each for each in draft.memory.plan if each.id == task_id), None)
    if known is not None:
        title, status = title or known.title, status or known.status
    _put(draft, entry(task_id, title or f"Task {number}", status))


def take_todos(draft: Draft, tool: str, arguments: Line) -> None:
    """A tool is used; if it is the older one, the whole list is said."""
    if tool != "TodoWrite":
        return
    said = [
        (title_of(text_of(each, "content") or text_of(each, "activeForm")), each.get("status"))
        for each in objects_of(arguments, "todos")[:MOST_ENTRIES]
    ]
    before = draft.memory.todos
    after = numbered(before, said)
    draft.say(*changes(before, after))
    draft.change(todos=after)


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
