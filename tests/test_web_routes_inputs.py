"""Tests of the routes of inputs and messages, and of requests that come twice."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from loki_twisted.model.inputs import Answer, Effect, Input, InputKind, Option
from loki_twisted.model.messages import Message
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.model.timestamps import iso_from_ms
from tests.fakes_web import AT_MS, FakeSessions, Server, request_bytes, session

ONE = "session_1_aaaaaaaa"
ASKED = Input(
    id="input_1_aaaaaaaa",
    session_id=ONE,
    kind=InputKind.PERMISSION,
    prompt="May I dig?",
    created_at=iso_from_ms(AT_MS),
    options=(
        Option(value="allow", label="Yes", effect=Effect.ALLOW),
        Option(value="deny", label="No", effect=Effect.DENY),
    ),
)
ANSWERS = f"/api/sessions/{ONE}/inputs/{ASKED.id}"
KEY = {"Idempotency-Key": "once"}


def here(**changes: object) -> Server:
    """A server with one session that asks one thing."""
    sessions = FakeSessions([session(ONE, **changes)])
    sessions.all_inputs[ONE, ASKED.id] = ASKED
    return Server(sessions=sessions)


def test_the_inbox() -> None:
    """What is open, as clients see it."""
    [asked] = here().ask("GET", "/api/inputs").json["inputs"]
    assert asked["id"] == ASKED.id
    assert asked["status"] == "open"
    assert asked["options"][1] == {
        "value": "deny",
        "label": "No",
        "description": None,
        "effect": "deny",
    }


def test_inputs_of_a_session() -> None:
    """A page of them, and one by its id."""
    server = here()
    found = server.ask("GET", f"/api/sessions/{ONE}/inputs?limit=1").json
    assert [each["id"] for each in found["inputs"]] == [ASKED.id]
    assert found["pagination"]["total"] == 1
    assert server.ask("GET", ANSWERS).json["input"]["prompt"] == "May I dig?"


@pytest.mark.parametrize("path", ["inputs", "messages"])
def test_of_no_session(path: str) -> None:
    """Nobody knows it."""
    response = here().ask("GET", f"/api/sessions/session_9_aaaaaaaa/{path}")
    assert (response.status, response.code) == (404, "SESSION_NOT_FOUND")


def test_an_answer() -> None:
    """It closes the input; the same again is fine, another one is not."""
    server = here()
    body = {"answer": "deny", "message": "not now"}
    told = server.ask("POST", ANSWERS, body=body).json["input"]
    assert (told["status"], told["answeredBy"]) == ("answered", "local")
    assert told["answer"] == {"values": ["deny"], "message": "not now"}
    assert server.ask("POST", ANSWERS, body=body).status == 200
    again = server.ask("POST", ANSWERS, body={"answer": "allow"})
    assert (again.status, again.code) == (409, "CONFLICT")
    assert server.ask("GET", "/api/inputs").json == {"inputs": [], "count": 0}


def test_several_answers() -> None:
    """A list is several values."""
    server = here()
    server.ask("POST", ANSWERS, body={"answer": ["allow", "deny"]})
    assert server.sessions.orders[-1] == ("answer", ASKED.id, Answer(values=("allow", "deny")))


@pytest.mark.parametrize(
    "body", [None, {}, {"answer": ""}, {"answer": []}, {"answer": 1}, {"answer": "x", "y": 1}]
)
def test_no_answer(body: object) -> None:
    """What is no answer is refused before anybody is asked."""
    server = here()
    response = server.ask("POST", ANSWERS, body=body)
    assert (response.status, response.code) == (422, "VALIDATION_ERROR")
    assert server.sessions.orders == []


def test_no_such_input() -> None:
    """An id that nobody gave."""
    response = here().ask("POST", ANSWERS + "x", body={"answer": "allow"})
    assert (response.status, response.code) == (404, "NOT_FOUND")


def test_messages() -> None:
    """A page of them."""
    server = here()
    server.sessions.all_messages.append(
        Message(id="message_1_aa", session_id=ONE, text="hi", created_at=iso_from_ms(AT_MS))
    )
    [told] = server.ask("GET", f"/api/sessions/{ONE}/messages").json["messages"]
    assert (told["text"], told["status"], told["delivery"]) == ("hi", "queued", "next")


def test_interrupting() -> None:
    """The order is given."""
    server = here()
    assert server.ask("POST", f"/api/sessions/{ONE}/interrupt").json["sessionId"] == ONE
    assert server.sessions.orders == [("interrupt", ONE)]


def test_continuing() -> None:
    """A new session, once the old one has ended."""
    body = {"message": "more"}
    running = here().ask("POST", f"/api/sessions/{ONE}/continue", body=body)
    assert (running.status, running.code) == (409, "CONFLICT")
    server = here(status=SessionStatus.COMPLETED)
    response = server.ask("POST", f"/api/sessions/{ONE}/continue", body=body)
    assert response.status == 201
    assert response.json["sessionId"] == "session_2_bbbbbbbb"


@pytest.mark.threat("T30")
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/sessions", {"prompt": "x"}),
        (f"/api/sessions/{ONE}/input", {"input": "x"}),
        (ANSWERS, {"answer": "allow"}),
    ],
)
def test_a_request_that_comes_twice(path: str, body: object) -> None:
    """Under the same key it is carried out once, and answered both times."""
    server = here()
    first = server.ask("POST", path, body=body, headers=KEY)
    second = server.ask("POST", path, body=body, headers=KEY)
    assert first.status == second.status < 300
    assert len(server.sessions.orders) == 1
    for name in ("sessionId", "messageId", "inputId"):
        assert first.json.get(name) == second.json.get(name)


def test_without_a_key() -> None:
    """It is carried out as often as it comes."""
    server = here()
    for _ in range(2):
        server.ask("POST", f"/api/sessions/{ONE}/input", body={"input": "x"})
    assert len(server.sessions.orders) == 2


@pytest.mark.threat("T30")
def test_a_key_for_something_else() -> None:
    """A key that was used for another request is refused."""
    server = here()
    path = f"/api/sessions/{ONE}/input"
    server.ask("POST", path, body={"input": "x"}, headers=KEY)
    response = server.ask("POST", path, body={"input": "y"}, headers=KEY)
    assert (response.status, response.code) == (409, "CONFLICT")
    assert len(server.sessions.orders) == 1


@pytest.mark.parametrize("key", ["a b", "", "\x7f", "k" * 256])
def test_a_key_that_is_none(key: str) -> None:
    """Blanks, control characters, nothing at all and too much are refused, and nothing is done."""
    headers = {"Idempotency-Key": key}
    response = here().ask(
        "POST", f"/api/sessions/{ONE}/input", body={"input": "x"}, headers=headers
    )
    assert (response.status, response.code) == (422, "VALIDATION_ERROR")


@pytest.mark.threat("T30")
def test_both_at_once() -> None:
    """While one is under way, the other is told so."""
    server = here()
    server.sessions.waiting = Deferred()
    path = f"/api/sessions/{ONE}/input"
    first = server.connect()
    first.send(request_bytes("POST", path, body={"input": "x"}, headers=KEY))
    second = server.ask("POST", path, body={"input": "x"}, headers=KEY)
    assert (second.status, second.code) == (409, "CONFLICT")
    server.sessions.waiting.callback(None)
    assert first.response().status == 200
