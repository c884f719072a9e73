"""Files of earlier versions are brought up to this one, with all that they hold."""

from __future__ import annotations

import ast
import inspect
from contextlib import closing
from pathlib import Path

import apsw
import attrs
import msgspec
import pytest
from twisted.logger import capturedLogs, formatEvent

from loki_twisted.log import (
    history,
    holdings,
    input_rows,
    message_rows,
    opening,
    past_tables,
    records,
    schema,
    upgrading,
)
from loki_twisted.log.connecting import connect_writer
from loki_twisted.log.done_rows import done_once
from loki_twisted.log.interface import Batch
from loki_twisted.log.opening import Opened, open_log
from loki_twisted.log.page_sums import reserve_sums
from loki_twisted.log.rows import NewBlock, new_block
from loki_twisted.log.spending_checks import check_spending
from loki_twisted.log.spending_sums import ledger
from loki_twisted.model.blocks import block_of_facts
from loki_twisted.model.filters import EVERYTHING, EventFilter, mask_of_types
from loki_twisted.model.ledger import Grouping, LedgerQuery
from loki_twisted.model.tasks import TaskQuery
from tests.log_support import (
    MS,
    asked,
    connect,
    done,
    entry,
    fact,
    frames,
    message,
    opened,
    put,
    remembered,
    session,
    task,
    wanted_of,
)
from tests.store_desk import new_desk

VERSION_1 = (
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
    """CREATE TABLE sessions(
    id TEXT PRIMARY KEY,
    started_at TEXT NOT NULL,
    final INTEGER NOT NULL,
    body TEXT NOT NULL
)""",
    """CREATE INDEX sessions_by_start ON sessions(started_at)""",
    """CREATE INDEX sessions_not_ended ON sessions(id) WHERE NOT final""",
    """CREATE TABLE tasks(
    number INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL,
    id TEXT NOT NULL,
    status TEXT NOT NULL,
    rank REAL NOT NULL,
    created_at TEXT,
    body TEXT NOT NULL,
    UNIQUE(session_id, id)
)""",
    """CREATE INDEX tasks_by_time ON tasks(created_at DESC, status)""",
    """CREATE INDEX tasks_by_session ON tasks(session_id, created_at DESC, status, rank)""",
    """CREATE TABLE cursors(
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID""",
)
"""What version 1 made, letter by letter."""

SPANS_OF_64 = """CREATE TABLE spans(
    number INTEGER PRIMARY KEY,
    mask INTEGER NOT NULL
)"""
"""What version 2 added, with a row for each 64 numbers."""

SPANS_OF_1024_BY_SESSION = """CREATE TABLE session_spans(
    session TEXT NOT NULL,
    number INTEGER NOT NULL,
    mask INTEGER NOT NULL,
    PRIMARY KEY(session, number)
) WITHOUT ROWID"""
"""What version 3 added, with a row for each 1,024 numbers of a session."""


TASKS_IN_ORDER = (
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
)
"""What version 4 put in the place of the indexes of tasks, and added to them."""

GONE_IN_VERSION_4 = ("CREATE INDEX tasks_", "CREATE INDEX sessions_not_ended")
VERSION_4 = {
    *(
        text.replace("    rank REAL NOT NULL,\n", "")
        for text in VERSION_1
        if not text.startswith(GONE_IN_VERSION_4)
    ),
    SPANS_OF_64,
    SPANS_OF_1024_BY_SESSION,
    *TASKS_IN_ORDER,
}

INPUTS_MESSAGES_AND_THE_LEDGER = (
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
"""What version 5 added."""

VERSION_5 = {*VERSION_4, *INPUTS_MESSAGES_AND_THE_LEDGER}

VERSION_7 = {
    text.replace(
        "    provider TEXT NOT NULL\n",
        "    provider TEXT NOT NULL,\n    sum INTEGER NOT NULL\n",
    ).replace(
        "    PRIMARY KEY(session_id, turn, model)\n",
        "    sum INTEGER NOT NULL,\n    PRIMARY KEY(session_id, turn, model)\n",
    )
    for text in VERSION_5
}
"""Version 6 changed no table; this one changed two."""


def old_blocks(count: int) -> list[NewBlock]:
    """Blocks of many kinds."""
    blocks, seq = [], 1
    for number in range(count):
        kinds = ["log:info", "task:created"] if number % 7 == 0 else ["log:info"]
        made = block_of_facts(seq, MS, f"s{number % 3}", [fact(kind=kind) for kind in kinds])
        blocks.append(new_block(made, MS))
        seq += len(kinds)
    return blocks


def make_version_1(path: Path, blocks: list[NewBlock]) -> None:
    """A file as version 1 left it."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("application_id", schema.APPLICATION_ID)
        connection.pragma("user_version", 1)
        for statement in VERSION_1:
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES ('log_id', 'abc')")
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO blocks VALUES (?,?,?,?,?,?,?,?,?)", [new.row for new in blocks]
        )
        connection.execute("COMMIT")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.mark.parametrize("count", [0, 1, 500])
def test_version_1(path: Path, count: int) -> None:
    """It holds what it held, is of this version then, and is found by each kind."""
    blocks = old_blocks(count)
    make_version_1(path, blocks)
    events = remembered([new.block for new in blocks])

    with opened(path) as log:
        assert (log.log_id, log.notices) == ("abc", ())
        assert log.connection.pragma("user_version") == schema.VERSION
        assert log.bounds.newest == len(events)
        assert holdings.spans_are_whole(log.connection)
        rare = mask_of_types(["task:created"])
        for wanted in (EVERYTHING, EventFilter(None, rare), EventFilter("s1", rare)):
            page = history.read(log.readers[0], 0, len(events), wanted, 10**9)
            assert frames(page.blocks, wanted) == wanted_of(events, wanted)


def test_it_is_said_before_and_after(path: Path) -> None:
    """A start that takes longer because the log is of an earlier version says so in its log."""
    make_version_1(path, old_blocks(3))
    with capturedLogs() as said:
        for _ in range(2):
            with opened(path):
                pass

    assert [formatEvent(event) for event in said] == [
        f"bringing the log from version 1 to {schema.VERSION}; all of it is read",
        f"the log is of version {schema.VERSION} now",
    ]


def test_what_is_tried_again_is_not_said_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that waits for room to bring a log up to its version says once that it does."""
    make_version_1(path, old_blocks(3))
    desk = new_desk(path)
    tries: list[apsw.Connection] = []

    def fail(connection: apsw.Connection) -> None:
        tries.append(connection)
        raise apsw.FullError("database or disk is full")

    with capturedLogs() as said:
        with monkeypatch.context() as patch:
            patch.setattr(upgrading, "_STEPS", {**upgrading._STEPS, 1: fail})
            starting = desk.log.start()
            desk.clock.turn()
            desk.clock.advance(1)
            desk.clock.turn()
        assert len(tries) == 2
        desk.clock.advance(1)
        desk.clock.result(starting)
    desk.stop()

    words = [formatEvent(event) or "" for event in said]
    assert len([each for each in words if each.startswith("bringing the log")]) == 1
    assert f"the log is of version {schema.VERSION} now" in words


def test_each_step_makes_what_its_version_had(path: Path) -> None:
    """Each step leads to the tables and rows of the next version, whatever later ones have."""
    blocks = old_blocks(2_000)
    blocks.append(new_block(attrs.evolve(blocks[-1].block, first_seq=1 + 3 * 1024), MS))
    unknown = list(blocks[0].row)
    unknown[0], unknown[4] = 1 + 5 * 1024, 1 << 62 | 1
    make_version_1(path, blocks)
    masks, session_masks = dict[int, int](), dict[tuple[str, int], int]()
    with closing(apsw.Connection(str(path))) as connection:
        # Of a kind that came later, without another version.
        connection.execute("INSERT INTO blocks VALUES (?,?,?,?,?,?,?,?,?)", unknown)
        for first_seq, session_id, mask in [
            (row[0], row[3], row[4]) for row in [*(new.row for new in blocks), unknown]
        ]:
            key = session_id, first_seq // 1024
            masks[first_seq // 64] = masks.get(first_seq // 64, 0) | mask
            session_masks[key] = session_masks.get(key, 0) | mask

        upgrading._STEPS[1](connection)
        assert tables_of(connection) == {*VERSION_1, SPANS_OF_64}
        assert dict(connection.execute("SELECT * FROM spans")) == masks

        upgrading._STEPS[2](connection)
        assert tables_of(connection) == {*VERSION_1, SPANS_OF_64, SPANS_OF_1024_BY_SESSION}
        rows = connection.execute("SELECT * FROM session_spans")
        assert {(session, number): mask for session, number, mask in rows} == session_masks

        upgrading._STEPS[3](connection)
        assert tables_of(connection) == VERSION_4

        upgrading._STEPS[4](connection)
        assert tables_of(connection) == VERSION_5

        upgrading._STEPS[5](connection)
        assert tables_of(connection) == VERSION_5

        upgrading._STEPS[6](connection)
        assert tables_of(connection) == VERSION_7


def test_tasks_of_version_3_get_a_place(path: Path) -> None:
    """Tasks without a time come last, as new ones do, and a reader gets from page to page."""
    make_version_1(path, [])
    times = [None, "2026-02", "2026-01", None]
    with closing(apsw.Connection(str(path))) as connection:
        for number, at in enumerate(times):
            old = task(f"t{number}", created_at=at)
            connection.execute(
                "INSERT INTO tasks(session_id, id, status, rank, created_at, body)"
                " VALUES (?,?,?,?,?,?)",
                ("session_1", old.id, "pending", 0.0, at, msgspec.json.encode(old).decode()),
            )

    with opened(path) as log:
        found, end = [], None
        while not found or end is not None:
            page = records.tasks(log.readers[0], TaskQuery(after=end, limit=1))
            found += [each.id for each in page.tasks]
            end = page.end
        assert found == ["t1", "t2", "t0", "t3"]
        assert records.totals_are_whole(log.connection)
        assert page.total == 4


def make_version_4(path: Path) -> None:
    """A file as version 4 left it, with a session and its task."""
    make_version_1(path, old_blocks(50))
    with closing(apsw.Connection(str(path))) as connection:
        for version in (1, 2, 3):
            upgrading._STEPS[version](connection)
        connection.pragma("user_version", 4)
        row = ("session_1", "a", False, msgspec.json.encode(session()).decode())
        connection.execute("INSERT INTO sessions VALUES (?,?,?,?)", row)
        connection.execute(
            "INSERT INTO tasks(session_id, id, status, created_at, body) VALUES (?,?,?,?,?)",
            ("session_1", "t1", "pending", "", msgspec.json.encode(task()).decode()),
        )


def test_version_4_keeps_what_it_has(path: Path) -> None:
    """Its sessions and tasks are there, and what is new is empty and can be written to."""
    make_version_4(path)
    with capturedLogs() as said, opened(path) as log:
        reader = log.readers[0]
        assert records.sessions(reader, 10, 0) == [session()]
        assert records.tasks(reader, TaskQuery()).tasks == (task(),)
        assert records.totals_are_whole(log.connection)
        assert log.bounds.newest == 58
        assert message_rows.queued_messages(reader) == []
        spent = Batch(session_id="session_1", at_ms=MS, messages=[message()], spent=[entry()])
        put(log, spent)
        assert message_rows.queued_messages(reader) == [message()]
        assert ledger(reader, LedgerQuery(by=Grouping.SESSION)).sum.spending == entry().spending

    assert formatEvent(said[0]) == (
        f"bringing the log from version 4 to {schema.VERSION}; all of it is read"
    )


def make_version_5(path: Path) -> None:
    """A file as version 5 left it, with a row of each kind, and no sums of them."""
    make_version_4(path)
    with closing(apsw.Connection(str(path))) as connection:
        upgrading._STEPS[4](connection)
        connection.pragma("user_version", 5)
        for table, row, body in (
            ("inputs(session_id, id, open", ("session_1", "i1", True), asked()),
            ("messages(session_id, id, queued", ("session_1", "m1", True), message()),
        ):
            connection.execute(
                f"INSERT INTO {table}, created_at, body) VALUES (?,?,?,?,?)",
                (*row, "a", msgspec.json.encode(body).decode()),
            )
        connection.execute("INSERT INTO cursors VALUES ('session_1/out', '5'), ('é', '')")
        connection.execute("INSERT INTO done_once VALUES (?,?,?,?,?,?)", attrs.astuple(done()))


def has_all_rows(log: Opened) -> bool:
    """Whether all is there that :func:`make_version_5` makes."""
    reader = log.readers[0]
    assert records.sessions(reader, 10, 0) == [session()]
    assert records.task(reader, "session_1", "t1") == task()
    assert input_rows.open_inputs(reader) == [asked()]
    assert message_rows.queued_messages(reader) == [message()]
    assert records.cursors(reader, "") == {"session_1/out": "5", "é": ""}
    return done_once(reader, "k1") == done()


def test_rows_of_version_5_get_their_sums(path: Path) -> None:
    """All rows are there, and are known to be what they were; a new start finds them so."""
    make_version_5(path)
    for _ in range(2):
        with opened(path) as log:
            assert log.notices == ()
            assert has_all_rows(log)


def test_sums_that_are_cut_short(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in which some rows had their sums when it failed has none of them, and is whole."""
    make_version_5(path)

    def fail(connection: apsw.Connection) -> None:
        upgrading._add_sums(connection)
        raise apsw.FullError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(upgrading, "_STEPS", {5: fail})
        with pytest.raises(apsw.FullError), opened(path):
            pass

    with opened(path) as log:
        assert has_all_rows(log)


def test_a_row_of_version_5_that_is_no_text(path: Path) -> None:
    """A damaged one that nobody can read any more is put aside, as any."""
    make_version_5(path)
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("UPDATE tasks SET body = CAST(x'7bff' AS TEXT)")

    with opened(path) as log:
        assert "was damaged" in log.notices[0]


SPENT = (
    ("session_1", 1, "", MS, 1, 2, 0, 0, 0, 0, 0, 0, 0.1),
    ("session_1", 1, "caf\N{LATIN SMALL LETTER E WITH ACUTE}", MS + 5, 2, 0, 3, 0, 0, 0, 0, 1, 0.2),
    ("session_1", 2, "", MS + 86_400_000, 4, 10**12, 0, 0, 0, 0, 0, 0, 1e9),
    ("session_2", 0, "a\0b", MS, 3, 0, 0, 5, 6, 7, 8, 9, 0.0),
)
"""Rows of ``spendings``, as version 6 had them."""

SPENDERS = (("session_1", "/pr\0oject", "demo"), ("session_2", "", "codex"))


MANY_SPENT = """INSERT INTO spendings
WITH RECURSIVE numbers(n) AS (SELECT 10 UNION ALL SELECT n + 1 FROM numbers WHERE n < 3000)
SELECT 'session_1', n, '', 1790000000000, 1, n, 0, 0, 0, 0, 0, 0, 0.5 FROM numbers"""
"""More of them."""


def make_version_6(path: Path, *, with_page_sums: bool = False) -> list[tuple[object, ...]]:
    """A file as version 6 left it, with what was spent; gives what is added up of that."""
    with closing(connect(path) if with_page_sums else apsw.Connection(str(path))) as connection:
        if with_page_sums:
            reserve_sums(connection)
        connection.pragma("application_id", schema.APPLICATION_ID)
        connection.pragma("user_version", 6)
        # Tables first.
        for statement in sorted(VERSION_5, key=lambda text: "CREATE TABLE" not in text):
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES ('log_id', 'abc')")
        connection.executemany("INSERT INTO spenders VALUES (?,?,?)", SPENDERS)
        marks = ",".join("?" * len(SPENT[0]))
        connection.executemany(f"INSERT INTO spendings VALUES ({marks})", SPENT)
        connection.execute("UPDATE spendings SET cost = cost + 0.3 WHERE session_id = 'session_1'")
        return connection.execute("SELECT * FROM spending_days").fetchall()


def test_the_ledger_of_version_6_gets_its_sums(path: Path) -> None:
    """All that was spent is there, nothing is added up twice, and it can be added to."""
    days = make_version_6(path)
    for _ in range(2):
        with opened(path) as log:
            assert log.notices == ()
            spent = log.connection.execute("SELECT * FROM spendings").fetchall()
            grown = [
                (*row[:-1], row[-1] + 0.3 if row[0] == "session_1" else row[-1]) for row in SPENT
            ]
            assert [row[:-1] for row in spent] == grown
            whose = log.connection.execute("SELECT * FROM spenders").fetchall()
            assert [row[:-1] for row in whose] == list(SPENDERS)
            assert log.connection.execute("SELECT * FROM spending_days").fetchall() == days
            check_spending(log.connection)

    with opened(path) as log:
        again = [entry(), entry("session_2", model="new"), entry("session_3")]
        put(log, Batch(session_id="session_1", at_ms=MS, spent=again))
        check_spending(log.connection)
        page = ledger(log.readers[0], LedgerQuery(by=Grouping.SESSION))
        assert {line.key: line.turns for line in page.lines} == {
            "session_1": 2,
            "session_2": 2,
            "session_3": 1,
        }
        assert page.sum.spending.input_tokens == 10**12 + 8


@pytest.mark.parametrize("is_wrong", [False, True], ids=["right", "wrong sums of pages"])
def test_a_disk_that_becomes_full_by_it_has_its_room_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, is_wrong: bool
) -> None:
    """What was written in vain is given back at once, and the next start begins from the front."""
    make_version_6(path, with_page_sums=is_wrong)
    with closing(apsw.Connection(str(path))) as connection:  # keeps no sums
        connection.execute(MANY_SPENT)
        before = connection.execute("SELECT count(*), sum(cost) FROM spendings").fetchall()
        pages = connection.pragma("page_count")
    wal = Path(f"{path}-wal")
    written: list[int] = []

    def connect_cramped(path: str, *, checks_sums: bool = True) -> apsw.Connection:
        cramped = connect_writer(path, checks_sums=checks_sums)
        cramped.pragma("max_page_count", pages + 10)
        cramped.pragma("cache_size", 10)  # the rest is written before all is done
        cramped.set_rollback_hook(lambda: written.append(wal.stat().st_size))
        return cramped

    with monkeypatch.context() as patch:
        patch.setattr(opening, "connect_writer", connect_cramped)
        with pytest.raises(apsw.FullError):
            open_log(str(path), lambda: MS)
    assert max(written) > 100_000
    assert wal.stat().st_size == 0
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.pragma("user_version") == 6

    with opened(path) as log:
        assert len(log.notices) == is_wrong
        check_spending(log.connection)
        query = "SELECT count(*), sum(cost) FROM spendings"
        assert log.connection.execute(query).fetchall() == before


def test_another_program_has_written_to_version_6(path: Path) -> None:
    """Where only sums of pages are wrong it is kept, as one of this version is."""
    make_version_6(path, with_page_sums=True)
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE INDEX mine ON spendings(cost)")

    with opened(path) as log:
        assert log.log_id == "abc"
        [notice] = log.notices
        assert "All of it was read, and is right." in notice
        check_spending(log.connection)
    with opened(path) as log:
        assert log.notices == ()


OWN = (
    "CREATE TABLE notes(session_id REFERENCES spenders(session_id), cost)",
    "CREATE INDEX mine ON spendings(cost)",
    "CREATE VIEW costs AS SELECT provider, cost FROM spendings JOIN spenders USING (session_id)",
    """CREATE TRIGGER noted AFTER INSERT ON Spendings BEGIN
    INSERT INTO notes VALUES (new.session_id, new.cost);
END""",
    """CREATE TRIGGER counted AFTER INSERT ON sessions BEGIN
    INSERT INTO notes SELECT new.id, sum(cost) FROM spendings;
END""",
    "CREATE VIEW old_spenders AS SELECT * FROM spenders",
    "CREATE TABLE OLD_SPENDINGS(mine)",
)
"""What somebody may have added to version 6, which went on working with it."""

BROKEN = ("CREATE TABLE gone(x)", "CREATE VIEW broken AS SELECT x FROM gone", "DROP TABLE gone")


def test_what_others_have_put_on_the_ledger_of_version_6(path: Path) -> None:
    """It is there as they wrote it, says what it said, and keeps nothing from being written."""
    make_version_6(path)
    with closing(apsw.Connection(str(path))) as connection:
        for statement in (*OWN, *BROKEN):
            connection.execute(statement)
        costs = connection.execute("SELECT * FROM costs").fetchall()

    with opened(path) as log:
        assert log.notices == ()
        assert tables_of(log.connection) == {*VERSION_7, *OWN, BROKEN[1]}
        assert log.connection.execute("SELECT * FROM costs").fetchall() == costs
        assert log.connection.execute("SELECT count(*) FROM notes").get == 0
        put(
            log,
            Batch(session_id="session_1", at_ms=MS, session=session(), spent=[entry(model="new")]),
        )
        assert log.connection.execute("SELECT count(*) FROM notes").get == 2
        check_spending(log.connection)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE spenders SET provider = x'00ff'",
        "UPDATE spendings SET api_calls = 'many'",
        "UPDATE spendings SET at_ms = 0.5",
        "UPDATE spendings SET cost = 'much'",
        "UPDATE spenders SET provider = CAST(x'7bff' AS TEXT)",
    ],
)
def test_a_ledger_of_version_6_that_cannot_be(path: Path, change: str) -> None:
    """What is of another type than was written has no sum, and the log is put aside."""
    make_version_6(path)
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(change)

    with opened(path) as log:
        assert "was damaged" in log.notices[0]


def tables_of(connection: apsw.Connection) -> set[str]:
    rows = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")
    return {str(sql) for (sql,) in rows}


def test_the_last_step_makes_what_a_new_file_has() -> None:
    """There is no difference between a file that was brought up to this version and a new one."""
    assert set(schema.STATEMENTS) == VERSION_7
    assert (schema.SPAN, schema.SESSION_SPAN) == (64, 1024)


def test_steps_know_nothing_of_today() -> None:
    """No step can change because the tables or the types of today do."""
    imported = {
        node.module
        for module in (upgrading, past_tables)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.ImportFrom)
    }
    assert {name for name in imported if name and name.startswith("loki_twisted")} == {
        "loki_twisted.log.faults",
        "loki_twisted.log.past_tables",
    }


def test_what_is_cut_short_is_done_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose upgrade failed is of its old version still, and the next start does it."""
    make_version_1(path, old_blocks(50))

    def fail(connection: apsw.Connection) -> None:
        upgrading._add_spans(connection)
        raise apsw.FullError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(upgrading, "_STEPS", {1: fail})
        with pytest.raises(apsw.FullError), opened(path):
            pass
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.pragma("user_version") == 1

    with opened(path) as log:
        assert log.bounds.newest == 58
        assert holdings.spans_are_whole(log.connection)


def test_tables_that_are_none_of_ours(path: Path) -> None:
    """A file of an earlier version that has not its tables is damaged, and is put aside."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("application_id", schema.APPLICATION_ID)
        connection.pragma("user_version", 1)
        connection.execute("CREATE TABLE other(x)")

    with opened(path) as log:
        assert "no such table" in log.notices[0]


def test_each_version_has_its_step() -> None:
    """From the first version on, one step leads to the next, and the last to this one."""
    assert list(upgrading._STEPS) == list(range(1, schema.VERSION))
