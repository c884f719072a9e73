"""
Reading the events: queries on a connection, each a single step of SQLite.

With every step (a row, usually) a thread gives up Python's global lock and
has to get it back. Beside a reactor that is computing that takes up to
5 ms each time: a page of 720 rows took 400 ms, row by row, where it takes 8 ms in one step. So
SQLite itself puts the columns of many rows together, and Python cuts them apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import apsw
import attrs
import msgspec

from loki_twisted.log.holdings import held_field
from loki_twisted.log.interface import Ends, Page
from loki_twisted.log.plans import FETCH, KINDS, plan_of
from loki_twisted.log.query import decoded, rows_of
from loki_twisted.log.rows import Head, blocks_from_columns, heads_from_json
from loki_twisted.model.blocks import Block
from loki_twisted.model.filters import EventFilter
from loki_twisted.model.identifiers import event_id

MAX_ROWS: Final = 1024
"""At most so many rows are fetched in one step."""

MAX_EVENTS_PASSED: Final = 200_000
"""
A read by types looks at the blocks of at most so many events, wanted or not, or at their spans.
So does one stretch of a count.

Passing 1,000,000 blocks of one event each of one session takes 60 ms, their spans 2 ms, and
those of the session a tenth of that.
"""

_FIRST_ROWS: Final = 8

_heads_from_json: Final = msgspec.json.Decoder(list[tuple[int, int]]).decode


@attrs.frozen(slots=True)
class _Stretch:
    """
    Some neighbours among the wanted blocks.

    :ivar heads: One for each row.
    :ivar is_cut: Whether there may be more of them between the limits.
    :ivar complete_from: From which number on no event was dropped.
    """

    heads: Sequence[Head]
    blocks: Sequence[Block]
    is_cut: bool
    complete_from: int


def read(
    connection: apsw.Connection, after: int, newest: int, wanted: EventFilter, max_bytes: int
) -> Page:
    """
    Read forwards; see :meth:`loki_twisted.log.interface.IEventLog.read`.

    :param newest: Read no further than this number.
    :raises Damaged: if what is there is not what was written.
    """
    plan, values = plan_of(wanted)
    passed = newest
    if plan.passes is not None:
        # Behind a hole, however wide it is.
        start = _next_block(connection, after, wanted)
        passed = min(newest, start - 1 + plan.passes * MAX_EVENTS_PASSED)
    limits = {"low": after + 1, "high": passed, "rows": MAX_ROWS, "bytes": max_bytes}
    stretch = _fetch(connection, plan.statement(FETCH), {**limits, **values}, max_bytes)
    blocks = stretch.blocks
    if blocks and not any(True for _ in blocks[0].wanted(wanted, after)):
        blocks = blocks[1:]
    reached = passed
    if stretch.heads:
        last = stretch.heads[-1]
        behind = last.first_seq + last.count - 1
        reached = behind if stretch.is_cut else max(behind, passed)
    return Page(blocks, reached, stretch.complete_from)


@attrs.frozen(slots=True)
class Count:
    """
    How far counting backwards has come; see :func:`count_on`.

    :ivar before: Only events before this number count.
    :ivar missing: How many are still to be found; 0 or less if it is over.
    :ivar behind: The number behind which are all that were found.
    :ivar high: Go on with the blocks that begin with this number or before; 0 for no more.
    """

    before: int
    missing: int
    behind: int = attrs.field()
    high: int = attrs.field()

    @behind.default
    @high.default
    def _nothing_found(self) -> int:
        return self.before - 1

    @property
    def is_over(self) -> bool:
        """Whether ``behind`` is the answer."""
        return self.missing <= 0 or self.high <= 0


def count_on(connection: apsw.Connection, count: Count, wanted: EventFilter) -> Count:
    """
    Count backwards for a stretch; see :meth:`loki_twisted.log.interface.IEventLog.behind_last`.

    It ends where all are found, and else after ``MAX_ROWS`` blocks, or at ``MAX_EVENTS_PASSED``.

    :raises Damaged: if what is there is not what was written.
    """
    plan, values = plan_of(wanted)
    statement = plan.statement(KINDS)
    low = 0
    if plan.passes is not None:
        # Before a hole, however wide it is.
        start = _last_block(connection, count.high, wanted)
        low = max(0, start + 1 - plan.passes * MAX_EVENTS_PASSED)
    looked_at, rows = 0, _FIRST_ROWS
    while not count.is_over and looked_at < MAX_ROWS:
        rows = min(MAX_ROWS - looked_at, count.missing, rows)
        limits = {"low": low, "high": count.high, "rows": rows}
        [(heads_json, kinds)] = rows_of(connection, statement, {**limits, **values})
        heads = decoded(_heads_from_json, heads_json)
        count = _counted(count, heads, kinds, wanted)
        if len(heads) < rows:
            return attrs.evolve(count, high=low - 1)
        looked_at += rows
        rows *= _FIRST_ROWS
    return count


def _counted(
    count: Count, heads: Sequence[tuple[int, int]], kinds: bytes, wanted: EventFilter
) -> Count:
    """
    Count the wanted events of some blocks.

    :param heads: The first number and the length of each, the newest first.
    :param kinds: Of their events, block by block.
    """
    unwanted = bytes(kind for kind in range(256) if not wanted.mask >> kind & 1)
    behind, high, missing = count.behind, count.high, count.missing
    start = 0
    for first_seq, length in heads:
        own = kinds[start : start + min(length, count.before - first_seq)]
        start += length
        found = len(own.translate(None, unwanted))
        if found:
            behind = first_seq - 1 + _place_from_end(own, unwanted, min(found, missing))
            missing -= found
        high = first_seq - 1
        if missing <= 0:
            break
    return attrs.evolve(count, missing=missing, behind=behind, high=high)


def _place_from_end(kinds: bytes, unwanted: bytes, count: int) -> int:
    """The index of the wanted one behind which there are ``count - 1`` others."""
    for index in range(len(kinds) - 1, -1, -1):
        count -= kinds[index] not in unwanted
        if not count:
            return index
    raise ValueError(count)


def time_of(connection: apsw.Connection, seq: int) -> int | None:
    """Look up one event's time; see :meth:`loki_twisted.log.interface.IEventLog.time_of`."""
    rows = rows_of(
        connection,
        f"""
        SELECT at_ms FROM blocks WHERE last_seq >= :seq
            AND first_seq = (SELECT max(first_seq) FROM blocks WHERE first_seq <= :seq)
        UNION ALL
        SELECT {held_field("dropped_ms")} WHERE {held_field("complete_from")} = :seq + 1
        """,  # noqa: S608
        {"seq": seq},
    )
    return rows[0][0] if rows else None


def ends(connection: apsw.Connection, newest: int) -> Ends:
    """
    Tell both ends; see :meth:`loki_twisted.log.interface.IEventLog.ends`.

    :param newest: The newest event's number. If that is gone, later ones are there.
    """
    [(oldest, oldest_ms, newest_ms, last, last_ms)] = rows_of(
        connection,
        """SELECT
            (SELECT first_seq FROM blocks ORDER BY first_seq LIMIT 1),
            (SELECT at_ms FROM blocks ORDER BY first_seq LIMIT 1),
            (SELECT at_ms FROM blocks WHERE last_seq >= :newest
                AND first_seq = (SELECT max(first_seq) FROM blocks WHERE first_seq <= :newest)),
            (SELECT last_seq FROM blocks ORDER BY first_seq DESC LIMIT 1),
            (SELECT at_ms FROM blocks ORDER BY first_seq DESC LIMIT 1)
        """,
        {"newest": newest},
    )
    if last is None:
        return Ends(None, None)
    if newest_ms is None:
        newest, newest_ms = last, last_ms
    return Ends(event_id(oldest, oldest_ms), event_id(newest, newest_ms))


def _next_block(connection: apsw.Connection, after: int, wanted: EventFilter) -> int:
    """The first number of the next block (of the session, if one is wanted) behind a number."""
    [(seq,)] = rows_of(
        connection,
        "SELECT min(first_seq) FROM blocks WHERE first_seq > :after"
        if wanted.session_id is None
        else "SELECT min(first_seq) FROM blocks INDEXED BY blocks_by_session"
        " WHERE session_id = :session AND first_seq > :after",
        {"after": after, "session": wanted.session_id},
    )
    return after + 1 if seq is None else int(seq)


def _last_block(connection: apsw.Connection, high: int, wanted: EventFilter) -> int:
    """The number of the last block (of the session, if one is wanted) up to a number, or 0."""
    [(seq,)] = rows_of(
        connection,
        "SELECT max(first_seq) FROM blocks WHERE first_seq <= :high"
        if wanted.session_id is None
        else "SELECT max(first_seq) FROM blocks INDEXED BY blocks_by_session"
        " WHERE session_id = :session AND first_seq <= :high",
        {"high": high, "session": wanted.session_id},
    )
    return int(seq or 0)


def _fetch(
    connection: apsw.Connection,
    statement: str,
    values: Mapping[str, int | str],
    max_bytes: int,
) -> _Stretch:
    """Fetch the first wanted blocks of a range of numbers."""
    [(heads_json, kinds, ends, body, complete_from)] = rows_of(connection, statement, values)
    heads = decoded(heads_from_json, heads_json)
    if not heads:
        return _Stretch((), (), False, complete_from or 1)
    has_all_rows = len(heads) < min(MAX_ROWS, 1 + max_bytes // max(1, heads[0].size))
    has_room = sum(head.size for head in heads) <= max_bytes
    blocks = list(blocks_from_columns(heads, kinds, ends, body))
    return _Stretch(heads, blocks, not (has_all_rows and has_room), complete_from or 1)
