"""
What a batch changes in the tables beside the events.

Many batches go into one transaction, and the last word counts: of sixty-four
batches that each move the same cursor one statement is left. ``merged`` is
that step, as a pure function; a test holds it against one batch after another.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Final

import attrs
import msgspec

from loki_twisted.log.interface import Batch
from loki_twisted.model.sessions import Session
from loki_twisted.model.tasks import Task

SessionRow = tuple[str, str, bool, str]
"""A row of ``sessions``, in the order of its columns."""

TaskRow = tuple[str, str, str, str, str]
"""A row of ``tasks``, in the order of its columns, without its number."""

_CURSOR_BYTES: Final = 256


@attrs.frozen(slots=True, kw_only=True)
class Changes:
    """
    Changes of rows. Those of ``forgotten`` come first.

    :ivar forgotten: Sessions whose row, tasks and cursors go.
    :ivar sessions: New rows, by the session's id.
    :ivar tasks: New rows by session and task; None where the row goes.
    :ivar cursors: New values by name; None where the cursor goes.
    :ivar size: About how many bytes this is.
    """

    forgotten: tuple[str, ...] = ()
    sessions: Mapping[str, SessionRow] = attrs.field(factory=dict)
    tasks: Mapping[tuple[str, str], TaskRow | None] = attrs.field(factory=dict)
    cursors: Mapping[str, str | None] = attrs.field(factory=dict)
    size: int = 0


NOTHING: Final = Changes()
"""No change."""


def changes_of(batch: Batch) -> Changes:
    """Encode what a batch changes."""
    session, tasks, cursors = batch.session, batch.tasks, batch.cursors
    if not (batch.forget or session or tasks or batch.removed_tasks or cursors):
        return NOTHING
    sessions = {session.id: _session_row(session)} if session else {}
    task_rows: dict[tuple[str, str], TaskRow | None] = {
        (batch.session_id, task_id): None for task_id in batch.removed_tasks
    }
    task_rows.update(((task.session_id, task.id), _task_row(task)) for task in tasks)
    bodies = sum(len(row[-1]) for row in (*sessions.values(), *task_rows.values()) if row)
    return Changes(
        forgotten=(batch.session_id,) if batch.forget else (),
        sessions=sessions,
        tasks=task_rows,
        cursors=cursors,
        size=bodies + _CURSOR_BYTES * len(cursors),
    )


def _session_row(session: Session) -> SessionRow:
    body = msgspec.json.encode(session).decode()
    return (session.id, session.started_at, session.status.is_final, body)


def _task_row(task: Task) -> TaskRow:
    return (
        task.session_id,
        task.id,
        task.status.value,
        task.created_at or "",
        msgspec.json.encode(task).decode(),
    )


def merged(several: Iterable[Changes]) -> Changes:
    """Make one of many, with the same outcome as one after another."""
    forgotten: dict[str, None] = {}
    sessions: dict[str, SessionRow] = {}
    tasks: dict[tuple[str, str], TaskRow | None] = {}
    cursors: dict[str, str | None] = {}
    for changes in several:
        if changes is NOTHING:
            continue
        for session_id in changes.forgotten:
            forgotten[session_id] = None
            sessions.pop(session_id, None)
            tasks = {key: row for key, row in tasks.items() if key[0] != session_id}
            prefix = cursor_prefix(session_id)
            cursors = {name: v for name, v in cursors.items() if not name.startswith(prefix)}
        sessions.update(changes.sessions)
        tasks.update(changes.tasks)
        cursors.update(changes.cursors)
    return Changes(forgotten=tuple(forgotten), sessions=sessions, tasks=tasks, cursors=cursors)


def cursor_prefix(session_id: str) -> str:
    """How the names of all cursors of a session begin."""
    return f"{session_id}/"


def behind_prefix(prefix: str) -> str | None:
    """
    Find where the names that begin with a prefix end, in the order of their code points.

    :returns: The first text behind all of them, or None if there is none.
    """
    front = prefix.rstrip(chr(sys.maxunicode))
    if not front:
        return None
    # Surrogates are no text, so none is stored.
    following = "\ue000" if front[-1] == "\ud7ff" else chr(ord(front[-1]) + 1)
    return front[:-1] + following
