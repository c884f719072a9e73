"""
Plans: the list of things to do that an agent keeps, told as tasks.

Agents say the whole list each time. What has changed in it becomes ``task:*`` events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from loki_twisted.agents.providers.cleaning import cut
from loki_twisted.agents.providers.telling import text
from loki_twisted.agents.providers.words import maybe_status
from loki_twisted.model.events import Fact
from loki_twisted.model.tasks import TaskStatus

MOST_ENTRIES: Final = 200
"""Entries of a plan beyond which the rest is not told."""

MOST_TITLE: Final = 400
"""
Bytes of UTF-8 of the title of one. So a whole plan leaves room in a driver's memory, even if each
character of it has to be escaped there.
"""


class Entry(msgspec.Struct, frozen=True):
    """
    One thing to do.

    :ivar id: Its name, within the session; the agent's own, or one by :func:`numbered`.
    """

    id: str
    title: str
    status: TaskStatus


Plan = tuple[Entry, ...]
"""A plan; part of a driver's memory."""


def entry(task_id: str, title: Any, status: Any) -> Entry:
    """
    Read an entry.

    :param status: The agent's word for it; an unknown one is ``pending``.
    """
    known = maybe_status(status) if isinstance(status, str) else None
    return Entry(task_id, cut(text(title), MOST_TITLE) or task_id, known or TaskStatus.PENDING)


def numbered(before: Plan, entries: Iterable[tuple[Any, Any]], prefix: str = "plan") -> Plan:
    """
    Name the entries of a list that has no names, as pairs of title and status.

    One whose title stood in the plan before keeps its name, wherever it stands now; one that is
    new gets the next number.
    """
    free: dict[str, list[str]] = {}
    for each in before:
        free.setdefault(each.title, []).append(each.id)
    following = 1 + max((int(each.id.rpartition("-")[2]) for each in before), default=0)
    plan: list[Entry] = []
    for title, status in entries:
        if len(plan) == MOST_ENTRIES:
            break
        said = entry("", title, status)
        known = free.get(said.title)
        if known:
            task_id = known.pop(0)
        else:
            task_id, following = f"{prefix}-{following}", following + 1
        plan.append(Entry(task_id, said.title or task_id, said.status))
    return tuple(plan)


def changes(before: Plan, after: Plan) -> Sequence[Fact]:
    """
    Say what has changed in a plan.

    An entry that is no longer in it and was not done is ``skipped``.
    """
    known = {each.id: each for each in before}
    facts = [fact for each in after for fact in _change(known.pop(each.id, None), each)]
    gone = (each for each in known.values() if each.status not in _ENDED)
    return [*facts, *(_fact("completed", each, TaskStatus.SKIPPED) for each in gone)]


def _change(before: Entry | None, after: Entry) -> Sequence[Fact]:
    if before == after:
        return ()
    word = _WORDS[after.status]
    if before is None and word != "created":
        return [_fact("created", after, TaskStatus.PENDING), _fact(word, after, after.status)]
    if before is not None and before.status is after.status:
        word = "created" if after.status in _WAITING else "progress"
        if after.status in _ENDED:
            word = _WORDS[after.status]
    return [_fact(word, after, after.status)]


def _fact(word: str, each: Entry, status: TaskStatus) -> Fact:
    return Fact(f"task:{word}", {"taskId": each.id, "title": each.title, "status": str(status)})


_ENDED: Final = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.SKIPPED})
_WAITING: Final = frozenset({TaskStatus.PENDING, TaskStatus.QUEUED})
_WORDS: Final[Mapping[TaskStatus, str]] = {
    TaskStatus.PENDING: "created",
    TaskStatus.QUEUED: "created",
    TaskStatus.RUNNING: "started",
    TaskStatus.COMPLETED: "completed",
    TaskStatus.FAILED: "failed",
    TaskStatus.SKIPPED: "completed",
}
