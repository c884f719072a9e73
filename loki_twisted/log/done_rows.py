"""
What was done under a key, as rows.

A row stays for a day, whatever becomes of the session: a request that comes again after the
session was deleted must not be carried out again. Whoever adds rows drops twice as many of the
old ones, if there are; so there are no more than came in a day for long, and nobody has to look
for them at another time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import apsw

from loki_twisted.log.query import rows_of
from loki_twisted.model.idempotency import KEPT_MS, CompletedRequest

DoneRow = tuple[str, str, str, str, str, int]
"""A row of ``done_once``, in the order of its columns."""

_DROPPED_FOR_EACH: Final = 2

PUT_DONE: Final = (
    "INSERT INTO done_once VALUES ",
    "(?,?,?,?,?,?)",
    """ ON CONFLICT(key) DO UPDATE SET operation = excluded.operation,
    fingerprint = excluded.fingerprint, session_id = excluded.session_id,
    target = excluded.target, at_ms = excluded.at_ms""",
)


def done_row(done: CompletedRequest) -> DoneRow:
    """Make a row of what was done."""
    return (
        done.key,
        done.operation,
        done.fingerprint,
        done.session_id,
        done.target,
        done.at_ms,
    )


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
    """What was done under a key, or None."""
    rows = rows_of(
        connection,
        "SELECT key, operation, fingerprint, session_id, target, at_ms FROM done_once"
        " WHERE key = ?",
        (key,),
    )
    if not rows:
        return None
    found, operation, fingerprint, session_id, target, at_ms = rows[0]
    return CompletedRequest(
        key=found,
        operation=operation,
        fingerprint=fingerprint,
        session_id=session_id,
        target=target,
        at_ms=at_ms,
    )
