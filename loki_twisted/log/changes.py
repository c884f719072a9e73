"""
What a batch changes in the tables beside the events.

Many batches go into one transaction, and the last word counts: of sixty-four
batches that each move the same cursor one statement is left. ``merged`` is
that step, as a pure function; a test holds it against one batch after another.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

import attrs
import msgspec

from loki_twisted.log.body_rows import BodyRow
from loki_twisted.log.done_rows import DoneRow, done_row
from loki_twisted.log.input_rows import input_row
from loki_twisted.log.interface import Batch
from loki_twisted.log.message_rows import message_row
from loki_twisted.log.spending_rows import (
    LineKey,
    SpenderRow,
    SpendingRow,
    add_row,
    spender_row,
    spending_row,
)
from loki_twisted.log.sums import sealed
from loki_twisted.model.sessions import Session
from loki_twisted.model.tasks import Task

SessionRow = tuple[str, str, bool, str]
"""A row of ``sessions``, in the order of its columns."""

TaskRow = tuple[str, str, str, str, str]
"""A row of ``tasks``, in the order of its columns, without its number."""

Row = TypeVar("Row")

_CURSOR_BYTES: Final = 256
_SPENDING_BYTES: Final = 256
_DONE_BYTES: Final = 512


@attrs.frozen(slots=True, kw_only=True)
class Changes:
    """
    Changes of rows. Those of ``forgotten`` come first.

    :ivar forgotten: Sessions whose row, tasks, inputs, messages and cursors go.
    :ivar sessions: New rows, by the session's id.
    :ivar tasks: New rows by session and task; None where the row goes.
    :ivar cursors: New values by name; None where the cursor goes.
    :ivar inputs: New rows by session and input.
    :ivar messages: New rows by session and message.
    :ivar spenders: To whom spending is put down, by session, where that is not known yet.
    :ivar spent: What is added to the ledger, by session, turn and model.
    :ivar done: What was done, by its key.
    :ivar size: About how many bytes this is.
    """

    forgotten: tuple[str, ...] = ()
    sessions: Mapping[str, SessionRow] = attrs.field(factory=dict)
    tasks: Mapping[tuple[str, str], TaskRow | None] = attrs.field(factory=dict)
    cursors: Mapping[str, str | None] = attrs.field(factory=dict)
    inputs: Mapping[tuple[str, str], BodyRow] = attrs.field(factory=dict)
    messages: Mapping[tuple[str, str], BodyRow] = attrs.field(factory=dict)
    spenders: Mapping[str, SpenderRow] = attrs.field(factory=dict)
    spent: Mapping[LineKey, SpendingRow] = attrs.field(factory=dict)
    done: Mapping[str, DoneRow] = attrs.field(factory=dict)
    size: int = 0


NOTHING: Final = Changes()
"""No change."""


def changes_of(batch: Batch) -> Changes:
    """Encode what a batch changes."""
    if not _changes_rows(batch):
        return NOTHING
    session, cursors = batch.session, batch.cursors
    sessions = {session.id: _session_row(session)} if session else {}
    tasks: dict[tuple[str, str], TaskRow | None] = {
        (batch.session_id, task_id): None for task_id in batch.removed_tasks
    }
    tasks.update(((task.session_id, task.id), _task_row(task)) for task in batch.tasks)
    inputs = {(each.session_id, each.id): input_row(each) for each in batch.inputs}
    messages = {(each.session_id, each.id): message_row(each) for each in batch.messages}
    spenders: dict[str, SpenderRow] = {}
    spent: dict[LineKey, SpendingRow] = {}
    for entry in batch.spent:
        spenders.setdefault(entry.session_id, spender_row(entry))
        add_row(spent, spending_row(entry))
    done = {} if batch.done_once is None else {batch.done_once.key: done_row(batch.done_once)}
    rows = (*sessions.values(), *tasks.values(), *inputs.values(), *messages.values())
    return Changes(
        forgotten=(batch.session_id,) if batch.forget else (),
        sessions=sessions,
        tasks=tasks,
        cursors=cursors,
        inputs=inputs,
        messages=messages,
        spenders=spenders,
        spent=spent,
        done=done,
        size=sum(len(row[-1]) for row in rows if row)
        + _CURSOR_BYTES * len(cursors)
        + _SPENDING_BYTES * len(spent)
        + _DONE_BYTES * len(done),
    )


def _changes_rows(batch: Batch) -> bool:
    return bool(
        batch.forget
        or batch.session
        or batch.tasks
        or batch.removed_tasks
        or batch.cursors
        or batch.inputs
        or batch.messages
        or batch.spent
        or batch.done_once
    )


def _session_row(session: Session) -> SessionRow:
    body = sealed(msgspec.json.encode(session))
    return (session.id, session.started_at, session.status.is_final, body)


def _task_row(task: Task) -> TaskRow:
    return (
        task.session_id,
        task.id,
        task.status.value,
        task.created_at or "",
        sealed(msgspec.json.encode(task)),
    )


def merged(several: Iterable[Changes]) -> Changes:
    """Make one of many, with the same outcome as one after another."""
    result = _Merged()
    for changes in several:
        if changes is not NOTHING:
            result.add(changes)
    return Changes(
        forgotten=tuple(result.forgotten),
        sessions=result.sessions,
        tasks=result.tasks,
        cursors=result.cursors,
        inputs=result.inputs,
        messages=result.messages,
        spenders=result.spenders,
        spent=result.spent,
        done=result.done,
    )


@attrs.define
class _Merged:
    """What :func:`merged` has so far; see :class:`Changes`."""

    forgotten: dict[str, None] = attrs.field(factory=dict)
    sessions: dict[str, SessionRow] = attrs.field(factory=dict)
    tasks: dict[tuple[str, str], TaskRow | None] = attrs.field(factory=dict)
    cursors: dict[str, str | None] = attrs.field(factory=dict)
    inputs: dict[tuple[str, str], BodyRow] = attrs.field(factory=dict)
    messages: dict[tuple[str, str], BodyRow] = attrs.field(factory=dict)
    spenders: dict[str, SpenderRow] = attrs.field(factory=dict)
    spent: dict[LineKey, SpendingRow] = attrs.field(factory=dict)
    done: dict[str, DoneRow] = attrs.field(factory=dict)

    def add(self, changes: Changes) -> None:
        for session_id in changes.forgotten:
            self._forget(session_id)
        self.sessions.update(changes.sessions)
        self.tasks.update(changes.tasks)
        self.cursors.update(changes.cursors)
        self.inputs.update(changes.inputs)
        self.messages.update(changes.messages)
        for session_id, spender in changes.spenders.items():
            self.spenders.setdefault(session_id, spender)
        for row in changes.spent.values():
            add_row(self.spent, row)
        self.done.update(changes.done)

    def _forget(self, session_id: str) -> None:
        self.forgotten[session_id] = None
        self.sessions.pop(session_id, None)
        self.tasks = _without(self.tasks, session_id)
        self.inputs = _without(self.inputs, session_id)
        self.messages = _without(self.messages, session_id)
        prefix = cursor_prefix(session_id)
        self.cursors = {n: v for n, v in self.cursors.items() if not n.startswith(prefix)}


def _without(rows: Mapping[tuple[str, str], Row], session_id: str) -> dict[tuple[str, str], Row]:
    return {key: row for key, row in rows.items() if key[0] != session_id}


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
