"""Tests of :mod:`loki_twisted.web.routes_sessions`, through a connection in memory."""

from __future__ import annotations

from typing import Any

import pytest
from zope.interface.verify import verifyObject

from loki_twisted.model import errors
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.model.tasks import TaskStatus
from loki_twisted.model.wire import StartOptions, StartSession
from loki_twisted.sessions.interface import ISessions, SessionQuery
from tests.fakes_web import FakeSessions, Server, session, task

ONE = "session_1_aaaaaaaa"
ENDED = "session_0_eeeeeeee"


def server(**changes: Any) -> Server:
    """A server with a session that runs and one that has ended."""
    sessions = FakeSessions(
        [session(ENDED, status=SessionStatus.STOPPED, provider="codex"), session(ONE, **changes)],
        [task("a", status=TaskStatus.RUNNING), task("b"), task("c", status=TaskStatus.SKIPPED)],
    )
    return Server(sessions=sessions)


def test_the_stand_in_is_one() -> None:
    """The sessions that these tests use are such as the routes expect."""
    assert verifyObject(ISessions, FakeSessions())


def test_start() -> None:
    """A session is started as it was asked for, and answered with 201."""
    here = server()
    response = here.ask(
        "POST",
        "/api/sessions",
        body={"provider": "claude", "prdPath": "./docs/prd.md", "options": {"dryRun": True}},
    )
    assert response.status == 201
    assert response.json == {
        "sessionId": "session_2_bbbbbbbb",
        "status": "starting",
        "message": "The session starts.",
    }
    wanted = StartSession(
        provider="claude", prd_path="./docs/prd.md", options=StartOptions(dry_run=True)
    )
    assert here.sessions.orders == [("start", wanted)]


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}, {"Content-Length": "0"}])
def test_start_without_a_body(headers: dict[str, str]) -> None:
    """Everything about a session is optional, so no body at all is enough."""
    here = server()
    assert here.ask("POST", "/api/sessions", headers=headers).status == 201
    assert here.sessions.orders == [("start", StartSession())]


def test_start_in_the_queue() -> None:
    """A session that waits says so."""
    response = server().ask("POST", "/api/sessions", body={"queue": True})
    assert response.json["status"] == "queued"
    assert response.json["message"] == "The session waits for a place."


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"this is not json", {}, 400, "BAD_REQUEST"),
        (b"[]", {}, 400, "BAD_REQUEST"),
        (b'{"a": 1, "a": 2}', {}, 400, "BAD_REQUEST"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"{}", {"Content-Type": None}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"x=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415, None),
        (b"not json", {"Content-Type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b'{"dryRun": true}', {}, 422, "VALIDATION_ERROR"),
        (b'{"options": {"dryRun": "false"}}', {}, 422, "VALIDATION_ERROR"),
    ],
)
def test_a_body_that_is_wrong_starts_nothing(
    content: bytes, headers: dict[str, Any], status: int, code: str | None
) -> None:
    """The old server started a session on any body at all."""
    here = server()
    response = here.ask("POST", "/api/sessions", body=content, headers=headers)
    assert response.status == status
    assert code is None or response.code == code
    assert here.sessions.orders == []


@pytest.mark.parametrize(
    ("error", "status", "code", "details"),
    [
        (
            errors.SessionAlreadyRunning("One runs.", {"sessionId": ONE}),
            409,
            "SESSION_ALREADY_RUNNING",
            {"sessionId": ONE},
        ),
        (errors.TooManySessions("8 run."), 429, "TOO_MANY_SESSIONS", None),
        (errors.ProviderNotAvailable("No claude."), 503, "PROVIDER_NOT_AVAILABLE", None),
        (errors.AgentNotStarted("No memory."), 503, "SERVICE_UNAVAILABLE", None),
        (errors.StorageFull("Full."), 507, "STORAGE_FULL", None),
        (errors.Unavailable("Shutting down."), 503, "SERVICE_UNAVAILABLE", None),
        (
            errors.InvalidRequest.of([("projectDir", "is not allowed")]),
            422,
            "VALIDATION_ERROR",
            {"errors": [{"path": "projectDir", "message": "is not allowed"}]},
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_session_that_cannot_be_started(
    error: Exception, status: int, code: str, details: object
) -> None:
    """Every reason has its own answer, with what a program needs to know."""
    here = server()
    here.sessions.failure = error
    response = here.ask("POST", "/api/sessions", body={})
    assert (response.status, response.code) == (status, code)
    assert response.json.get("details") == details


def test_list() -> None:
    """All sessions, how many there are, and how many run."""
    response = server().ask("GET", "/api/sessions")
    assert response.status == 200
    assert [each["id"] for each in response.json["sessions"]] == [ENDED, ONE]
    assert (response.json["total"], response.json["running"]) == (2, 1)
    shown = response.json["sessions"][1]
    assert shown["startedAt"] == "2023-11-14T22:13:20.000Z"
    for name in ("prdPath", "pid", "currentPhase", "exitCode", "reason"):
        assert shown[name] is None
    assert (shown["taskCount"], shown["completedTasks"], shown["origin"]) == (0, 0, "started")


def test_list_some() -> None:
    """By status, by provider, and a page of them."""
    here = server()
    target = "/api/sessions?status=stopped,failed&provider=codex&limit=1&offset=0"
    response = here.ask("GET", target)
    assert [each["id"] for each in response.json["sessions"]] == [ENDED]
    assert here.sessions.queries[-1] == SessionQuery(
        statuses=frozenset({SessionStatus.STOPPED, SessionStatus.FAILED}),
        provider="codex",
        limit=1,
        offset=0,
    )


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=abc", "offset=-5", "status=x", "provider=X", "x=1"]
)
def test_list_what_cannot_be_listed(query: str) -> None:
    """A query that is wrong is told, and no empty or odd page is given."""
    response = server().ask("GET", f"/api/sessions?{query}")
    assert (response.status, response.code) == (422, "VALIDATION_ERROR")
    assert response.json["details"]["errors"][0]["path"] == query.split("=", maxsplit=1)[0]


def test_get() -> None:
    """One session with the counts of its tasks and its agents."""
    response = server().ask("GET", f"/api/sessions/{ONE}")
    assert response.json["session"]["id"] == ONE
    assert response.json["tasks"] == {
        "total": 3,
        "pending": 1,
        "running": 1,
        "completed": 0,
        "failed": 0,
    }
    assert response.json["agents"] == {"active": 1, "spawned": 3, "completed": 2}


@pytest.mark.parametrize(
    ("action", "status", "message"),
    [
        ("stop", "stopping", "The session stops."),
        ("pause", "paused", "The session is paused."),
        ("resume", "running", "The session goes on."),
    ],
)
@pytest.mark.parametrize("body", [None, {}])
def test_steer(action: str, status: str, message: str, body: object) -> None:
    """An order is answered at once with where the session stands now."""
    here = server()
    response = here.ask("POST", f"/api/sessions/{ONE}/{action}", body=body)
    assert response.status == 200
    assert response.json == {"sessionId": ONE, "status": status, "message": message}
    assert here.sessions.orders == [(action, ONE)]


@pytest.mark.parametrize("action", ["stop", "pause", "resume"])
def test_steer_what_has_ended(action: str) -> None:
    """A session that does not run cannot be steered, and its state says so."""
    response = server().ask("POST", f"/api/sessions/{ENDED}/{action}")
    assert (response.status, response.code) == (409, "CONFLICT")


def test_an_order_takes_no_fields() -> None:
    """A field where none is known is an error, not ignored."""
    here = server()
    response = here.ask("POST", f"/api/sessions/{ONE}/stop", body={"force": True})
    assert (response.status, response.code) == (422, "VALIDATION_ERROR")
    assert here.sessions.orders == []


def test_input() -> None:
    """Text and its context go to the session as they came."""
    here = server()
    body = {"input": "yes\n", "context": "the question"}
    response = here.ask("POST", f"/api/sessions/{ONE}/input", body=body)
    assert response.json == {
        "sessionId": ONE,
        "message": "The input was handed over.",
        "inputId": None,
        "messageId": "message_1_aaaaaaaa",
        "delivery": "next",
        "status": "delivered",
    }
    assert here.sessions.orders == [("input", ONE, "yes\n", "the question")]


@pytest.mark.parametrize("body", [None, {}, {"input": ""}, {"input": 1}, {"input": "x", "y": 1}])
def test_input_that_is_none(body: object) -> None:
    """Nothing, an empty text and what is no text reach no agent."""
    here = server()
    response = here.ask("POST", f"/api/sessions/{ONE}/input", body=body)
    assert (response.status, response.code) == (422, "VALIDATION_ERROR")
    assert here.sessions.orders == []


def test_delete() -> None:
    """The record of a session that has ended is gone afterwards."""
    here = server()
    response = here.ask("DELETE", f"/api/sessions/{ENDED}")
    assert (response.status, response.json["sessionId"]) == (200, ENDED)
    assert here.ask("GET", f"/api/sessions/{ENDED}").code == "SESSION_NOT_FOUND"


def test_delete_what_runs() -> None:
    """A session that runs keeps its record."""
    response = server().ask("DELETE", f"/api/sessions/{ONE}")
    assert (response.status, response.code) == (409, "CONFLICT")


UNKNOWN = ["session_9_99999999", "a.b", "-x", "_x", "x" * 65, "%20", "a%20b", "%C3%A9", "a'b"]


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/stop"),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/input"),
        ("GET", "/tasks"),
        ("GET", "/tasks/a"),
    ],
)
def test_an_unknown_session(method: str, rest: str) -> None:
    """One that is not there, or can have no such id, is not found; on every route."""
    here = server()
    body = {"input": "x"} if rest == "/input" else None
    for session_id in UNKNOWN:
        response = here.ask(method, f"/api/sessions/{session_id}{rest}", body=body)
        assert (response.status, response.code) == (404, "SESSION_NOT_FOUND"), session_id
