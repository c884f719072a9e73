"""Tests of :mod:`loki_twisted.web.api`: the whole stack, from bytes to fake rooms and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.sessions import SessionStatus
from loki_twisted.web.gate import GatePolicy
from tests.fakes_web import (
    PUBLIC,
    STRANGER,
    TOKEN,
    WITH_TOKEN,
    FakeSessions,
    Server,
    request_bytes,
    session,
    task,
)
from tests.test_web_channel import check_common_headers

ONE = "session_1_aaaaaaaa"
ENDED = "session_0_eeeeeeee"
ROUTES = [
    ("GET", "/health"),
    ("GET", "/health/ready"),
    ("GET", "/health/live"),
    ("GET", "/api/status"),
    ("POST", "/api/sessions"),
    ("GET", "/api/sessions"),
    ("GET", f"/api/sessions/{ONE}"),
    ("POST", f"/api/sessions/{ONE}/stop"),
    ("POST", f"/api/sessions/{ONE}/pause"),
    ("POST", f"/api/sessions/{ONE}/resume"),
    ("POST", f"/api/sessions/{ONE}/input"),
    ("DELETE", f"/api/sessions/{ENDED}"),
    ("GET", f"/api/sessions/{ONE}/tasks"),
    ("GET", f"/api/sessions/{ONE}/tasks/a"),
    ("GET", "/api/tasks"),
    ("GET", "/api/tasks/active"),
    ("GET", "/api/tasks/queue"),
    ("GET", "/api/usage"),
    ("GET", "/api/events/history"),
    ("GET", "/api/events/stats"),
    ("GET", "/openapi.json"),
]
OPEN = {"/health/ready", "/health/live"}


def server(policy: GatePolicy | None = None) -> Server:
    """A server with something in it."""
    ended = session(ENDED, status=SessionStatus.COMPLETED)
    return Server(policy, sessions=FakeSessions([ended, session(ONE)], [task("a")]))


def body_for(target: str) -> object:
    """What a route needs."""
    return {"input": "x"} if target.endswith("/input") else None


@pytest.mark.parametrize(("method", "target"), ROUTES)
def test_every_route_answers(method: str, target: str) -> None:
    """With success, in JSON, and with the headers that every response has."""
    response = server().ask(method, target, body=body_for(target))
    assert response.status == (201 if (method, target) == ("POST", "/api/sessions") else 200)
    assert response.header("content-type") == "application/json"
    assert isinstance(response.json, dict)
    check_common_headers(response)


@pytest.mark.threat("T26", "B24")
@pytest.mark.parametrize(("method", "target"), ROUTES)
def test_every_route_is_guarded(method: str, target: str) -> None:
    """Without a token a stranger gets no further than the probes, and nothing happens."""
    here = server(WITH_TOKEN)
    body = body_for(target)
    response = here.ask(method, target, body=body, here=PUBLIC, peer=STRANGER)
    if target in OPEN:
        assert response.status == 200
    else:
        assert (response.status, response.code) == (401, "UNAUTHORIZED")
        assert response.header("www-authenticate") == "Bearer"
    assert here.sessions.orders == []
    right = {"Authorization": f"Bearer {TOKEN}"}
    response = here.ask(method, target, body=body, headers=right, here=PUBLIC, peer=STRANGER)
    assert response.status in {200, 201}


@pytest.mark.threat("T1", "T2")
@pytest.mark.parametrize(("method", "target"), ROUTES)
def test_no_foreign_page_reaches_any_route(method: str, target: str) -> None:
    """Pages of other sites, and names that were pointed at this machine, stop at the gate."""
    here = server()
    for name, value, status in (
        ("Host", "evil.example", 421),
        ("Host", "0.0.0.0:57374", 421),
        ("Origin", "https://evil.example", 403),
        ("Origin", "null", 403),
        ("Sec-Fetch-Site", "cross-site", 403),
    ):
        response = here.ask(method, target, body=body_for(target), headers={name: value})
        assert response.status == status, (name, value)
        assert response.header("access-control-allow-origin") is None
        check_common_headers(response)
    assert here.sessions.orders == []


METHODS: dict[str, set[str]] = {}
for _method, _target in ROUTES:
    METHODS.setdefault(_target.replace(ENDED, ONE), set()).add(_method)


@pytest.mark.parametrize("target", sorted(METHODS))
def test_head_is_answered_where_get_is(target: str) -> None:
    """By the headers of GET and no body; elsewhere it is a wrong method."""
    connection = server().connect()
    connection.send(request_bytes("HEAD", target))
    head, _, body = connection.transport.value().partition(b"\r\n\r\n")
    assert body == b""
    status = b"200" if "GET" in METHODS[target] else b"405"
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"Content-Length: " in head


@pytest.mark.parametrize("target", sorted(METHODS))
def test_wrong_methods_are_told_the_right_ones(target: str) -> None:
    """On every route, exactly those that it has."""
    here = server()
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - METHODS[target]:
        response = here.ask(method, target)
        assert (response.status, response.code) == (405, "METHOD_NOT_ALLOWED"), method
        told = set((response.header("allow") or "").split(", "))
        assert told == METHODS[target] | ({"HEAD"} if "GET" in METHODS[target] else set())


@pytest.mark.parametrize(
    "target",
    [
        "/page",
        "/api",
        "/api/",
        "/api/sessions/",
        "/API/sessions",
        "/healthXYZ",
        "/health/",
        "/x" * 99,
    ],
)
def test_unknown_paths(target: str) -> None:
    """What is not there is not found, in our envelope; a stranger does not even learn that."""
    response = server().ask("GET", target)
    assert (response.status, response.code) == (404, "NOT_FOUND")
    check_common_headers(response)
    assert server(WITH_TOKEN).ask("GET", target).status == 401


@pytest.mark.threat("order", "B24")
@pytest.mark.parametrize("method", ["DELETE", "PUT", "OPTIONS"])
def test_a_stranger_cannot_tell_routes_apart(method: str) -> None:
    """A wrong method, a wrong path and a wrong body are all the same to who has no token."""
    here = server(WITH_TOKEN)
    bodies = [here.ask(method, target).body for target in ("/api/sessions", "/nope")]
    assert bodies[0] == bodies[1]
    text = {"Content-Type": "text/plain"}
    assert here.ask("POST", "/api/sessions", body=b"x", headers=text).status == 401


@pytest.mark.threat("T3")
def test_a_page_of_this_machine() -> None:
    """Its preflight is answered, and the request that follows can be read by it."""
    here = server()
    origin = {"Origin": "http://localhost:5173"}
    asks = {
        **origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
        "Sec-Fetch-Site": "same-site",
    }
    connection = here.connect()
    connection.send(request_bytes("OPTIONS", "/api/sessions", headers=asks))
    preflight = connection.response()
    assert (preflight.status, preflight.body) == (204, b"")
    assert preflight.header("access-control-allow-origin") == "http://localhost:5173"
    assert "POST" in (preflight.header("access-control-allow-methods") or "")
    assert "Content-Type" in (preflight.header("access-control-allow-headers") or "")
    assert preflight.header("content-length") is None
    assert preflight.header("vary") == "Origin"
    connection.send(request_bytes("POST", "/api/sessions", body={}, headers=origin))
    response = connection.responses()[-1]
    assert response.status == 201
    assert response.header("access-control-allow-origin") == "http://localhost:5173"
    assert response.header("access-control-allow-credentials") is None


def test_a_page_of_this_machine_reads_errors_and_streams() -> None:
    """Whatever the answer is, the page that may read answers may read it."""
    origin = {"Origin": "http://[::1]:3000"}
    for target in ("/nope", "/api/sessions/none", "/api/tasks?x=1", "/api/events"):
        connection = server().connect()
        connection.send(request_bytes("GET", target, headers=origin))
        assert connection.response().header("access-control-allow-origin") == "http://[::1]:3000"
        connection.close()


@pytest.mark.threat("B31")
def test_guessing_tokens_over_connections() -> None:
    """It does not help to open a new connection for each attempt."""
    here = server(WITH_TOKEN)

    def attempt(token: str) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        return here.ask("GET", "/api/status", headers=headers, here=PUBLIC, peer=STRANGER)

    assert [attempt(f"wrong{number}").status for number in range(10)] == [401] * 10
    response = attempt("wrong")
    assert (response.status, response.code) == (429, "TOO_MANY_REQUESTS")
    assert response.header("retry-after") == "60"
    assert attempt(TOKEN).status == 200


def test_guessing_tokens_with_bodies_is_counted_the_same() -> None:
    """A request that is refused before its body counts once, like one that has none."""
    here = server(WITH_TOKEN)
    headers = {"Authorization": "Bearer wrong"}
    statuses = [
        here.ask("POST", "/api/sessions", body={}, headers=headers).status for _ in range(11)
    ]
    assert statuses == [401] * 10 + [429]
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert here.ask("POST", "/api/sessions", body={}, headers=right).status == 201


HOSTILE = [
    "'+__import__('os').popen('touch F').read()+'",
    "$(touch F)",
    "`touch F`",
    "; touch F",
    "../../etc/passwd",
    "%00",
    "--bg",
    "<script>alert(1)</script>",
    "\u202e\u2028",
    "\ud7ff\ue000",
    "😀" * 20,
]


@pytest.mark.threat("T17", "T18")
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_only_text(text: str) -> None:
    """In any parameter, path or field it is refused or handed on as it is; nothing breaks."""
    from urllib.parse import quote

    here = server()
    escaped = quote(text, safe="")
    for target in (
        f"/api/sessions/{escaped}",
        f"/api/sessions/{ONE}/tasks/{escaped}",
        f"/api/sessions?provider={escaped}",
        f"/api/events/history?sessionId={escaped}",
        f"/api/events/history?after={escaped}",
        f"/api/events/history?types={escaped}",
        f"/api/tasks?limit={escaped}",
        f"/api/tasks?{escaped}=1",
    ):
        assert here.ask("GET", target).status in {400, 404, 422}, target
    body = {"input": text, "context": text}
    assert here.ask("POST", f"/api/sessions/{ONE}/input", body=body).status == 200
    assert here.sessions.orders[-1] == ("input", ONE, text, text)


@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD"]),
    target=st.sampled_from([target for _, target in ROUTES]),
    content=st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=6),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["input", "prompt", "options", "timeout", "x"]),
                    inner,
                    max_size=3,
                )
            ),
        ).map(lambda value: json.dumps(value).encode()),
    ),
    declared=st.sampled_from(["application/json", "text/plain"]),
    query=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
)
def test_no_request_is_a_fault_of_ours(
    method: str, target: str, content: bytes, declared: str, query: str
) -> None:
    """Any body and any query on any route is answered, and never by a 500."""
    connection = server().connect()
    connection.send(
        request_bytes(method, f"{target}?{query}", body=content, headers={"Content-Type": declared})
    )
    status = int(connection.transport.value()[9:12])
    assert 200 <= status < 500
    connection.close()


def test_the_log_may_fail_while_everything_else_is_asked() -> None:
    """Reading goes on when nothing can be written."""
    here = server()
    here.log.failure = "disk I/O error"
    for method, target in ROUTES:
        if method == "GET":
            assert here.ask(method, target).status == (503 if target == "/health" else 200)
