"""
Reading the rows beside the events: queries on a connection.

Each is a single step of SQLite, for the reason that ``log/history.py`` gives,
and therefore sees a single moment: the total belongs to the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import apsw
import msgspec

from loki_twisted.log.changes import behind_prefix
from loki_twisted.log.query import decoded, rows_of
from loki_twisted.log.sums import BODIES, unmarked, unsealed
from loki_twisted.model.sessions import Session
from loki_twisted.model.task_places import TaskPlace
from loki_twisted.model.tasks import Task, TaskCounts, TaskPage, TaskQuery, TaskStatus

_sessions_from_json: Final = msgspec.json.Decoder(list[Session]).decode
_tasks_from_json: Final = msgspec.json.Decoder(list[Task]).decode
_pairs_from_json: Final = msgspec.json.Decoder(dict[str, str]).decode
_counts_from_json: Final = msgspec.json.Decoder(dict[TaskStatus, int]).decode

# The order of a page is made from indexes; only then are the rows of the page read. There is one
# row more than was asked for, if there is one.
_TASKS = """
WITH page AS MATERIALIZED ({page} ORDER BY {order} LIMIT :rows OFFSET :offset)
SELECT
    {total},
    (SELECT number FROM page ORDER BY {order} LIMIT 1 OFFSET :rows - 2),
    {bodies}
FROM (
    SELECT tasks.body FROM page CROSS JOIN tasks USING (number)
    ORDER BY page.created_at DESC, page.number
)
"""

_ALL: Final = "tasks INDEXED BY tasks_in_order"
_OF_A_STATUS: Final = "tasks INDEXED BY tasks_by_status"
_OF_A_SESSION: Final = "tasks INDEXED BY tasks_of_session"

_NEWEST_FIRST: Final = "created_at DESC, number"

_MERGED: Final = 2
_SKIPPED: Final = 1_000
"""To skip more than so many tasks of more statuses, all of them are passed instead: 60 ns each."""

_BEHIND: Final = "created_at <= :created AND (created_at < :created OR number > :number)"


def sessions(connection: apsw.Connection, limit: int, offset: int) -> list[Session]:
    """Some of all sessions, oldest first; those of the same time by id."""
    [(body,)] = rows_of(
        connection,
        f"SELECT {BODIES} FROM "  # noqa: S608
        "(SELECT body FROM sessions ORDER BY started_at, id LIMIT :limit OFFSET :offset)",
        {"limit": limit, "offset": offset},
    )
    return unsealed(_sessions_from_json, body)


def tasks(connection: apsw.Connection, query: TaskQuery) -> TaskPage:
    """A page of tasks; those of the same time in the order in which they came."""
    statement, values = _statement(query)
    [(total, last, bodies)] = rows_of(connection, statement, values)
    found = tuple(unsealed(_tasks_from_json, bodies))
    if query.limit is None or len(found) <= query.limit:
        return TaskPage(found, total)
    found = found[:-1]
    end = TaskPlace(found[-1].created_at or "", last) if found else None
    return TaskPage(found, total, end)


def _statement(query: TaskQuery) -> tuple[str, Mapping[str, int | str]]:
    statuses = sorted(TaskStatus if query.statuses is None else query.statuses)
    values: dict[str, int | str] = {
        "rows": -1 if query.limit is None else query.limit + 1,
        "offset": query.offset,
        **{status.name: status.value for status in statuses},
    }
    if query.session_id is not None:
        values["session"] = query.session_id
    if query.after is not None:
        values |= {"created": query.after.created_at, "number": query.after.number}
    behind = "" if query.after is None else f" AND {_BEHIND}"
    parts = _parts(query, statuses)
    statement = _TASKS.format(
        page=" UNION ALL ".join(f"SELECT number, created_at FROM {part}{behind}" for part in parts),  # noqa: S608
        total=_total(query, statuses, parts),
        order=_NEWEST_FIRST,
        bodies=BODIES,
    )
    return statement, values


def _parts(query: TaskQuery, statuses: Sequence[TaskStatus]) -> list[str]:
    """
    Say in which parts the tasks are found, each in order: SQLite merges them.

    So no more is looked at than what is wanted, and what is skipped.
    """
    in_session = "true" if query.session_id is None else "session_id = :session"
    if not statuses:
        return [f"{_ALL} WHERE false"]
    if query.session_id is None and len(statuses) == len(TaskStatus):
        return [f"{_ALL} WHERE true"]
    if query.session_id is None and len(statuses) > _MERGED and query.offset > _SKIPPED:
        return [f"{_ALL} WHERE status IN ({_names(statuses)})"]
    source = _OF_A_STATUS if query.session_id is None else _OF_A_SESSION
    return [f"{source} WHERE {in_session} AND status = :{status.name}" for status in statuses]


def _total(query: TaskQuery, statuses: Sequence[TaskStatus], parts: Sequence[str]) -> str:
    """Say how they are counted, without a look at each where that can be."""
    if query.limit is None and not query.offset and query.after is None:
        return "(SELECT count(*) FROM page)"
    if query.session_id is None:
        names = _names(statuses)
        return f"(SELECT ifnull(sum(total), 0) FROM task_totals WHERE status IN ({names}))"  # noqa: S608
    return " + ".join(f"(SELECT count(*) FROM {part})" for part in parts)  # noqa: S608


def _names(statuses: Sequence[TaskStatus]) -> str:
    return ", ".join(f":{status.name}" for status in statuses)


def totals_are_whole(connection: apsw.Connection) -> bool:
    """Whether ``task_totals`` says how many tasks there are."""
    kept = rows_of(connection, "SELECT status, total FROM task_totals WHERE total ORDER BY status")
    counted = rows_of(connection, "SELECT status, count(*) FROM tasks GROUP BY status ORDER BY 1")
    return kept == counted


def task(connection: apsw.Connection, session_id: str, task_id: str) -> Task | None:
    """One task, or None."""
    rows = rows_of(
        connection,
        "SELECT CAST(body AS BLOB) FROM tasks WHERE session_id = ? AND id = ?",
        (session_id, task_id),
    )
    return unsealed(_tasks_from_json, rows[0][0])[0] if rows else None


def task_counts(connection: apsw.Connection, session_id: str) -> TaskCounts:
    """Counts of one session's tasks."""
    [(body,)] = rows_of(
        connection,
        "SELECT CAST(json_group_object(status, n) AS BLOB) FROM ("
        "SELECT status, count(*) AS n FROM tasks INDEXED BY tasks_of_session"
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


def cursors(connection: apsw.Connection, prefix: str, part: str = "") -> dict[str, str]:
    """The cursors whose name begins with a prefix and has a part."""
    behind = behind_prefix(prefix)
    [(body,)] = rows_of(
        connection,
        "SELECT CAST(json_group_object(name, value) AS BLOB) FROM cursors"
        " WHERE name >= :prefix AND (:behind IS NULL OR name < :behind) AND instr(name, :part)",
        {"prefix": prefix, "behind": behind, "part": part},
    )
    stored = decoded(_pairs_from_json, body)
    return {name: unmarked(value, name) for name, value in stored.items()}
