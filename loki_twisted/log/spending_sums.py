"""
What was spent, added up: a query on a connection.

It is a single step of SQLite, for the reason that ``log/history.py`` gives, and therefore sees a
single moment: the lines of a page, their number and the sum of all belong together.

Measured over 1,000,000 lines of 100,000 sessions in a year, on one core: all of them in 0.35 to
0.55 s, those of one of 20 projects in 0.03 to 0.1 s, of a week in 0.03 to 0.05 s, and of a session
in 1 ms (``pytest tests/test_log_spending.py --full`` measures it).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import apsw
import attrs
import msgspec

from loki_twisted.log.query import decoded, rows_of
from loki_twisted.log.spending_rows import AMOUNTS, BIT_OF_ORIGIN
from loki_twisted.model.ledger import Grouping, LedgerLine, LedgerPage, LedgerQuery
from loki_twisted.model.spending import Spending

_Values = Mapping[str, int | str | None]

_DAY_MS: Final = 86_400_000

# Without a limit of time, days are added up, not lines, of which there are far more. Rows come in
# the order of their key, and what is added up by how that begins is not sorted.
_STATEMENT: Final = """
WITH rows_of_whole AS NOT MATERIALIZED (SELECT * FROM {source_of_whole}),
whole AS (
    SELECT '' AS key, count(*) AS sessions, ifnull(sum(turns), 0) AS turns, {added} FROM (
        SELECT {turns_of_whole} AS turns, {added} FROM rows_of_whole GROUP BY session_id
    )
),
lines AS NOT MATERIALIZED (SELECT *{day} FROM {source}),
groups AS {stored} ({groups})
SELECT
    {total},
    CAST((SELECT {line} FROM whole) AS BLOB),
    CAST((SELECT json_group_array({line}) FROM (
        SELECT * FROM groups ORDER BY {order} {limits}
    )) AS BLOB)
"""

_BITS: Final = " | ".join(f"max(origins & {bit})" for bit in BIT_OF_ORIGIN.values())
_ADDED: Final = ", ".join(
    [f"ifnull({_BITS}, 0) AS origins", *(f"ifnull(sum({name}), 0) AS {name}" for name in AMOUNTS)]
)
_LINE: Final = f"json_array(key, sessions, turns, origins, {', '.join(AMOUNTS)})"
_TOKENS: Final = (
    "input_tokens + output_tokens + cache_read_tokens + cache_write_tokens + other_tokens"
)
_BY_COST: Final = f"cost DESC, {_TOKENS} DESC, key"

_LIMITS: Final = "LIMIT :limit OFFSET :offset"
_NEWEST_FIRST: Final = "at_ms DESC, session_id, turn DESC"

# There are as many turns as lines, nearly: only those of the page are added up.
_TURNS: Final = f"""
    SELECT session_id || '/' || turn AS key, session_id, turn, page.at_ms AS at_ms,
        1 AS sessions, 1 AS turns, {_ADDED}
    FROM (
        SELECT session_id, turn, min(at_ms) AS at_ms FROM lines GROUP BY session_id, turn
        ORDER BY {_NEWEST_FIRST} {_LIMITS}
    ) AS page CROSS JOIN spendings AS line USING (session_id, turn)
    WHERE {{in_time}} GROUP BY session_id, turn
"""  # noqa: S608
_SESSIONS: Final = f"""
    SELECT session_id AS key, 1 AS sessions, {{turns}} AS turns, {_ADDED}
    FROM lines GROUP BY session_id
"""  # noqa: S608
_OTHERS: Final = f"""
    SELECT key, count(*) AS sessions, sum(turns) AS turns, {_ADDED} FROM (
        SELECT {{key}} AS key, {{turns}} AS turns, {_ADDED}
        FROM lines GROUP BY {{apart}}
    ) GROUP BY key
"""  # noqa: S608

_DISTINCT: Final = "count(DISTINCT turn)"
_OF_WHOLE: Final = "(SELECT {} FROM whole)"


@attrs.frozen(slots=True)
class _Plan:
    """
    How a grouping is asked for.

    :ivar groups: The query that gives the groups.
    :ivar key: What they are called by.
    :ivar apart: What is added up first, within each session.
    :ivar turns: The column of ``spending_days`` that counts turns so that they can be added up.
    :ivar order: In which groups are listed.
    :ivar total: How many there are, where the sum of all knows it.
    :ivar limits: What makes a page of them, if they are not only those of the page.
    """

    groups: str
    key: str = ""
    apart: str = "session_id"
    turns: str = "session_turns"
    order: str = _BY_COST
    total: str | None = None
    limits: str = _LIMITS


_PLANS: Final[Mapping[Grouping, _Plan]] = {
    Grouping.TURN: _Plan(_TURNS, order=_NEWEST_FIRST, total=_OF_WHOLE.format("turns"), limits=""),
    Grouping.SESSION: _Plan(_SESSIONS, total=_OF_WHOLE.format("sessions")),
    # A session has one project and one provider.
    Grouping.PROJECT: _Plan(_OTHERS, "project_dir"),
    Grouping.PROVIDER: _Plan(_OTHERS, "provider"),
    Grouping.MODEL: _Plan(_OTHERS, "model", "session_id, model", "turns"),
    Grouping.DAY: _Plan(_OTHERS, "day", "session_id, day", "day_turns", "key DESC"),
}


class _Added(msgspec.Struct, frozen=True, array_like=True):
    """A line as the query gives it. Its key is a number of a day, or a text."""

    key: int | str
    sessions: int
    turns: int
    origins: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    other_tokens: int
    api_calls: int
    cost: float


_line_from_json: Final = msgspec.json.Decoder(_Added).decode
_lines_from_json: Final = msgspec.json.Decoder(list[_Added]).decode


def ledger(connection: apsw.Connection, query: LedgerQuery) -> LedgerPage:
    """A page of what was spent, added up."""
    [(total, whole, lines)] = rows_of(connection, *_statement(query))
    return LedgerPage(
        tuple(map(_line, decoded(_lines_from_json, lines))),
        total,
        _line(decoded(_line_from_json, whole)),
    )


def _statement(query: LedgerQuery) -> tuple[str, _Values]:
    plan = _PLANS[query.by]
    is_of_days = query.since_ms is None and query.until_ms is None
    lines, whole = _source(query, "spendings"), _source(query, "spending_days")
    turns = f"sum({plan.turns})" if is_of_days else _DISTINCT
    in_time = " AND ".join(f"line.{each}" for each in _in_time(query)) or "true"
    groups = plan.groups.format(key=plan.key, apart=plan.apart, turns=turns, in_time=in_time)
    statement = _STATEMENT.format(
        source=whole if is_of_days and query.by is not Grouping.TURN else lines,
        day="" if is_of_days else f", at_ms / {_DAY_MS} AS day",
        source_of_whole=whole if is_of_days else lines,
        turns_of_whole="sum(session_turns)" if is_of_days else _DISTINCT,
        added=_ADDED,
        # What is counted by itself is made once.
        stored="MATERIALIZED" if plan.total is None else "NOT MATERIALIZED",
        groups=groups,
        total=plan.total or "(SELECT count(*) FROM groups)",
        line=_LINE,
        order=plan.order,
        limits=plan.limits,
    )
    return statement, {
        "session": query.session_id,
        "project": query.project_dir,
        "provider": query.provider,
        "since": query.since_ms,
        "until": query.until_ms,
        "limit": query.limit,
        "offset": query.offset,
    }


def _source(query: LedgerQuery, table: str) -> str:
    """Say where rows are found, and which are wanted: no others are looked at, if possible."""
    conditions = [
        condition
        for condition, value in (
            ("spenders.session_id = :session", query.session_id),
            ("project_dir = :project", query.project_dir),
            ("provider = :provider", query.provider),
        )
        if value is not None
    ]
    conditions += _in_time(query)
    joined = f"spenders CROSS JOIN {table} USING (session_id)"
    if query.session_id is not None:
        pass
    elif query.since_ms is not None:
        joined = f"{table} INDEXED BY spendings_by_time CROSS JOIN spenders USING (session_id)"
    elif query.project_dir is not None:
        joined = f"spenders INDEXED BY spenders_by_project {joined.removeprefix('spenders ')}"
    return f"{joined} WHERE {' AND '.join(conditions) or 'true'}"


def _in_time(query: LedgerQuery) -> list[str]:
    bounds = (("at_ms >= :since", query.since_ms), ("at_ms < :until", query.until_ms))
    return [condition for condition, value in bounds if value is not None]


def _line(added: _Added) -> LedgerLine:
    key = added.key
    return LedgerLine(
        key=key if isinstance(key, str) else _day(key),
        spending=Spending(**{name: getattr(added, name) for name in AMOUNTS}),
        origins=[origin for origin, bit in BIT_OF_ORIGIN.items() if added.origins & bit],
        sessions=added.sessions,
        turns=added.turns,
    )


def _day(number: int) -> str:
    return datetime.fromtimestamp(number * _DAY_MS / 1000, UTC).date().isoformat()
