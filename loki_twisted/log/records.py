"""
Reading the rows beside the events: queries on a connection.

Each is a single step of SQLite, for the reason that ``log/history.py`` gives,
and therefore sees a single moment: the total belongs to the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import apsw
import msgspec

from loki_twisted.log.changes import behind_prefix
from loki_twisted.log.query import decoded, rows_of
from loki_twisted.model.sessions import Session
from loki_twisted.model.tasks import Task, TaskCounts, TaskPage, TaskQuery, TaskStatus

_sessions_from_json: Final = msgspec.json.Decoder(list[Session]).decode
_tasks_from_json: Final = msgspec.json.Decoder(list[Task]).decode
_pairs_from_json: Final = msgspec.json.Decoder(dict[str, str]).decode
_counts_from_json: Final = msgspec.json.Decoder(dict[TaskStatus, int]).decode

# The order of a page is made from an index; only then are the rows of the page read.
_TASKS = """
WITH page AS MATERIALIZED (
    SELECT number, {columns} FROM {source} {condition} ORDER BY {order} LIMIT :limit OFFSET :offset
)
SELECT (SELECT count(*) FROM {source} {condition}), (
    SELECT CAST('[' || ifnull(group_concat(body, ','), '') || ']' AS BLOB) FROM (
        SELECT tasks.body FROM page CROSS JOIN tasks USING (number) ORDER BY {page_order}
    )
)
"""

_ALL: Final = "tasks INDEXED BY tasks_by_time"
_OF_ONE_SESSION: Final = "tasks INDEXED BY tasks_by_session"
_OF_RUNNING_SESSIONS: Final = (
    "(SELECT id AS running_id FROM sessions INDEXED BY sessions_not_ended WHERE NOT final)"
    " CROSS JOIN tasks INDEXED BY tasks_by_session ON session_id = running_id"
)

_NEWEST_FIRST: Final = "{0}created_at DESC, {0}number"
_URGENT_FIRST: Final = "{0}rank DESC, " + _NEWEST_FIRST


def sessions(connection: apsw.Connection) -> list[Session]:
    """All sessions, oldest first; those of the same time by id."""
    [(body,)] = rows_of(
        connection,
        "SELECT CAST('[' || ifnull(group_concat(body, ','), '') || ']' AS BLOB)"
        " FROM (SELECT body FROM sessions ORDER BY started_at, id)",
    )
    return decoded(_sessions_from_json, body)


def tasks(connection: apsw.Connection, query: TaskQuery) -> TaskPage:
    """A page of tasks; those of the same time in the order in which they came."""
    statement, values = _statement(query)
    [(total, bodies)] = rows_of(connection, statement, values)
    return TaskPage(tuple(decoded(_tasks_from_json, bodies)), total)


def _statement(query: TaskQuery) -> tuple[str, Mapping[str, int | str]]:
    source = _OF_RUNNING_SESSIONS if query.running_sessions else _ALL
    limit = -1 if query.limit is None else query.limit
    values: dict[str, int | str] = {"limit": limit, "offset": query.offset}
    conditions = []
    if query.session_id is not None:
        conditions.append("session_id = :session")
        values["session"] = query.session_id
        if not query.running_sessions:
            source = _OF_ONE_SESSION
    if query.statuses is not None:
        names = {f"status{n}": status.value for n, status in enumerate(sorted(query.statuses))}
        conditions.append(f"status IN ({', '.join(':' + name for name in names)})")
        values |= names
    order = _URGENT_FIRST if query.by_priority else _NEWEST_FIRST
    statement = _TASKS.format(
        source=source,
        columns="created_at, rank" if query.by_priority else "created_at",
        condition=f"WHERE {' AND '.join(conditions)}" if conditions else "",
        order=order.format(""),
        page_order=order.format("page."),
    )
    return statement, values


def task(connection: apsw.Connection, session_id: str, task_id: str) -> Task | None:
    """One task, or None."""
    rows = rows_of(
        connection,
        "SELECT CAST('[' || body || ']' AS BLOB) FROM tasks WHERE session_id = ? AND id = ?",
        (session_id, task_id),
    )
    return decoded(_tasks_from_json, rows[0][0])[0] if rows else None


def task_counts(connection: apsw.Connection, session_id: str) -> TaskCounts:
    """Counts of one session's tasks."""
    [(body,)] = rows_of(
        connection,
        "SELECT CAST(json_group_object(status, n) AS BLOB) FROM ("
        "SELECT status, count(*) AS n FROM tasks INDEXED BY tasks_by_session"
        " WHERE session_id = ? GROUP BY status)",
        (session_id,),
    )
    counts = decoded(_counts_from_json, body)
    return TaskCounts(
        total=sum(counts.values()),
        pending=counts.get(TaskStatus.PENDING, 0) + counts.get(TaskStatus.QUEUED, 0),
        running=counts.get(TaskStatus.RUNNING, 0),
        completed=counts.get(TaskStatus.COMPLETED, 0),
        failed=counts.get(TaskStatus.FAILED, 0),
    )


def cursors(connection: apsw.Connection, prefix: str) -> dict[str, str]:
    """The cursors whose name begins with a prefix."""
    behind = behind_prefix(prefix)
    [(body,)] = rows_of(
        connection,
        "SELECT CAST(json_group_object(name, value) AS BLOB) FROM cursors"
        " WHERE name >= :prefix AND (:behind IS NULL OR name < :behind)",
        {"prefix": prefix, "behind": behind},
    )
    return decoded(_pairs_from_json, body)
