"""
Tables as versions made them, letter by letter: what steps of ``log/upgrading.py`` lead to.

None of these texts ever changes. Those of today are in ``log/schema.py``.
"""

from __future__ import annotations

from typing import Final

ABOUT_SPENDING: Final = (
    """CREATE INDEX spenders_by_project ON spenders(project_dir, session_id)""",
    """CREATE INDEX spendings_by_time ON spendings(at_ms)""",
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
)
"""What version 5 put beside the tables of spending."""

VERSION_5: Final = (
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
    provider TEXT NOT NULL
) WITHOUT ROWID""",
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
    PRIMARY KEY(session_id, turn, model)
) WITHOUT ROWID""",
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
    *ABOUT_SPENDING,
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
"""What version 5 added."""

SPENDING_OF_VERSION_7: Final = (
    """CREATE TABLE spenders(
    session_id TEXT PRIMARY KEY,
    project_dir TEXT NOT NULL,
    provider TEXT NOT NULL,
    sum INTEGER NOT NULL
) WITHOUT ROWID""",
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
)
"""The tables of spending that version 7 put in the place of those of version 5."""
