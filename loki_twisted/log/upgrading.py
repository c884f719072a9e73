"""
Bringing the file of an earlier version up to this one.

A file is brought from one version to the next in one transaction, so that a crash leaves
it at the one or the other.

A step knows the two versions that it lies between and nothing else: each text and number in it is
what it was then, and stays. So nothing of ``log/schema.py`` or of the model is used in one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import apsw
from twisted.logger import Logger

from loki_twisted.log.faults import Damaged
from loki_twisted.log.past_tables import ABOUT_SPENDING, SPENDING_OF_VERSION_7, VERSION_5

_log: Final = Logger()


def upgrade(connection: apsw.Connection, say: Callable[[str], None]) -> None:
    """
    Bring a file up to :data:`~loki_twisted.log.schema.VERSION`, if it is of an earlier version.

    A version that never was is left for others to find.

    :param say: Told that it will take long, in words.
    :raises Damaged: if its tables are not those of its version.
    :raises apsw.Error: if it fails otherwise. The file is at one version or the other.
    """
    version = found = connection.pragma("user_version")
    if found in _STEPS:
        say(f"bringing the log from version {found} to {max(_STEPS) + 1}; all of it is read")
    while isinstance(version, int) and version in _STEPS:
        connection.execute("BEGIN IMMEDIATE")
        try:
            _STEPS[version](connection)
            connection.pragma("user_version", version + 1)
            connection.execute("COMMIT")
        except (apsw.SQLError, UnicodeDecodeError) as error:
            raise Damaged(str(error)) from error
        version += 1
    if version != found:
        _log.info("the log is of version {version} now", version=version)


def _add_spans(connection: apsw.Connection) -> None:
    """Version 2 has ``spans``. Takes a second for 1,000,000 blocks of one event."""
    connection.execute(
        """CREATE TABLE spans(
    number INTEGER PRIMARY KEY,
    mask INTEGER NOT NULL
)"""
    )
    connection.execute(
        f"INSERT INTO spans SELECT first_seq / 64, {_all_bits(connection)} FROM blocks GROUP BY 1"  # noqa: S608
    )


def _add_session_spans(connection: apsw.Connection) -> None:
    """Version 3 has ``session_spans``. Takes two seconds for 1,000,000 blocks of one event."""
    connection.execute(
        """CREATE TABLE session_spans(
    session TEXT NOT NULL,
    number INTEGER NOT NULL,
    mask INTEGER NOT NULL,
    PRIMARY KEY(session, number)
) WITHOUT ROWID"""
    )
    connection.execute(
        f"""INSERT INTO session_spans
        SELECT session_id, first_seq / 1024, {_all_bits(connection)} FROM blocks GROUP BY 1, 2"""  # noqa: S608
    )


def _put_tasks_in_order(connection: apsw.Connection) -> None:
    """Version 4 finds pages of tasks by their place, and has ``task_totals``."""
    for statement in (
        "DROP INDEX tasks_by_time",
        "DROP INDEX tasks_by_session",
        "DROP INDEX sessions_not_ended",
        "ALTER TABLE tasks DROP COLUMN rank",
        "UPDATE tasks SET created_at = '' WHERE created_at IS NULL",
        "CREATE INDEX tasks_in_order ON tasks(created_at DESC, number, status)",
        "CREATE INDEX tasks_by_status ON tasks(status, created_at DESC, number)",
        "CREATE INDEX tasks_of_session ON tasks(session_id, status, created_at DESC, number)",
        """CREATE TABLE task_totals(
    status TEXT PRIMARY KEY,
    total INTEGER NOT NULL
) WITHOUT ROWID""",
        """CREATE TRIGGER task_came AFTER INSERT ON tasks BEGIN
    INSERT INTO task_totals VALUES (new.status, 1) ON CONFLICT DO UPDATE SET total = total + 1;
END""",
        """CREATE TRIGGER task_went AFTER DELETE ON tasks BEGIN
    UPDATE task_totals SET total = total - 1 WHERE status = old.status;
END""",
        """CREATE TRIGGER task_changed AFTER UPDATE OF status ON tasks
WHEN old.status <> new.status BEGIN
    UPDATE task_totals SET total = total - 1 WHERE status = old.status;
    INSERT INTO task_totals VALUES (new.status, 1) ON CONFLICT DO UPDATE SET total = total + 1;
END""",
        "INSERT INTO task_totals SELECT status, count(*) FROM tasks GROUP BY status",
    ):
        connection.execute(statement)


def _add_what_people_deal_with(connection: apsw.Connection) -> None:
    """Version 5 has inputs, messages, the ledger, and what was done once."""
    for statement in VERSION_5:
        connection.execute(statement)


def _add_sums(connection: apsw.Connection) -> None:
    """Version 6 has sums of rows in them. All of them are written anew, once."""
    connection.create_scalar_function("sealed", _sealed, 1, deterministic=True)
    connection.create_scalar_function("marked", _marked, deterministic=True)
    for statement in (
        "UPDATE sessions SET body = sealed(CAST(body AS BLOB))",
        "UPDATE tasks SET body = sealed(CAST(body AS BLOB))",
        "UPDATE inputs SET body = sealed(CAST(body AS BLOB))",
        "UPDATE messages SET body = sealed(CAST(body AS BLOB))",
        "UPDATE cursors SET value = marked(value, name)",
        """UPDATE done_once
SET fingerprint = marked(fingerprint, key, operation, session_id, target, at_ms)""",
    ):
        connection.execute(statement)


def _sealed(*columns: Any) -> str:
    [body] = columns
    return f"{zlib.crc32(body):08x}{body.decode()}"


def _marked(*columns: Any) -> str:
    text, *others = columns
    total = zlib.crc32("\0".join([*map(str, others), text]).encode())
    return f"{total:08x}{text}"


def _add_sums_of_spending(connection: apsw.Connection) -> None:
    """
    Version 7 has sums in the ledger.

    Its two tables are made anew, because a new file has their texts letter by letter. What is added
    up of them stays: the triggers come when all rows are there. So does what others put on them.
    """
    # Else views and triggers of others would follow the tables that go, and a broken one of them
    # would fail it.
    connection.pragma("legacy_alter_table", True)
    own = _own_of(connection, "spenders", "spendings")
    spenders, spendings = (_free_name(connection, each) for each in ("spenders", "spendings"))
    connection.create_scalar_function("spender_sum", _spender_sum, 3, deterministic=True)
    connection.create_scalar_function("spending_sum", _spending_sum, 13, deterministic=True)
    for statement in (
        "DROP TRIGGER spending_came",
        "DROP TRIGGER spending_grew",
        "DROP INDEX spenders_by_project",
        "DROP INDEX spendings_by_time",
        f"ALTER TABLE spenders RENAME TO {spenders}",
        f"ALTER TABLE spendings RENAME TO {spendings}",
        *SPENDING_OF_VERSION_7,
        f"""INSERT INTO spenders
SELECT *, spender_sum(session_id, project_dir, provider) FROM {spenders}""",  # noqa: S608
        f"""INSERT INTO spendings
SELECT *, spending_sum(session_id, turn, model, at_ms, origins, input_tokens, output_tokens,
    cache_read_tokens, cache_write_tokens, reasoning_tokens, other_tokens, api_calls, cost)
FROM {spendings}""",  # noqa: S608
        f"DROP TABLE {spenders}",
        f"DROP TABLE {spendings}",
        *ABOUT_SPENDING,
        *own,
    ):
        connection.execute(statement)
    connection.pragma("legacy_alter_table", False)


def _own_of(connection: apsw.Connection, *tables: str) -> list[str]:
    """What others have put on tables, indexes and triggers: the statements that make them again."""
    query = """SELECT sql FROM sqlite_schema
WHERE type IN ('index', 'trigger') AND lower(tbl_name) = ? AND sql IS NOT NULL"""
    found = [sql for table in tables for (sql,) in connection.execute(query, (table,))]
    return [sql for sql in found if sql not in ABOUT_SPENDING]


def _free_name(connection: apsw.Connection, table: str) -> str:
    """A name for a table that is in the way; others may have one of any name."""
    taken = {name for (name,) in connection.execute("SELECT lower(name) FROM sqlite_schema")}
    name = f"old_{table}"
    while name in taken:
        name += "_"
    return name


def _spender_sum(*columns: Any) -> int:
    return _sum_of_columns(list(columns), struct.Struct("<2q"))


def _spending_sum(*columns: Any) -> int:
    session_id, turn, model, *numbers = columns
    return _sum_of_columns([session_id, model], struct.Struct("<11qd"), turn, *numbers)


def _sum_of_columns(texts: list[Any], head: struct.Struct, *numbers: Any) -> int:
    """CRC-32 over the lengths of all texts but the last, numbers, and the texts."""
    try:
        encoded = [text.encode() for text in texts]
        lengths = map(len, encoded[:-1])
        return zlib.crc32(b"".join([head.pack(*lengths, *numbers), *encoded]))
    except (AttributeError, struct.error) as error:
        raise Damaged("a row of the ledger is not what was written") from error


def _all_bits(connection: apsw.Connection) -> str:
    """An expression for the bits of all masks of a group of blocks."""
    # Whatever there is: kinds are added without another version.
    query = "SELECT CAST(ifnull(max(mask), 0) AS INTEGER) FROM blocks"
    highest: int = connection.execute(query).get
    # SQLite has no sum of bits, so each bit is looked for by itself.
    return " | ".join(["0", *(f"max(mask & {1 << bit})" for bit in range(highest.bit_length()))])


_STEPS: Final[Mapping[int, Callable[[apsw.Connection], None]]] = {
    1: _add_spans,
    2: _add_session_spans,
    3: _put_tasks_in_order,
    4: _add_what_people_deal_with,
    5: _add_sums,
    6: _add_sums_of_spending,
}
"""What brings a version to the next one."""
