"""Tests of :mod:`loki_twisted.web.witness`: what of a request is put on record."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred

from loki_twisted.access.interface import Scope
from loki_twisted.access.keyring import Keyring
from loki_twisted.model.errors import StorageFull
from loki_twisted.model.inputs import Input, InputKind
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.model.timestamps import iso_from_ms
from loki_twisted.web.execution import ORDER_SECONDS
from loki_twisted.web.gate import GatePolicy
from loki_twisted.web.routes import every_operation
from loki_twisted.web.witness import REFUSALS_EACH, REFUSALS_TOGETHER
from tests.fakes_web import (
    AT_MS,
    PUBLIC,
    SOCKET_FILE,
    STRANGER,
    FakeSessions,
    Server,
    request_bytes,
    session,
)
from tests.test_web_tickets import SESSION, Guarded, token

DONE = "session_0_aaaaaaaa"
SECRET = "SECRETXYZ"


def sessions() -> FakeSessions:
    """One that runs and asks something, and one that has ended."""
    made = FakeSessions([session(DONE, status=SessionStatus.COMPLETED), session()])
    asked = Input(
        id="input_1_aaaaaaaa",
        session_id=SESSION,
        kind=InputKind.QUESTION,
        prompt="May I?",
        created_at=iso_from_ms(AT_MS),
    )
    made.all_inputs[SESSION, asked.id] = asked
    return made


CHANGES: list[tuple[str, str, object, dict[str, object]]] = [
    ("POST", "/api/sessions", {"prompt": SECRET}, {"sessionId": "session_2_bbbbbbbb"}),
    ("POST", f"/api/sessions/{DONE}/continue", {"message": SECRET}, {"sessionId": DONE}),
    ("POST", f"/api/sessions/{SESSION}/stop", {}, {"sessionId": SESSION}),
    ("POST", f"/api/sessions/{SESSION}/pause", {}, {"sessionId": SESSION}),
    ("POST", f"/api/sessions/{SESSION}/resume", {}, {"sessionId": SESSION}),
    ("POST", f"/api/sessions/{SESSION}/interrupt", {}, {"sessionId": SESSION}),
    ("POST", f"/api/sessions/{SESSION}/input", {"input": SECRET}, {"sessionId": SESSION}),
    (
        "POST",
        f"/api/sessions/{SESSION}/inputs/input_1_aaaaaaaa",
        {"answer": SECRET},
        {"sessionId": SESSION, "inputId": "input_1_aaaaaaaa"},
    ),
    ("DELETE", f"/api/sessions/{DONE}", None, {"sessionId": DONE}),
    ("POST", "/api/events/ticket", {}, {}),
]


def test_all_that_changes_something_is_in_the_table() -> None:
    """Every operation that is not a GET is recorded by a case below."""
    templates = {(each.method, each.path) for each in every_operation() if each.method != "GET"}
    assert len(templates) == len(CHANGES)


@pytest.mark.threat("T12")
@pytest.mark.parametrize(("method", "target", "body", "about"), CHANGES)
def test_what_changes_something_is_recorded(
    method: str, target: str, body: object, about: dict[str, object]
) -> None:
    """Who, what, from where, with what result; and nothing of what was said."""
    guarded = Guarded(token("ci"), sessions=sessions())
    answer = guarded.ask(
        method, target, "ci", body=body, headers={"X-Request-ID": "r-1", "X-Other": SECRET}
    )
    assert answer.status in {200, 201}, answer
    (entry,) = guarded.server.audit.entries
    template = entry.pop("route")
    assert template in {each.path for each in every_operation() if each.method == method}
    assert entry == {
        "requestId": "r-1",
        "who": "ci",
        "from": "198.51.100.7:40000",
        "method": method,
        "status": answer.status,
        "code": "OK",
        **about,
    }
    assert SECRET not in json.dumps(entry)


STOP = f"/api/sessions/{SESSION}/stop"
REFUSED: list[tuple[str, str, str | None, dict[str, Any], int, str, str | None]] = [
    ("POST", STOP, None, {}, 401, "UNAUTHORIZED", None),
    ("POST", STOP, "wrong", {}, 401, "UNAUTHORIZED", None),
    ("POST", STOP, "reader", {}, 403, "FORBIDDEN", "reader"),
    ("POST", f"/api/sessions/{DONE}/stop", "ci", {}, 409, "CONFLICT", "ci"),
    ("POST", f"/api/sessions/{SECRET}/stop", "ci", {}, 404, "SESSION_NOT_FOUND", "ci"),
    ("POST", f"/api/sessions/{SECRET}/stop", "reader", {}, 403, "FORBIDDEN", "reader"),
    ("POST", f"/api/sessions/{SECRET}/stop?x=1", "ci", {}, 422, "VALIDATION_ERROR", "ci"),
    ("POST", f"/api/sessions/{SECRET}/stop", "ci", {"body": b"["}, 400, "BAD_REQUEST", "ci"),
    ("POST", f"{STOP[:-5]}/inputs/{SECRET}", "ci", {}, 422, "VALIDATION_ERROR", "ci"),
    ("POST", f"/api/{SECRET}", "ci", {}, 404, "NOT_FOUND", "ci"),
    ("PUT", "/api/sessions", "ci", {}, 405, "METHOD_NOT_ALLOWED", "ci"),
    ("POST", "/api/sessions", "ci", {"body": b"{"}, 400, "BAD_REQUEST", "ci"),
    ("POST", "/api/sessions", "ci", {"body": {"x": SECRET}}, 422, "VALIDATION_ERROR", "ci"),
    ("POST", f"/api/sessions?{SECRET}={SECRET}", "ci", {}, 422, "VALIDATION_ERROR", "ci"),
    ("POST", STOP, "ci", {"headers": {"Origin": f"https://{SECRET}.x"}}, 403, "FORBIDDEN", None),
    ("POST", STOP, "ci", {"headers": {"Host": f"{SECRET}.x"}}, 421, "HOST_NOT_ALLOWED", None),
    ("POST", f"/api/sessions?token={SECRET}", None, {}, 401, "UNAUTHORIZED", None),
    ("POST", "/api/sessions", "ci", {"body": b"x" * 2_000_000}, 413, "PAYLOAD_TOO_LARGE", None),
    ("POST", f"//{SECRET}", "ci", {}, 400, "BAD_REQUEST", None),
    ("GET", "/api/status", SECRET, {}, 401, "UNAUTHORIZED", None),
]


@pytest.mark.threat("T12")
@pytest.mark.parametrize(("method", "target", "name", "asked", "status", "code", "who"), REFUSED)
def test_refused_attempts_are_recorded(
    method: str,
    target: str,
    name: str | None,
    asked: dict[str, Any],
    status: int,
    code: str,
    who: str | None,
) -> None:
    """Each with its result, also what is refused before it is read; and nothing that it said."""
    reader = token("reader", {Scope.READ})
    guarded = Guarded(token("ci"), reader, sessions=sessions())
    body = None if method == "GET" else {}
    assert guarded.ask(method, target, name, **{"body": body, **asked}).status == status
    (entry,) = guarded.server.audit.entries
    assert (entry["status"], entry["code"], entry["method"]) == (status, code, method)
    assert entry.get("who") == who
    assert SECRET not in json.dumps(entry)


def test_reading_is_not_recorded() -> None:
    """Whoever may; also what is not there, what is asked wrongly, and what takes a scope."""
    guarded = Guarded(token("ci"), token("nothing", ()), sessions=sessions())
    targets = ("/api/sessions", "/nowhere", "/api/events/history?x=1", f"/api/sessions/{SESSION}")
    for target in targets:
        guarded.ask("GET", target, "ci")
        guarded.ask("HEAD", target, "nothing")
    assert guarded.server.audit.entries == []


def test_an_entry_is_there_before_the_answer() -> None:
    """When the client knows, the record does; and if the client has left it is recorded as well."""
    guarded = Guarded(token("ci"), sessions=sessions())
    for leaves in (False, True):
        waiting = guarded.server.sessions.waiting = Deferred()
        connection = guarded.server.connect(PUBLIC, STRANGER)
        headers = {"Host": "192.0.2.1", "Authorization": "Bearer ci"}
        target = f"/api/sessions/{SESSION}/stop"
        connection.send(request_bytes("POST", target, body={}, headers=headers))
        seen: list[bytes] = []
        record = guarded.server.audit.record
        guarded.server.audit.record = lambda entry, seen=seen, connection=connection: (  # type: ignore[method-assign, misc]
            seen.append(connection.transport.value())
        )
        if leaves:
            connection.close()
        waiting.callback(None)
        guarded.server.audit.record = record  # type: ignore[method-assign]
        assert seen == [b""]


def test_a_failure_is_recorded_as_one() -> None:
    """What could not be done is not on record as done."""
    guarded = Guarded(token("ci"), sessions=sessions())
    guarded.server.sessions.failure = StorageFull("full")
    assert guarded.ask("POST", "/api/sessions", "ci", body={}).status == 507
    (entry,) = guarded.server.audit.entries
    assert (entry["status"], entry["code"]) == (507, "STORAGE_FULL")
    assert "sessionId" not in entry


def test_an_order_that_took_too_long_is_recorded_again() -> None:
    """When it is known what became of it: it was carried out, or not, after its client was told."""
    for error, code in ((None, "OK"), (StorageFull("full"), "STORAGE_FULL")):
        guarded = Guarded(token("ci"), sessions=sessions())
        waiting = guarded.server.sessions.waiting = Deferred()
        connection = guarded.server.connect(PUBLIC, STRANGER)
        headers = {"Host": "192.0.2.1", "Authorization": "Bearer ci"}
        target = f"/api/sessions/{SESSION}/stop"
        connection.send(request_bytes("POST", target, body={}, headers=headers))
        guarded.server.clock.advance(ORDER_SECONDS)
        assert connection.response().code == "TIMEOUT"
        waiting.callback(None) if error is None else waiting.errback(error)
        first, last = guarded.server.audit.entries
        assert (first["code"], last["code"], last["sessionId"]) == ("TIMEOUT", code, SESSION)
        assert first["requestId"] == last["requestId"]


def test_our_own_user_is_recorded_by_number() -> None:
    """Who needs no token is ``local``, with the user id where it is known."""
    server = Server(sessions=sessions())
    assert server.ask("POST", f"/api/sessions/{SESSION}/stop", body={}).status == 200
    there = {"here": SOCKET_FILE, "peer": UNIXAddress(None)}
    assert server.ask("POST", f"/api/sessions/{SESSION}/stop", body={}, **there).status == 200
    by_tcp, by_unix = server.audit.entries
    assert (by_tcp["who"], by_tcp["from"]) == ("local", "127.0.0.1:40000")
    assert isinstance(by_tcp["uid"], int)
    assert (by_unix["who"], by_unix["from"]) == ("local", "unix")


def test_where_nobody_is_asked_the_user_is_not_made_up() -> None:
    """With --no-auth nothing tells whose process it is."""
    server = Server(GatePolicy(auth_required=False), our_user=False, sessions=sessions())
    server.ask("POST", f"/api/sessions/{SESSION}/stop", body={})
    (entry,) = server.audit.entries
    assert "uid" not in entry


def test_refused_attempts_are_bounded() -> None:
    """So many a minute of each, and of all; those that are left out are counted."""
    guarded = Guarded(token("ci"), sessions=sessions())
    for _ in range(REFUSALS_EACH + 7):
        guarded.ask("POST", "/nowhere", "ci", body={})
    assert len(guarded.server.audit.entries) == REFUSALS_EACH
    guarded.ask("POST", f"/api/sessions/{SESSION}/stop", "ci", body={})
    last = guarded.server.audit.entries[-1]
    assert (last["status"], last["untold"]) == (200, 7)
    guarded.server.clock.advance(60)
    guarded.ask("POST", "/nowhere", "ci", body={})
    assert len(guarded.server.audit.entries) == REFUSALS_EACH + 2
    assert REFUSALS_TOGETHER >= REFUSALS_EACH


@pytest.mark.parametrize(
    ("target", "body", "of"),
    [
        (f"/api/sessions/{SESSION}/inputs/input_1_aaaaaaaa", {"answer": "yes"}, "answers"),
        (f"/api/sessions/{SESSION}/input", {"input": "go on"}, "messages"),
    ],
)
@pytest.mark.parametrize("name", ["ci", None])
def test_who_answers_is_named_by_the_token(
    target: str, body: object, of: str, name: str | None
) -> None:
    """Answers and messages are of the token by which they came, or of ``local``."""
    made = sessions()
    guarded = Guarded(token("ci"), sessions=made)
    if name is None:
        guarded.server = Server(GatePolicy(keyring=Keyring()), sessions=made)
        answer = guarded.server.ask("POST", target, body=body)
    else:
        answer = guarded.ask("POST", target, name, body=body)
    assert answer.status == 200
    if of == "answers":
        assert answer.json["input"]["answeredBy"] == (name or "local")
    else:
        assert made.senders == [name or "local"]
