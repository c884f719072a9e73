"""
Writing: what one transaction consists of.

Rows go in many to a statement, because each step of SQLite gives up Python's
global lock: 64 rows took 200 ms beside a busy thread, row by row, and take 13 ms in one statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

import apsw

from loki_twisted.log.changes import Changes, behind_prefix, cursor_prefix
from loki_twisted.log.done_rows import PUT_DONE, drop_old
from loki_twisted.log.input_rows import INPUTS
from loki_twisted.log.message_rows import MESSAGES
from loki_twisted.log.rows import BlockRow
from loki_twisted.log.schema import SESSION_SPAN, SPAN
from loki_twisted.log.spending_rows import (
    PUT_SPENDERS,
    PUT_SPENDINGS,
    spender_sum,
    spending_sum,
)
from loki_twisted.log.sums import marked

_MAX_ROWS: Final = 64

_BLOCKS: Final = ("INSERT INTO blocks VALUES ", "(?,?,?,?,?,?,?,?,?)", "")
_SPANS: Final = (
    "INSERT INTO spans VALUES ",
    "(?,?)",
    """ ON CONFLICT(number) DO UPDATE SET mask = mask | excluded.mask
    WHERE excluded.mask & ~mask""",
)
_SESSION_SPANS: Final = (
    "INSERT INTO session_spans VALUES ",
    "(?,?,?)",
    """ ON CONFLICT(session, number) DO UPDATE SET mask = mask | excluded.mask
    WHERE excluded.mask & ~mask""",
)
_SESSIONS: Final = (
    "INSERT INTO sessions(id, started_at, final, body) VALUES ",
    "(?,?,?,?)",
    """ ON CONFLICT(id) DO UPDATE SET
    started_at = excluded.started_at, final = excluded.final, body = excluded.body""",
)
_TASKS: Final = (
    "INSERT INTO tasks(session_id, id, status, created_at, body) VALUES ",
    "(?,?,?,?,?)",
    """ ON CONFLICT(session_id, id) DO UPDATE SET status = excluded.status,
    created_at = excluded.created_at, body = excluded.body""",
)
_CURSORS: Final = (
    "INSERT INTO cursors(name, value) VALUES ",
    "(?,?)",
    " ON CONFLICT(name) DO UPDATE SET value = excluded.value",
)
_INPUTS: Final = INPUTS.put
_MESSAGES: Final = MESSAGES.put
_REMOVED_TASKS: Final = ("DELETE FROM tasks WHERE (session_id, id) IN (VALUES ", "(?,?)", ")")
_REMOVED_CURSORS: Final = ("DELETE FROM cursors WHERE name IN (VALUES ", "(?)", ")")


def write(connection: apsw.Connection, blocks: Sequence[BlockRow], changes: Changes) -> None:
    """
    Write blocks and changes. To be called in a transaction.

    :param connection: One that writes (``log/connecting.py``).
    :raises apsw.Error: if that fails.
    """
    _put(connection, _BLOCKS, blocks)
    _put(connection, _SPANS, list(_spans_of(blocks).items()))
    _put(connection, _SESSION_SPANS, [(*k, v) for k, v in _session_spans_of(blocks).items()])
    for session_id in changes.forgotten:
        _forget(connection, session_id)
    _put(connection, _SESSIONS, list(changes.sessions.values()))
    _put(connection, _REMOVED_TASKS, [key for key, row in changes.tasks.items() if row is None])
    _put(connection, _TASKS, [row for row in changes.tasks.values() if row is not None])
    _put(connection, _REMOVED_CURSORS, [(k,) for k, v in changes.cursors.items() if v is None])
    moved = [(k, marked(v, k)) for k, v in changes.cursors.items() if v is not None]
    _put(connection, _CURSORS, moved)
    _put(connection, _INPUTS, list(changes.inputs.values()))
    _put(connection, _MESSAGES, list(changes.messages.values()))
    spenders = [(*row, spender_sum(*row)) for row in changes.spenders.values()]
    _put(connection, PUT_SPENDERS, spenders)
    spent = [(*row, spending_sum(*row)) for row in changes.spent.values()]
    _put(connection, PUT_SPENDINGS, spent)
    if changes.done:
        done = list(changes.done.values())
        _put(connection, PUT_DONE, done)
        drop_old(connection, done)


def _spans_of(blocks: Sequence[BlockRow]) -> dict[int, int]:
    masks: dict[int, int] = {}
    for block in blocks:
        span = block[0] // SPAN
        masks[span] = masks.get(span, 0) | block[4]
    return masks


def _session_spans_of(blocks: Sequence[BlockRow]) -> dict[tuple[str, int], int]:
    masks: dict[tuple[str, int], int] = {}
    for block in blocks:
        span = block[3], block[0] // SESSION_SPAN
        masks[span] = masks.get(span, 0) | block[4]
    return masks


def _forget(connection: apsw.Connection, session_id: str) -> None:
    prefix = cursor_prefix(session_id)
    connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
    connection.execute("DELETE FROM tasks WHERE session_id = ?", (session_id,))
    connection.execute("DELETE FROM inputs WHERE session_id = ?", (session_id,))
    connection.execute("DELETE FROM messages WHERE session_id = ?", (session_id,))
    connection.execute(
        "DELETE FROM cursors WHERE name >= ? AND name < ?", (prefix, behind_prefix(prefix))
    )


def _put(
    connection: apsw.Connection,
    statement: tuple[str, str, str],
    rows: Sequence[Sequence[apsw.SQLiteValue]],
) -> None:
    before, row, behind = statement
    for part in parts(rows):
        marks = ",".join([row] * len(part))
        connection.execute(before + marks + behind, tuple(chain.from_iterable(part)))


def parts(
    rows: Sequence[Sequence[apsw.SQLiteValue]],
) -> Iterator[Sequence[Sequence[apsw.SQLiteValue]]]:
    """
    Cut rows into parts whose lengths are powers of two, at most 64.

    So there are seven texts of each statement, which SQLite has ready.
    """
    start = 0
    while start < len(rows):
        length = min(_MAX_ROWS, 1 << (len(rows) - start).bit_length() - 1)
        yield rows[start : start + length]
        start += length
