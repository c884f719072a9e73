"""Tests of :mod:`loki_twisted.web.routes_usage`, through a connection in memory."""

from __future__ import annotations

import pytest

from loki_twisted.model.ledger import Grouping, LedgerQuery
from loki_twisted.model.spending import CostOrigin, Spending
from tests.fakes_web import FakeSessions, Server
from tests.log_support import MS, entry


def server() -> Server:
    """A server whose sessions have spent something, three of them."""
    sessions = FakeSessions()
    sessions.spent = [
        entry("session_1", spending=Spending(input_tokens=10, cost=0.25)),
        entry("session_2", spending=Spending(output_tokens=7, cost=1.5), model="gpt-5"),
        entry("session_2", 2, origin=CostOrigin.UNKNOWN, spending=Spending(output_tokens=1)),
        entry("session_3", spending=Spending(api_calls=1, cost=0.5)),
    ]
    return Server(sessions=sessions)


def test_what_sessions_spent() -> None:
    """A line for each session, the dearest first, and the sum of all."""
    here = server()
    answer = here.ask("GET", "/api/usage?limit=2").json

    assert [line["key"] for line in answer["lines"]] == ["session_2", "session_3"]
    assert answer["by"] == "session"
    assert answer["pagination"] == {
        "total": 3,
        "limit": 2,
        "offset": 0,
        "hasMore": True,
        "nextCursor": None,
    }
    line = answer["lines"][0]
    assert line == {
        "key": "session_2",
        "spending": {
            "inputTokens": 0,
            "outputTokens": 8,
            "cacheReadTokens": 0,
            "cacheWriteTokens": 0,
            "reasoningTokens": 0,
            "otherTokens": 0,
            "apiCalls": 0,
            "cost": 1.5,
        },
        "origins": ["reported", "unknown"],
        "sessions": 1,
        "turns": 2,
    }
    assert (answer["sum"]["key"], answer["sum"]["sessions"]) == ("", 3)
    assert answer["sum"]["spending"]["cost"] == 2.25
    assert here.sessions.queries == [LedgerQuery(by=Grouping.SESSION, limit=2)]


def test_the_last_page() -> None:
    """Behind the last line there are no more, and the sum is still that of all."""
    answer = server().ask("GET", "/api/usage?limit=2&offset=2").json

    assert [line["key"] for line in answer["lines"]] == ["session_1"]
    assert answer["pagination"]["hasMore"] is False
    assert answer["sum"]["spending"]["cost"] == 2.25


@pytest.mark.parametrize("by", Grouping)
def test_each_grouping(by: Grouping) -> None:
    """Whatever it is added up by, the answer says so."""
    answer = server().ask("GET", f"/api/usage?by={by.value}").json

    assert answer["by"] == by.value
    assert answer["pagination"]["total"] == len(answer["lines"]) > 0


def test_only_some() -> None:
    """Every filter goes to the ledger, days as the beginning of the day."""
    here = server()
    query = (
        "by=day&sessionId=session_1&projectDir=/srv/caf%C3%A9&provider=claude"
        "&since=2026-09-21&until=2026-09-21T12:00:00.001Z&limit=5&offset=3"
    )
    answer = here.ask("GET", f"/api/usage?{query}")

    assert answer.status == 200
    assert here.sessions.queries == [
        LedgerQuery(
            by=Grouping.DAY,
            session_id="session_1",
            project_dir="/srv/café",
            provider="claude",
            since_ms=MS - MS % 86_400_000,
            until_ms=MS - MS % 86_400_000 + 43_200_001,
            limit=5,
            offset=3,
        )
    ]


@pytest.mark.parametrize(
    "query",
    [
        "by=week",
        "by=Session",
        "sessionId=a/b",
        "projectDir=srv",
        "provider=Claude",
        "since=yesterday",
        "since=2026-02-30",
        "until=2026-11-23T22:43:11",
        "until=2026-11-23T22:43:11%2B01:00",
        "limit=0",
        "offset=-1",
        "page=2",
    ],
)
def test_what_is_not_asked_for_so(query: str) -> None:
    """A parameter that is not as it is declared is told by its name."""
    response = server().ask("GET", f"/api/usage?{query}")

    assert (response.status, response.code) == (422, "VALIDATION_ERROR")
    errors = response.json["details"]["errors"]
    assert [each["path"] for each in errors] == [query.partition("=")[0]]


def test_a_session_that_is_gone() -> None:
    """What was never spent, by a session that nobody knows, is a sum of nothing."""
    answer = server().ask("GET", "/api/usage?sessionId=session_9").json

    assert answer["lines"] == []
    assert answer["sum"]["origins"] == []
    assert answer["sum"]["spending"]["cost"] == 0
