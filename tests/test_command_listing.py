"""Lists as text for people, as wide as there is room."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from loki_twisted.command.colours import Palette
from loki_twisted.command.listing import (
    health_text,
    money,
    sessions_table,
    tasks_table,
    usage_table,
)
from loki_twisted.command.tables import GAP, Column, as_text, grid, widths_of
from loki_twisted.model.ledger import Grouping, LedgerLine
from loki_twisted.model.sessions import Session, SessionStatus
from loki_twisted.model.spending import CostOrigin, Spending
from loki_twisted.model.tasks import Task, TaskStatus
from loki_twisted.model.wire import Health, Pagination, UsageReport

PLAIN = Palette(is_coloured=False)
COLOURED = Palette(is_coloured=True)
NOW_MS = 1_795_473_791_042 + 65_000


def session(**fields: Any) -> Session:
    told = {"id": "session_1795473791042_4fe1a2b3", "status": SessionStatus.RUNNING, **fields}
    return Session(
        provider="demo",
        project_dir="/p",
        started_at="2026-11-23T22:43:11.042Z",
        updated_at="2026-11-23T22:43:11.042Z",
        **told,
    )


REASON = "odd [2J words of an agent that says very much of itself"
SESSIONS = [
    session(current_phase="testing", task_count=7, completed_tasks=3),
    session(reason="odd\x1b[2J\nwords of an agent that says very much of itself"),
]


def test_sessions() -> None:
    """Sessions stand under each other, one a line; what agents say steers nothing."""
    assert sessions_table(SESSIONS, NOW_MS, PLAIN).splitlines() == [
        "SESSION                         STATUS   PROVIDER  PHASE    TASKS  COST  AGE",
        "session_1795473791042_4fe1a2b3  running  demo      testing  3/7       -  1m",
        f"session_1795473791042_4fe1a2b3  running  demo      -        0/0       -  1m   {REASON}",
    ]


def test_sessions_in_little_room() -> None:
    """In a narrow terminal ids are short, and what matters least is left out or cut."""
    assert sessions_table(SESSIONS, NOW_MS, PLAIN, 80).splitlines() == [
        "SESSION   STATUS   PROVIDER  PHASE    TASKS  COST  AGE",
        "4fe1a2b3  running  demo      testing  3/7       -  1m",
        "4fe1a2b3  running  demo      -        0/0       -  1m   odd [2J words of an age…",
    ]
    assert sessions_table(SESSIONS, NOW_MS, PLAIN, 40).splitlines() == [
        "SESSION   STATUS   PHASE    TASKS  AGE",
        "4fe1a2b3  running  testing  3/7    1m",
        "4fe1a2b3  running  -        0/0    1m",
    ]


def test_no_sessions() -> None:
    """Where there is none there is still a head."""
    head = "SESSION  STATUS  PROVIDER  PHASE  TASKS  COST  AGE"
    assert sessions_table([], 0, PLAIN) == head


def test_tasks() -> None:
    """Tasks stand under each other; colours do not move the columns, nor do wide letters."""
    tasks = [
        Task(id="t1", session_id="s", title="Build it", status=TaskStatus.FAILED),
        Task(id="時計", session_id="s", title="時計を作る", status=TaskStatus.RUNNING),
    ]
    lines = [
        "TASK  STATUS   SESSION  TITLE",
        "t1    failed   s        Build it",
        "時計  running  s        時計を作る",
    ]

    assert tasks_table(tasks, PLAIN).splitlines() == lines
    coloured = tasks_table(tasks, COLOURED)
    assert "\x1b[31mfailed" in coloured
    assert [x.rstrip() for x in re.sub(r"\x1b\[[\d;]*m", "", coloured).splitlines()] == lines


def test_usage() -> None:
    """What was spent has a line for each group and one for all; numbers stand on the right."""
    spent = Spending(input_tokens=1200, output_tokens=34, cost=12.5)
    line = LedgerLine(
        key="2026-11-26", spending=spent, origins=[CostOrigin.REPORTED], sessions=1, turns=2
    )
    report = UsageReport(
        by=Grouping.DAY,
        lines=[line],
        sum=LedgerLine(key="", spending=spent, origins=[CostOrigin.ESTIMATED], sessions=1, turns=2),
        pagination=Pagination(total=1, limit=100, offset=0, has_more=False),
    )

    assert usage_table(report, PLAIN).splitlines() == [
        "DAY            COST  TOKENS     IN  OUT  CACHED  TURNS  SESSIONS",
        "2026-11-26   $12.50   1,234  1,200   34       0      2         1",
        "all         ~$12.50   1,234  1,200   34       0      2         1",
    ]
    assert max(map(len, usage_table(report, PLAIN, 40).splitlines())) <= 40


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("session_1795473791042_4fe1a2b3", "4fe1a2b3"),
        ("session_1795473791042_4fe1a2b3/12", "4fe1a2b3/12"),
        ("/srv/p", "/srv/p"),
        ("", "-"),
    ],
)
def test_usage_in_little_room(key: str, shown: str) -> None:
    """In a narrow terminal ids of sessions are short, also where a turn stands behind one."""
    line = LedgerLine(key=key, spending=Spending(), origins=[], sessions=1, turns=1)
    page = Pagination(total=1, limit=100, offset=0, has_more=False)
    report = UsageReport(by=Grouping.TURN, lines=[line], sum=line, pagination=page)

    assert usage_table(report, PLAIN, 40).splitlines()[1].startswith(f"{shown} ")


@pytest.mark.parametrize(
    ("dollars", "origin", "text"),
    [
        (0.0, CostOrigin.UNKNOWN, "-"),
        (0.0, CostOrigin.REPORTED, "$0.00"),
        (0.0123, CostOrigin.REPORTED, "$0.0123"),
        (1234.5, CostOrigin.ESTIMATED, "~$1,234.50"),
    ],
)
def test_money(dollars: float, origin: CostOrigin, text: str) -> None:
    """A cost says whether it is an estimate, and what nobody knows is no number."""
    assert money(dollars, origin) == text


def test_health() -> None:
    """Health says the state, what is wrong, and which agents can be started."""
    health = Health(
        status="degraded",
        version="1.2",
        uptime=61_000,
        providers={"demo": True, "claude": False},
        active_session=None,
        problems=["polling"],
    )

    assert health_text(health, PLAIN).splitlines() == [
        "degraded, version 1.2, up 1m",
        "problem: polling",
        "  claude       no",
        "  demo         yes",
    ]


_COLUMNS = st.builds(
    Column,
    st.just("H"),
    rank=st.integers(0, 3),
    least=st.none() | st.integers(1, 8),
    is_number=st.booleans(),
)


@given(
    st.lists(st.tuples(_COLUMNS, st.integers(1, 30)), min_size=1, max_size=6), st.integers(1, 90)
)
def test_there_is_room(columns: list[tuple[Column, int]], room: int) -> None:
    """A table takes no more room than there is, unless all that is left must stay as it is."""
    widths = widths_of([c for c, _ in columns], [n for _, n in columns], room)

    total = sum(widths.values()) + GAP * (len(widths) - 1)
    rigid = all(not columns[n][0].rank for n in widths) and all(
        widths[n] <= (columns[n][0].least or columns[n][1]) for n in widths
    )
    assert total <= room or rigid
    assert {n for n, (c, _) in enumerate(columns) if not c.rank} <= set(widths)
    assert all(0 < widths[n] <= columns[n][1] for n in widths)


@given(st.lists(st.lists(st.text(max_size=40), min_size=2, max_size=2), max_size=4))
def test_any_text_in_a_table(rows: list[list[str]]) -> None:
    """Whatever stands in cells, a table has a line for each row, is no wider, steers nothing."""
    table = grid([Column("A", least=4), Column("B", least=4)], rows, 30)
    lines = as_text(table, PLAIN, 30).split("\n")

    assert len(lines) == len(rows) + 1
    assert all(cell_len(line) <= 30 for line in lines)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", "".join(lines))
