"""
The tables of the log, and how a file is known to be ours.

Rules:

- A block is one row and never changes. The newest block is never deleted, because the next
  number is taken from it. Others may be (``log/retention.py``); the row ``held`` of ``meta`` says
  from which number on none was, and changes with them.
- ``mask``, ``kinds`` and ``ends`` are those of :class:`loki_twisted.model.blocks.Block`,
  ``ends`` as unsigned 32-bit integers with the low byte first. ``sum`` is
  :func:`loki_twisted.log.rows.checksum` of the row.
- ``spans`` has a row for each :data:`SPAN` numbers in which blocks begin. Its ``mask`` has the bits
  of all of their masks; where some were deleted it may have more. ``session_spans`` has the same
  for each session, and each :data:`SESSION_SPAN` numbers.
- ``body`` of a session, a task, an input or a message is its JSON behind the sum of that, as
  ``log/sums.py`` writes it. The other columns repeat what queries sort and select by.
  ``created_at`` of a task without a time is empty, so that it has a place in the order too; that
  of one from a file of version 1 to 3 was NULL there.
- ``value`` of a cursor and ``fingerprint`` of what was done begin with the sum of their row.
- ``task_totals`` has the number of tasks of each status that there ever was. Triggers keep it, so
  nothing that writes tasks has to.
- ``spendings`` has a row for each session, turn and model, to which amounts are added; ``at_ms`` is
  that of the first. The bits of ``origins`` are those of ``log/spending_rows.py``. What was spent
  has nothing to do with ``sessions``, and stays when one goes. Each of its sessions has a row in
  ``spenders``. ``sum`` of both is that of ``log/spending_rows.py``; no statement here makes it, so
  that a file can be opened without us.
- ``spending_days`` has the same for each session, model and day (since the Unix epoch). Triggers
  keep it, so it has no sums but is compared (``log/spending_checks.py``). Of its ``turns``,
  ``day_turns`` are those that no other row of that session and day counts, and ``session_turns``
  those that no other of that session does: so each can be added up.
- Each page of a new file ends with its sum (``log/page_sums.py``). One that was made before version
  6 has none. That is SQLite's business: it changes no table.
- A new file can give pages back to the system (``auto_vacuum``). One that was made by version 1
  cannot; it only uses its free pages again.
- A file is created under another name and renamed when it is whole. So a
  file of our name is ours, or somebody put it there, or it is damaged.
- Whoever changes a statement here raises ``VERSION`` and brings older files up to it, in
  ``log/upgrading.py``.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

APPLICATION_ID: Final = 0x4C6F6B69
"""``Loki``: stands in the header of our files, where ``file(1)`` looks for it too."""

VERSION: Final = 7
"""The version of the tables below."""

SPAN: Final = 64
"""How many numbers a row of ``spans`` stands for."""

SESSION_SPAN: Final = 1024
"""
How many numbers a row of ``session_spans`` stands for.

More than of ``spans``: where many sessions take turns, not each block shall need a row of its own.
As it is, the rows take a twentieth of the writer's time for blocks of one event each of 64
sessions, a tenth at a limit, and nothing that can be measured for larger blocks.
"""

STATEMENTS: Final = (
    """CREATE TABLE meta(
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID""",
    """CREATE TABLE blocks(
    first_seq INTEGER PRIMARY KEY,
    last_seq INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    mask INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    kinds BLOB NOT NULL,
    ends BLOB NOT NULL,
    body BLOB NOT NULL
)""",
    """CREATE INDEX blocks_by_session ON blocks(session_id, first_seq, mask)""",
    """CREATE TABLE spans(
    number INTEGER PRIMARY KEY,
    mask INTEGER NOT NULL
)""",
    """CREATE TABLE session_spans(
    session TEXT NOT NULL,
    number INTEGER NOT NULL,
    mask INTEGER NOT NULL,
    PRIMARY KEY(session, number)
) WITHOUT ROWID""",
    """CREATE TABLE sessions(
    id TEXT PRIMARY KEY,
    started_at TEXT NOT NULL,
    final INTEGER NOT NULL,
    body TEXT NOT NULL
)""",
    """CREATE INDEX sessions_by_start ON sessions(started_at)""",
    """CREATE TABLE tasks(
    number INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL,
    id TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at TEXT,
    body TEXT NOT NULL,
    UNIQUE(session_id, id)
)""",
    """CREATE INDEX tasks_in_order ON tasks(created_at DESC, number, status)""",
    """CREATE INDEX tasks_by_status ON tasks(status, created_at DESC, number)""",
    """CREATE INDEX tasks_of_session ON tasks(session_id, status, created_at DESC, number)""",
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
    """CREATE TABLE cursors(
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID""",
    """CREATE TABLE inputs(
    number INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL,
    id TEXT NOT NULL,
    open INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE(session_id, id)
)""",
    """CREATE INDEX inputs_open ON inputs(created_at, number) WHERE open""",
    """CREATE INDEX inputs_of_session ON inputs(session_id, created_at, number)""",
    """CREATE TABLE messages(
    number INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL,
    id TEXT NOT NULL,
    queued INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE(session_id, id)
)""",
    """CREATE INDEX messages_queued ON messages(created_at, number) WHERE queued""",
    """CREATE INDEX messages_of_session ON messages(session_id, created_at, number)""",
    """CREATE TABLE spenders(
    session_id TEXT PRIMARY KEY,
    project_dir TEXT NOT NULL,
    provider TEXT NOT NULL,
    sum INTEGER NOT NULL
) WITHOUT ROWID""",
    """CREATE INDEX spenders_by_project ON spenders(project_dir, session_id)""",
    """CREATE TABLE spendings(
    session_id TEXT NOT NULL,
    turn INTEGER NOT NULL,
    model TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    origins INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    other_tokens INTEGER NOT NULL,
    api_calls INTEGER NOT NULL,
    cost REAL NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY(session_id, turn, model)
) WITHOUT ROWID""",
    """CREATE INDEX spendings_by_time ON spendings(at_ms)""",
    """CREATE TABLE spending_days(
    session_id TEXT NOT NULL,
    model TEXT NOT NULL,
    day INTEGER NOT NULL,
    turns INTEGER NOT NULL,
    day_turns INTEGER NOT NULL,
    session_turns INTEGER NOT NULL,
    origins INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    other_tokens INTEGER NOT NULL,
    api_calls INTEGER NOT NULL,
    cost REAL NOT NULL,
    PRIMARY KEY(session_id, model, day)
) WITHOUT ROWID""",
    """CREATE TRIGGER spending_came AFTER INSERT ON spendings BEGIN
    INSERT INTO spending_days VALUES (
        new.session_id, new.model, new.at_ms / 86400000,
        1,
        NOT EXISTS (SELECT 1 FROM spendings
            WHERE session_id = new.session_id AND turn = new.turn AND model <> new.model
            AND at_ms / 86400000 = new.at_ms / 86400000),
        NOT EXISTS (SELECT 1 FROM spendings
            WHERE session_id = new.session_id AND turn = new.turn AND model <> new.model),
        new.origins, new.input_tokens, new.output_tokens, new.cache_read_tokens,
        new.cache_write_tokens, new.reasoning_tokens, new.other_tokens, new.api_calls, new.cost
    ) ON CONFLICT DO UPDATE SET
        turns = turns + 1,
        day_turns = day_turns + excluded.day_turns,
        session_turns = session_turns + excluded.session_turns,
        origins = origins | excluded.origins,
        input_tokens = input_tokens + excluded.input_tokens,
        output_tokens = output_tokens + excluded.output_tokens,
        cache_read_tokens = cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
        reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
        other_tokens = other_tokens + excluded.other_tokens,
        api_calls = api_calls + excluded.api_calls,
        cost = cost + excluded.cost;
END""",
    """CREATE TRIGGER spending_grew AFTER UPDATE ON spendings BEGIN
    UPDATE spending_days SET
        origins = origins | new.origins,
        input_tokens = input_tokens + new.input_tokens - old.input_tokens,
        output_tokens = output_tokens + new.output_tokens - old.output_tokens,
        cache_read_tokens = cache_read_tokens + new.cache_read_tokens - old.cache_read_tokens,
        cache_write_tokens = cache_write_tokens + new.cache_write_tokens - old.cache_write_tokens,
        reasoning_tokens = reasoning_tokens + new.reasoning_tokens - old.reasoning_tokens,
        other_tokens = other_tokens + new.other_tokens - old.other_tokens,
        api_calls = api_calls + new.api_calls - old.api_calls,
        cost = cost + new.cost - old.cost
    WHERE session_id = new.session_id AND model = new.model AND day = new.at_ms / 86400000;
END""",
    """CREATE TABLE done_once(
    key TEXT PRIMARY KEY,
    operation TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    session_id TEXT NOT NULL,
    target TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) WITHOUT ROWID""",
    """CREATE INDEX done_by_time ON done_once(at_ms)""",
)
"""What makes an empty database a log. SQLite keeps these texts, letter by letter."""


class Identity(Enum):
    """Whose a file is, by its header."""

    OURS = "ours"
    NEWER = "of a newer version"
    FOREIGN = "a database of another program"
    NO_DATABASE = "no database"


HEADER_BYTES: Final = 100


def identity_of(header: bytes) -> Identity:
    """
    Say whose a file is.

    The offsets are those of the SQLite file format (https://www.sqlite.org/fileformat.html).

    :param header: The first ``HEADER_BYTES`` of the file, or all if it has less.
    """
    if len(header) < HEADER_BYTES or not header.startswith(b"SQLite format 3\0"):
        return Identity.NO_DATABASE
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        return Identity.FOREIGN
    if int.from_bytes(header[60:64], "big") > VERSION:
        return Identity.NEWER
    return Identity.OURS
