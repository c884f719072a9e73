"""The ledger: what was spent, as rows and added up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.log import spending_sums
from loki_twisted.log.interface import Batch
from loki_twisted.log.opening import Opened
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
        log.connection.execute("DELETE FROM spenders")
        for spent in several:
            put(log, Batch(session_id="s", at_ms=MS, spent=spent))
        wanted = plain_ledger([each for spent in several for each in spent], query)
        assert ledger(log.readers[0], query) == wanted

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

    first = Spending(
        input_tokens=MOST_TOKENS, cache_read_tokens=MOST_TOKENS, cost=MOST_DOLLARS
    )
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
    assert AMOUNTS == Spending.__struct_fields__
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
        ({"session_id": "s1"}, "SEARCH spenders USING PRIMARY KEY (session_id=?)"),
        ({"session_id": "s1", "since_ms": 5}, "SEARCH spenders USING PRIMARY KEY (session_id=?)"),
        ({"since_ms": 5}, "SEARCH spendings USING INDEX spendings_by_time (at_ms>?)"),
        (
            {"since_ms": 5, "until_ms": 9, "project_dir": "/a"},
            "SEARCH spendings USING INDEX spendings_by_time (at_ms>? AND at_ms<?)",
        ),
        (
            {"project_dir": "/a"},
            "SEARCH spenders USING COVERING INDEX spenders_by_project (project_dir=?)",
        ),
    ],
)
def test_only_what_is_wanted_is_looked_at(
    log: Opened, by: Grouping, fields: dict[str, object], found_by: str
) -> None:
    """Lines of other sessions, other projects or other times cost nothing."""
    plan = plan_of(log, LedgerQuery(by=by, **fields))  # type: ignore[arg-type]

    assert any(step.startswith(found_by.removesuffix(")")) for step in plan)
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
