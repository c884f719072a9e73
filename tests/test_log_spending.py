"""The ledger: what was spent, as rows and added up."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.log import spending_sums
from loki_twisted.log.interface import Batch
from loki_twisted.log.opening import Opened
from loki_twisted.log.spending_checks import days_are_whole
from loki_twisted.log.spending_rows import AMOUNTS, BIT_OF_ORIGIN
from loki_twisted.log.spending_sums import ledger
from loki_twisted.model.ledger import Grouping, LedgerEntry, LedgerLine, LedgerPage, LedgerQuery
from loki_twisted.model.spending import (
    MOST_DOLLARS,
    MOST_TOKENS,
    NOTHING,
    CostOrigin,
    Spending,
)
from tests.figures import tell
from tests.log_support import MS, entries, entry, opened, put, session
from tests.plain_ledger import plain_ledger

SESSIONS = ["s1", "s2", "s3"]
DAY_MS = 86_400_000

queries = st.builds(
    LedgerQuery,
    by=st.sampled_from(Grouping),
    session_id=st.none() | st.sampled_from([*SESSIONS, "nobody"]),
    project_dir=st.none() | st.sampled_from(["/a", "/b", "/c"]),
    provider=st.none() | st.sampled_from(["claude", "codex"]),
    since_ms=st.none() | st.integers(-1, 7).map(lambda halves: MS + halves * DAY_MS // 2),
    until_ms=st.none() | st.integers(-1, 7).map(lambda halves: MS + halves * DAY_MS // 2),
    limit=st.integers(1, 6),
    offset=st.integers(0, 4),
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "log.db") as log:
        log.connection.pragma("synchronous", "off")  # only the outcome matters here
        yield log


def asked(log: Opened, by: Grouping, **fields: object) -> LedgerPage:
    return ledger(log.readers[0], LedgerQuery(by=by, **fields))  # type: ignore[arg-type]


def test_any_query_gives_its_page(log: Opened) -> None:
    """Whatever was spent in however many batches, a page, its total and the sum are exact."""
    batches = st.lists(entries(st.sampled_from(SESSIONS)), max_size=5)

    @given(batches, queries)
    def law(several: list[list[LedgerEntry]], query: LedgerQuery) -> None:
        log.connection.execute("DELETE FROM spendings")
        log.connection.execute("DELETE FROM spending_days")
        log.connection.execute("DELETE FROM spenders")
        for spent in several:
            put(log, Batch(session_id="s", at_ms=MS, spent=spent))
        wanted = plain_ledger([each for spent in several for each in spent], query)
        assert ledger(log.readers[0], query) == wanted
        assert days_are_whole(log.connection)

    law()


def test_nothing_is_there_at_first(log: Opened) -> None:
    """An empty ledger has no lines, and a sum of nothing."""
    nothing = LedgerLine(key="", spending=NOTHING, origins=[], sessions=0, turns=0)
    for by in Grouping:
        assert asked(log, by) == LedgerPage((), 0, nothing)


def test_it_outlives_sessions(log: Opened) -> None:
    """What a session has spent stays in the ledger when the session goes."""
    put(log, Batch(session_id="session_1", at_ms=MS, session=session(), spent=[entry()]))
    before = asked(log, Grouping.SESSION)
    put(log, Batch(session_id="session_1", at_ms=MS, forget=True))

    assert asked(log, Grouping.SESSION) == before
    assert before.sum.spending == Spending(input_tokens=2, cost=0.5)


def test_a_turn_has_the_time_of_its_first_news(log: Opened) -> None:
    """What is added later to a line does not move it to another day."""
    late = entry(at_ms=MS + 3 * DAY_MS)
    put(log, Batch(session_id="session_1", at_ms=MS, spent=[entry(), late]))
    put(log, Batch(session_id="session_1", at_ms=MS, spent=[late]))

    [line] = asked(log, Grouping.DAY).lines
    assert (line.key, line.spending.input_tokens) == ("2026-09-21", 6)
    assert asked(log, Grouping.DAY, since_ms=MS + 1).lines == ()


def test_what_cannot_be_is_bounded(log: Opened) -> None:
    """No number that an agent makes up can be too large for the ledger, or for its sums."""
    mad = Spending(
        input_tokens=10**40,
        output_tokens=-(10**40),
        cache_read_tokens=MOST_TOKENS,
        cost=math.inf,
    )
    worse = Spending(input_tokens=5, cache_read_tokens=1, cost=math.nan)
    for _ in range(3):
        spent = [entry(spending=mad), entry(spending=worse), entry("s2", spending=mad)]
        put(log, Batch(session_id="session_1", at_ms=MS, spent=spent))

    first = Spending(input_tokens=MOST_TOKENS, cache_read_tokens=MOST_TOKENS, cost=MOST_DOLLARS)
    assert [line.spending for line in asked(log, Grouping.SESSION).lines] == [first, first]
    assert asked(log, Grouping.PROVIDER).sum.spending.input_tokens == 2 * MOST_TOKENS


@pytest.mark.parametrize("name", ["", "a\0b", "caf\N{LATIN SMALL LETTER E WITH ACUTE}", '"\\', "5"])
def test_any_name_of_a_model(log: Opened, name: str) -> None:
    """A model is called what its agent calls it."""
    put(log, Batch(session_id="session_1", at_ms=MS, spent=[entry(model=name)]))

    assert [line.key for line in asked(log, Grouping.MODEL).lines] == [name]


def test_half_a_character(log: Opened) -> None:
    """A name that is no text is stored as one, and stops nobody's transaction."""
    put(log, Batch(session_id="session_1", at_ms=MS, spent=[entry(model="a\ud800b")]))

    assert [line.key for line in asked(log, Grouping.MODEL).lines] == ["a?b"]


def test_all_amounts_have_columns() -> None:
    """Nothing that is spent, and no origin of a cost, is left out of the ledger."""
    assert Spending.__struct_fields__ == AMOUNTS
    assert list(BIT_OF_ORIGIN) == list(CostOrigin)
    bits = list(BIT_OF_ORIGIN.values())
    assert bits == [1 << place for place in range(len(bits))]


def plan_of(log: Opened, query: LedgerQuery) -> list[str]:
    """What SQLite makes of a query, step by step."""
    statement, values = spending_sums._statement(query)
    steps = log.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    return [str(step[3]) for step in steps]


@pytest.mark.parametrize("by", Grouping)
@pytest.mark.parametrize(
    ("fields", "found_by"),
    [
        ({"session_id": "s1"}, "spenders USING PRIMARY KEY (session_id=?"),
        ({"session_id": "s1", "since_ms": 5}, "spenders USING PRIMARY KEY (session_id=?"),
        ({"since_ms": 5}, "spendings_by_time (at_ms>?"),
        (
            {"since_ms": 5, "until_ms": 9, "project_dir": "/a"},
            "spendings_by_time (at_ms>? AND at_ms<?",
        ),
        ({"project_dir": "/a"}, "spenders_by_project (project_dir=?"),
    ],
)
def test_only_what_is_wanted_is_looked_at(
    log: Opened, by: Grouping, fields: dict[str, object], found_by: str
) -> None:
    """Lines of other sessions, other projects or other times cost nothing."""
    plan = plan_of(log, LedgerQuery(by=by, **fields))  # type: ignore[arg-type]

    assert any(found_by in step for step in plan)
    of_tables = [step for step in plan if " spend" in step]
    assert of_tables
    assert not any(step.startswith("SCAN") for step in of_tables)


def test_the_plain_ledger_is_plain() -> None:
    """What the log is held against says what one expects of a small ledger."""
    spent = [entry(), entry(turn=2, model="m"), attrs.evolve(entry("s2"), project_dir="/other")]
    page = plain_ledger(spent, LedgerQuery(by=Grouping.PROJECT))

    assert [(line.key, line.sessions, line.turns) for line in page.lines] == [
        ("/project", 1, 2),
        ("/other", 1, 1),
    ]
    assert page.sum.spending == Spending(input_tokens=6, cost=1.5)


TURNS = 10
STEP_MS = 31_536
"""Between two lines; 1,000,000 of them take a year so."""

MANY = f"""
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :count)
INSERT INTO spendings
SELECT printf('session_%08d', n / {TURNS}), n % {TURNS}, iif(n % 4, 'gpt-5', 'gpt-5-mini'),
    {MS} + n * {STEP_MS}, 1, 100, 10, 50, 0, 5, 0, 1, 0.25, 0
FROM numbers
"""
WHOSE = """
INSERT INTO spenders SELECT session_id, '/project/' || (substr(session_id, 9) % 20),
    'provider-' || (substr(session_id, 9) % 3), 0
FROM spendings GROUP BY session_id
"""


def test_a_million_lines(log: Opened, is_full: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """However many lines there are, each question has its exact answer, in bounded time."""
    count = 1_000_000 if is_full else 2_000
    log.connection.execute("BEGIN")
    log.connection.execute(MANY, {"count": count})
    log.connection.execute(WHOSE)
    log.connection.execute("COMMIT")
    days = (MS % DAY_MS + (count - 1) * STEP_MS) // DAY_MS + 1
    totals = {
        Grouping.TURN: count,
        Grouping.SESSION: count // TURNS,
        Grouping.PROJECT: 20,
        Grouping.PROVIDER: 3,
        Grouping.MODEL: 2,
        Grouping.DAY: days,
    }
    week = MS + count * STEP_MS - 7 * DAY_MS
    one = "session_00000007"
    for by, total in totals.items():
        took = []
        for fields in ({}, {"project_dir": "/project/7"}, {"since_ms": week}, {"session_id": one}):
            began = time.perf_counter()
            page = asked(log, by, **fields)
            took.append((time.perf_counter() - began) * 1000)
            if not fields:
                assert page.total == total
                assert page.sum.spending.input_tokens == 100 * count
                assert (page.sum.sessions, page.sum.turns) == (count // TURNS, count)
            elif "session_id" in fields:
                assert (page.sum.sessions, page.sum.turns) == (1, TURNS)
        if is_full:
            all_of_it, project, since, session = (f"{each:,.1f}" for each in took)
            tell(
                capsys,
                f"{count:,} lines by {by.value}: all {all_of_it} ms, one of 20 projects {project}"
                f" ms, a week of a year {since} ms, one session {session} ms",
            )
