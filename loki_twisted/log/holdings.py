"""
What the log holds, and statements that drop blocks: queries on a connection.

Each is a single step of SQLite, for the reason that ``log/history.py`` gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import apsw
import attrs
import msgspec

from loki_twisted.log.query import decoded, rows_of
from loki_twisted.log.retention import Held, Stored
from loki_twisted.log.schema import SESSION_SPAN, SPAN

_HELD: Final = "held"
_BLOCK_OVERHEAD: Final = 100
_FIRST_LOOK: Final = 16
_GROWTH: Final = 8

_stored_from_json: Final = msgspec.json.Decoder(list[Stored], strict=False).decode
_held_from_json: Final = msgspec.json.Decoder(tuple[int, int, int]).decode
_lengths_from_json: Final = msgspec.json.Decoder(list[tuple[int, int]]).decode


def held_field(name: str) -> str:
    """
    Give a field of what is written of what the log holds, as an expression; NULL if nothing is.

    :param name: Of an attribute of :class:`~loki_twisted.log.retention.Held`.
    """
    place = [field.name for field in attrs.fields(Held)].index(name)
    return f"(SELECT value ->> {place} FROM meta WHERE name = '{_HELD}')"  # noqa: S608


def held(connection: apsw.Connection) -> Held | None:
    """
    What is written of what the log holds; None if nothing was ever dropped.

    :raises Damaged: if that is not what was written.
    """
    rows = rows_of(connection, "SELECT CAST(value AS BLOB) FROM meta WHERE name = ?", (_HELD,))
    return Held(*decoded(_held_from_json, rows[0][0])) if rows else None


def oldest(connection: apsw.Connection) -> int | None:
    """The number of the oldest event, or None if there is none."""
    [(seq,)] = rows_of(connection, "SELECT min(first_seq) FROM blocks")
    return None if seq is None else int(seq)


def newest_block(connection: apsw.Connection) -> int:
    """The first number of the newest block, or 0 if there is none."""
    [(seq,)] = rows_of(connection, "SELECT max(first_seq) FROM blocks")
    return int(seq or 0)


def stored(connection: apsw.Connection, start: int, before: int, count: int) -> Iterator[Stored]:
    """
    Look at blocks, without their bytes: at some first, and at more when those are used up.

    :param start: The first that begins with this number or behind.
    :param before: The last begins before this number.
    :param count: How many at most.
    """
    rows = _FIRST_LOOK
    while count > 0:
        rows = min(rows, count)
        found = _stored(connection, start, before, rows)
        yield from found
        if len(found) < rows:
            return
        start = found[-1].last_seq + 1
        count -= rows
        rows *= _GROWTH


def _stored(connection: apsw.Connection, start: int, before: int, rows: int) -> list[Stored]:
    [(heads,)] = rows_of(
        connection,
        """
        SELECT CAST(json_group_array(json_array(
            first_seq, last_seq, at_ms, session_id, size,
            EXISTS (SELECT 1 FROM sessions WHERE id = session_id AND NOT final)
        )) AS BLOB) FROM (
            SELECT first_seq, last_seq, at_ms, session_id,
                length(body) + length(ends) + length(kinds) + :overhead AS size
            FROM blocks NOT INDEXED
            WHERE first_seq >= :start AND first_seq < :before ORDER BY first_seq LIMIT :rows
        )""",
        {"start": start, "before": before, "rows": rows, "overhead": _BLOCK_OVERHEAD},
    )
    return decoded(_stored_from_json, heads)


def spans_are_whole(connection: apsw.Connection) -> bool:
    """Whether each block's kinds are among those of its spans. All of the log is looked at."""
    [(missing,)] = rows_of(
        connection,
        f"""SELECT EXISTS (
            SELECT 1 FROM blocks LEFT JOIN spans ON number = first_seq / {SPAN}
            WHERE blocks.mask & ~ifnull(spans.mask, 0)
        ) OR EXISTS (
            SELECT 1 FROM blocks LEFT JOIN session_spans
                ON session = session_id AND number = first_seq / {SESSION_SPAN}
            WHERE blocks.mask & ~ifnull(session_spans.mask, 0)
        )""",  # noqa: S608
    )
    return not missing


def floor_of(connection: apsw.Connection, session_id: str, events: int) -> int:
    """
    Find where the last events of a session begin.

    :param events: How many, at least 1.
    :returns: The first number of the block in which the first of them stands; 0 if there are
        not so many.
    """
    rows = min(_FIRST_LOOK, events)
    while True:
        found = _last_blocks(connection, session_id, rows)
        missing = events
        for first_seq, length in found:
            missing -= length
            if missing <= 0:
                return first_seq
        if len(found) < rows:
            return 0
        rows = min(_GROWTH * rows, events)


def _last_blocks(connection: apsw.Connection, session_id: str, rows: int) -> list[tuple[int, int]]:
    """The first number and the length of the last blocks of a session, the newest first."""
    [(lengths,)] = rows_of(
        connection,
        """
        SELECT CAST(json_group_array(json_array(first_seq, last_seq - first_seq + 1)) AS BLOB)
        FROM (
            SELECT first_seq, last_seq FROM blocks INDEXED BY blocks_by_session
            WHERE session_id = :session ORDER BY first_seq DESC LIMIT :rows
        )""",
        {"session": session_id, "rows": rows},
    )
    return decoded(_lengths_from_json, lengths)


def drop(connection: apsw.Connection, blocks: Sequence[Stored], now: Held) -> None:
    """
    Drop blocks. To be called in a transaction.

    :param now: What is held without them.
    """
    numbers = (msgspec.json.encode([block.first_seq for block in blocks]).decode(),)
    connection.execute(
        "DELETE FROM blocks WHERE first_seq IN (SELECT value FROM json_each(?))", numbers
    )
    connection.execute(
        f"""DELETE FROM spans WHERE number IN (SELECT value / {SPAN} FROM json_each(?))
        AND NOT EXISTS (SELECT 1 FROM blocks WHERE
            first_seq >= number * {SPAN} AND first_seq < (number + 1) * {SPAN})""",  # noqa: S608
        numbers,
    )
    spans = {(block.session_id, block.first_seq // SESSION_SPAN) for block in blocks}
    connection.execute(
        f"""DELETE FROM session_spans WHERE (session, number) IN (
            SELECT value ->> 0, value ->> 1 FROM json_each(?)
        ) AND NOT EXISTS (SELECT 1 FROM blocks INDEXED BY blocks_by_session WHERE
            session_id = session
            AND first_seq >= number * {SESSION_SPAN}
            AND first_seq < (number + 1) * {SESSION_SPAN})""",  # noqa: S608
        (msgspec.json.encode(sorted(spans)).decode(),),
    )
    value = msgspec.json.encode(attrs.astuple(now)).decode()
    connection.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value",
        (_HELD, value),
    )
