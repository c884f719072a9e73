"""
What was done under a key, as rows.

A row stays for a day, whatever becomes of the session: a request that comes again after the
session was deleted must not be carried out again. Whoever adds rows drops twice as many of the
old ones, if there are; so there are no more than came in a day for long, and nobody has to look
for them at another time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import apsw

from loki_twisted.log.query import rows_of
from loki_twisted.log.sums import marked, unmarked
from loki_twisted.model.idempotency import KEPT_MS, CompletedRequest

DoneRow = tuple[str, str, str, str, str, int]
"""A row of ``done_once``, in the order of its columns."""

_DROPPED_FOR_EACH: Final = 2

_SELECT: Final = "SELECT key, operation, fingerprint, session_id, target, at_ms FROM done_once"

PUT_DONE: Final = (
    "INSERT INTO done_once VALUES ",
    "(?,?,?,?,?,?)",
    """ ON CONFLICT(key) DO UPDATE SET operation = excluded.operation,
    fingerprint = excluded.fingerprint, session_id = excluded.session_id,
    target = excluded.target, at_ms = excluded.at_ms""",
)


def done_row(done: CompletedRequest) -> DoneRow:
    """Make a row of what was done. Before the fingerprint stands the sum of all of it."""
    others = (done.key, done.operation, done.session_id, done.target, done.at_ms)
    fingerprint = marked(done.fingerprint, *others)
    return (done.key, done.operation, fingerprint, done.session_id, done.target, done.at_ms)


def drop_old(connection: apsw.Connection, added: Sequence[DoneRow]) -> None:
    """
    Drop some of the rows that are older than a day. To be called in a transaction.

    :param added: What was added in it, at least one row.
    """
    connection.execute(
        "DELETE FROM done_once WHERE key IN ("
        "SELECT key FROM done_once INDEXED BY done_by_time WHERE at_ms < ? ORDER BY at_ms LIMIT ?)",
        (max(row[-1] for row in added) - KEPT_MS, _DROPPED_FOR_EACH * len(added)),
    )


def done_once(connection: apsw.Connection, key: str) -> CompletedRequest | None:
    """
    What was done under a key, or None.

    :raises Damaged: if that is not what was written.
    """
    rows = rows_of(connection, f"{_SELECT} WHERE key = ?", (key,))
    return _done_of(rows[0]) if rows else None


def check_done(connection: apsw.Connection) -> None:
    """
    Read all that was done.

    :raises Damaged: if something is not what was written.
    """
    for row in rows_of(connection, _SELECT):
        _done_of(row)


def _done_of(row: tuple[Any, ...]) -> CompletedRequest:
    key, operation, fingerprint, session_id, target, at_ms = row
    return CompletedRequest(
        key=key,
        operation=operation,
        fingerprint=unmarked(fingerprint, key, operation, session_id, target, at_ms),
        session_id=session_id,
        target=target,
        at_ms=at_ms,
    )
