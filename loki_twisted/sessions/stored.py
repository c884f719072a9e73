"""What is kept of a session on disk: read back as a state, and written as the change of one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import msgspec

from loki_twisted.log.interface import Batch, IRecords
from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import Input
from loki_twisted.model.messages import Message
from loki_twisted.model.tasks import Task, TaskQuery
from loki_twisted.sessions.rows import Rows, entries_between
from loki_twisted.sessions.state import SessionState
from loki_twisted.sessions.talk import SILENCE, TALK_CURSOR, Talk, talk_from_text

_AGENTS_CURSOR: Final = "agents"
_TASKS_AT_ONCE: Final = 1_000
"""How many rows of tasks are read at once: decoding them holds up every thread."""

_SESSIONS_AT_ONCE: Final = 500
"""How many sessions are, likewise: what is made of them is made in one turn of the reactor."""


async def stored_states(rows: IRecords) -> AsyncIterator[list[SessionState]]:
    """Read every session from disk, some at a time."""
    tasks = await _tasks(rows)
    inputs: dict[str, dict[str, Input]] = {}
    for each in await rows.open_inputs():
        inputs.setdefault(each.session_id, {})[each.id] = each
    messages: dict[str, list[Message]] = {}
    for message in await rows.queued_messages():
        messages.setdefault(message.session_id, []).append(message)
    agents = await rows.cursors("", f"/{_AGENTS_CURSOR}")
    talks = await rows.cursors("", f"/{TALK_CURSOR}")
    offset, sessions = 0, await rows.sessions(_SESSIONS_AT_ONCE, 0)
    while sessions:
        yield [
            SessionState(
                session,
                tasks.get(session.id, {}),
                _agents_from_text(agents.get(f"{session.id}/{_AGENTS_CURSOR}")),
                inputs.get(session.id, {}),
                tuple(messages.get(session.id, ())),
                _maybe_talk(talks.get(f"{session.id}/{TALK_CURSOR}")),
            )
            for session in sessions
        ]
        offset += len(sessions)
        sessions = await rows.sessions(_SESSIONS_AT_ONCE, offset)


def _agents_from_text(text: str | None) -> dict[str, str]:
    return {} if text is None else msgspec.json.decode(text, type=dict[str, str])


def _maybe_talk(text: str | None) -> Talk:
    return SILENCE if text is None else talk_from_text(text)


async def _tasks(rows: IRecords) -> Mapping[str, Mapping[str, Task]]:
    tasks: dict[str, dict[str, Task]] = {}
    page = await rows.tasks(TaskQuery(limit=_TASKS_AT_ONCE))
    while True:
        for task in page.tasks:
            tasks.setdefault(task.session_id, {})[task.id] = task
        if page.end is None:
            return tasks
        page = await rows.tasks(TaskQuery(limit=_TASKS_AT_ONCE, after=page.end))


def batch_of(
    before: SessionState,
    after: SessionState,
    now_ms: int,
    facts: Sequence[Fact],
    cursors: Mapping[str, str | None],
    rows: Rows,
    *,
    is_new: bool,
) -> Batch:
    """
    Say what is to be written when a session goes from one state into another.

    :param is_new: Whether nothing of it is on disk yet.
    """
    session = after.session
    stored = dict(cursors)
    if after.active_agents != before.active_agents:
        agents = msgspec.json.encode(after.active_agents).decode()
        stored[f"{session.id}/{_AGENTS_CURSOR}"] = agents
    if after.talk != before.talk or (is_new and after.talk != SILENCE):
        stored[f"{session.id}/{TALK_CURSOR}"] = after.talk.as_text()
    changed, gone = _task_rows(before.tasks, after.tasks)
    return Batch(
        session_id=session.id,
        at_ms=now_ms,
        facts=facts,
        session=session if is_new or session != before.session else None,
        tasks=changed,
        removed_tasks=gone,
        cursors=stored,
        inputs=rows.inputs,
        messages=rows.messages,
        spent=rows.spent or entries_between(before, after, now_ms),
        done_once=rows.done_once,
    )


def _task_rows(
    before: Mapping[str, Task], after: Mapping[str, Task]
) -> tuple[list[Task], list[str]]:
    if before is after:
        return [], []
    changed = [
        task
        for name, task in after.items()
        if (known := before.get(name)) is not task and known != task
    ]
    return changed, [name for name in before if name not in after]
