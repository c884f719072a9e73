"""
Reading the events: queries on a connection, each a single step of SQLite.

With every step (a row, usually) a thread gives up Python's global lock and
has to get it back. Beside a reactor that is computing that takes up to
5 ms each time: a page of 720 rows took 400 ms, row by row, where it takes 8 ms in one step. So
SQLite itself puts the columns of many rows together, and Python cuts them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import apsw
import attrs

from loki_twisted.log.interface import Page
from loki_twisted.log.query import decoded, rows_of
from loki_twisted.log.rows import Head, blocks_from_columns, heads_from_json, until
from loki_twisted.model.blocks import Block
from loki_twisted.model.filters import EVERY_KIND, EventFilter

MAX_ROWS: Final = 512
"""At most so many rows are fetched in one step."""

MAX_EVENTS_PASSED: Final = 200_000
"""
A read by types looks at the blocks of at most so many events, wanted or not.

Passing 1,000,000 blocks of one event each takes 60 ms.
"""

_STEP_BACK_BYTES: Final = 262_144
_TYPICAL_BYTES: Final = 512

_FETCH = """
WITH
wanted AS NOT MATERIALIZED (
    SELECT first_seq, length(body) AS size FROM {blocks} WHERE {first} AND {last} {condition}
),
-- A window over more rows than the page can have would cost more than the page.
guess(rows) AS (
    SELECT min(:rows, 1 + :bytes / max(1, size)) FROM wanted ORDER BY first_seq {order} LIMIT 1
),
nearest AS (
    SELECT first_seq, size FROM wanted
    ORDER BY first_seq {order} LIMIT ifnull((SELECT rows FROM guess), 0)
),
measured AS (
    SELECT first_seq, sum(size) OVER (
        ORDER BY first_seq {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS size_before FROM nearest
),
edge(seq) AS (
    SELECT {outermost}(first_seq) FROM measured WHERE ifnull(size_before, 0) <= :bytes
)
SELECT
    CAST(json_group_array(
        json_array(first_seq, session_id, length(kinds), length(body), sum)
    ) AS BLOB),
    CAST(group_concat(kinds, '') AS BLOB),
    CAST(group_concat(ends, '') AS BLOB),
    CAST(group_concat(body, '') AS BLOB)
FROM (
    SELECT first_seq, session_id, kinds, ends, body, sum FROM {blocks}
    WHERE {page_first} AND {page_last} {condition} ORDER BY first_seq
)
"""

_FIRST: Final = (
    "first_seq >= ifnull((SELECT max(first_seq) FROM blocks WHERE first_seq <= :low), :low)"
)
_LAST: Final = "first_seq <= :high"


@attrs.frozen(slots=True)
class _End:
    """
    From which end of a range blocks are fetched, as parts of the statement.

    The page has one limit of the range and one of its own. With both at both ends
    SQLite may look at all that is between the page and the limit of the range.
    """

    order: str
    outermost: str
    page_first: str
    page_last: str


_LOW: Final = _End("ASC", "max", _FIRST, "first_seq <= (SELECT seq FROM edge)")
_HIGH: Final = _End("DESC", "min", "first_seq >= (SELECT seq FROM edge)", _LAST)


@attrs.frozen(slots=True)
class _Stretch:
    """
    Some neighbours among the wanted blocks.

    :ivar heads: One for each row.
    :ivar is_cut: Whether there may be more of them between the limits.
    """

    heads: list[Head]
    blocks: list[Block]
    is_cut: bool


def read(
    connection: apsw.Connection, after: int, newest: int, wanted: EventFilter, max_bytes: int
) -> Page:
    """
    Read forwards; see :meth:`loki_twisted.log.interface.IEventLog.read`.

    :param newest: Read no further than this number.
    :raises Damaged: if what is there is not what was written.
    """
    passed = newest if wanted.mask == EVERY_KIND else min(newest, after + MAX_EVENTS_PASSED)
    stretch = _fetch(connection, after + 1, passed, wanted, max_bytes, _LOW)
    blocks = stretch.blocks
    if blocks and not any(True for _ in blocks[0].wanted(wanted, after)):
        blocks = blocks[1:]
    if not stretch.heads:
        return Page((), passed)
    last = stretch.heads[-1]
    reached = last.first_seq + last.count - 1
    return Page(blocks, reached if stretch.is_cut else max(reached, passed))


def read_back(connection: apsw.Connection, before: int, wanted: EventFilter, count: int) -> Page:
    """
    Read backwards; see :meth:`loki_twisted.log.interface.IEventLog.read_back`.

    :raises Damaged: if what is there is not what was written.
    """
    found: list[Block] = []
    high, missing = before - 1, count
    while missing > 0:
        step = min(_STEP_BACK_BYTES, missing * _TYPICAL_BYTES)
        stretch = _fetch(connection, 0, high, wanted, step, _HIGH)
        for block in reversed(stretch.blocks):
            part = until(block, before)
            events = sum(1 for _ in part.wanted(wanted))
            if events and missing > 0:
                found.append(part)
                missing -= events
        if not stretch.is_cut:
            break
        high = stretch.heads[0].first_seq - 1
    return Page(found[::-1], before - 1)


def time_of(connection: apsw.Connection, seq: int) -> int | None:
    """Look up one event's time; see :meth:`loki_twisted.log.interface.IEventLog.time_of`."""
    rows = rows_of(
        connection,
        "SELECT at_ms FROM blocks WHERE last_seq >= :seq"
        " AND first_seq = (SELECT max(first_seq) FROM blocks WHERE first_seq <= :seq)",
        {"seq": seq},
    )
    return rows[0][0] if rows else None


def _fetch(
    connection: apsw.Connection,
    low: int,
    high: int,
    wanted: EventFilter,
    max_bytes: int,
    end: _End,
) -> _Stretch:
    """
    Fetch wanted blocks from one end of a range of numbers, ascending.

    :param low: The block with this number is the first of the range.
    :param high: The last is the one that begins with this number or before.
    """
    limits = {"low": low, "high": high, "rows": MAX_ROWS, "bytes": max_bytes}
    statement, values = _statement(wanted, end)
    [(heads_json, kinds, ends, body)] = rows_of(connection, statement, {**limits, **values})
    heads = decoded(heads_from_json, heads_json)
    if not heads:
        return _Stretch([], [], is_cut=False)
    nearest = heads[0] if end is _LOW else heads[-1]
    has_all_rows = len(heads) < min(MAX_ROWS, 1 + max_bytes // max(1, nearest.size))
    has_room = sum(head.size for head in heads) <= max_bytes
    blocks = list(blocks_from_columns(heads, kinds, ends, body))
    return _Stretch(heads, blocks, is_cut=not (has_all_rows and has_room))


def _statement(wanted: EventFilter, end: _End) -> tuple[str, Mapping[str, int | str]]:
    condition = ""
    values: dict[str, int | str] = {}
    blocks = "blocks NOT INDEXED"
    if wanted.session_id is not None:
        blocks = "blocks INDEXED BY blocks_by_session"
        condition += "AND session_id = :session "
        values["session"] = wanted.session_id
    if wanted.mask != EVERY_KIND:
        condition += "AND mask & :mask"
        values["mask"] = wanted.mask
    statement = _FETCH.format(
        blocks=blocks,
        first=_FIRST,
        last=_LAST,
        condition=condition,
        **attrs.asdict(end),
    )
    return statement, values
