"""Tests of :mod:`loki_twisted.web.routes_tasks`, through a connection in memory."""

from __future__ import annotations

import pytest

from loki_twisted.model.task_places import TaskPlace
from loki_twisted.model.tasks import OpenTasks, TaskQuery, TaskStatus
from tests.fakes_web import FakeSessions, Server, session, task

ONE = "session_1_aaaaaaaa"


def server() -> Server:
    """A server with five tasks of one session, and none of another."""
    tasks = [
        task("t1", status=TaskStatus.COMPLETED, output={"files": 3}),
        task("t2", status=TaskStatus.RUNNING, priority="high"),
        task("t3", status=TaskStatus.QUEUED, priority=7),
        task("t4"),
        task("t 5", status=TaskStatus.FAILED, error="it broke"),
    ]
    return Server(sessions=FakeSessions([session(ONE), session("session_0_ffffffff")], tasks))


def test_the_tasks_of_a_session() -> None:
    """A page of them, where it lies, and how many stand where."""
    response = server().ask("GET", f"/api/sessions/{ONE}/tasks?limit=2&offset=1")
    assert [each["id"] for each in response.json["tasks"]] == ["t2", "t3"]
    place = TaskPlace("2023-11-14T22:13:20.000Z", 3)
    where = {"total": 5, "limit": 2, "offset": 1, "hasMore": True, "nextCursor": place.text}
    assert response.json["pagination"] == where
    assert response.json["summary"] == {"pending": 2, "running": 1, "completed": 1, "failed": 1}
    shown = response.json["tasks"][0]
    assert shown["sessionId"] == ONE
    assert shown["priority"] == "high"
    assert shown["createdAt"] == "2023-11-14T22:13:20.000Z"


def test_a_page_by_default() -> None:
    """A hundred from the start, whatever their status."""
    here = server()
    response = here.ask("GET", f"/api/sessions/{ONE}/tasks")
    where = {"total": 5, "limit": 100, "offset": 0, "hasMore": False, "nextCursor": None}
    assert response.json["pagination"] == where
    assert here.sessions.queries == [TaskQuery(session_id=ONE)]


def test_the_tasks_of_some_statuses() -> None:
    """The filter goes to the store, and the page is of what it found."""
    response = server().ask("GET", f"/api/sessions/{ONE}/tasks?status=pending,queued")
    assert [each["id"] for each in response.json["tasks"]] == ["t3", "t4"]
    assert response.json["pagination"]["total"] == 2


@pytest.mark.parametrize("route", ["/api/tasks", f"/api/sessions/{ONE}/tasks"])
def test_page_after_page(route: str) -> None:
    """The cursor of a page asks for the one behind it; the last page has none."""
    here = server()
    names, after = [], ""
    for _ in range(3):
        page = here.ask("GET", f"{route}?limit=2{after}").json
        names.append([each["id"] for each in page["tasks"]])
        assert (page["pagination"]["total"], page["pagination"]["offset"]) == (5, 0)
        assert page["pagination"]["hasMore"] == (page["pagination"]["nextCursor"] is not None)
        after = f"&after={page['pagination']['nextCursor']}"
    assert names == [["t1", "t2"], ["t3", "t4"], ["t 5"]]
    assert after == "&after=None"
    assert here.sessions.queries[1].after == TaskPlace("2023-11-14T22:13:20.000Z", 2)


@pytest.mark.parametrize("route", ["/api/tasks", f"/api/sessions/{ONE}/tasks"])
def test_a_cursor_and_an_offset(route: str) -> None:
    """Either says where a page begins, and not both."""
    here = server()
    after = here.ask("GET", f"{route}?limit=2").json["pagination"]["nextCursor"]
    response = here.ask("GET", f"{route}?after={after}&offset=1")
    assert (response.status, response.code) == (422, "VALIDATION_ERROR")
    assert [each["path"] for each in response.json["details"]["errors"]] == ["offset"]
    assert here.ask("GET", f"{route}?after={after}&offset=0").status == 200


def test_one_task() -> None:
    """With its output, as the agent reported it."""
    response = server().ask("GET", f"/api/sessions/{ONE}/tasks/t1")
    assert response.json["task"]["output"] == {"files": 3}
    assert server().ask("GET", f"/api/sessions/{ONE}/tasks/t%205").json["task"]["id"] == "t 5"


def test_an_unknown_task() -> None:
    """It is not found, which is another code than that of a session."""
    response = server().ask("GET", f"/api/sessions/{ONE}/tasks/nope")
    assert (response.status, response.code) == (404, "NOT_FOUND")


def test_all_tasks() -> None:
    """Of all sessions, newest first, a page at a time."""
    here = server()
    response = here.ask("GET", "/api/tasks?status=failed&limit=1000")
    assert [each["id"] for each in response.json["tasks"]] == ["t 5"]
    assert set(response.json) == {"tasks", "pagination"}
    assert here.sessions.queries == [TaskQuery(statuses=frozenset({TaskStatus.FAILED}), limit=1000)]


def test_active_tasks() -> None:
    """Those that run now, of sessions that do."""
    here = server()
    response = here.ask("GET", "/api/tasks/active")
    assert response.json["count"] == 1
    assert [each["id"] for each in response.json["tasks"]] == ["t2"]
    assert here.sessions.queries == [(OpenTasks.ACTIVE, None)]


def test_queued_tasks() -> None:
    """Those that wait, of sessions that run, the most urgent first."""
    here = server()
    response = here.ask("GET", "/api/tasks/queue")
    assert response.json["count"] == 2
    assert here.sessions.queries == [(OpenTasks.WAITING, None)]


@pytest.mark.parametrize("route", ["/api/tasks", f"/api/sessions/{ONE}/tasks"])
@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=abc",
        "limit=1001",
        "offset=-5",
        "offset=1e9",
        "status=done",
        "after=",
        "after=null",
        "after=evt_1_1",
        f"after={'A' * 500}",
    ],
)
def test_a_page_that_cannot_be(route: str, query: str) -> None:
    """Neither page nor filter is guessed."""
    response = server().ask("GET", f"{route}?{query}")
    assert (response.status, response.code) == (422, "VALIDATION_ERROR")


def test_the_first_open_tasks() -> None:
    """A limit gives the first ones, and the count is still of all."""
    here = server()
    response = here.ask("GET", "/api/tasks/queue?limit=1")
    assert [each["id"] for each in response.json["tasks"]] == ["t3"]
    assert response.json["count"] == 2
    assert here.sessions.queries == [(OpenTasks.WAITING, 1)]


@pytest.mark.parametrize("route", ["/api/tasks/active", "/api/tasks/queue"])
@pytest.mark.parametrize("query", ["offset=5", "after=WyJhIiwxXQ", "status=running", "limit=0"])
def test_open_tasks_have_no_pages(route: str, query: str) -> None:
    """Parameters of other routes are unknown here."""
    assert server().ask("GET", f"{route}?{query}").status == 422
