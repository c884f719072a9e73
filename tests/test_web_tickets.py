"""Tests of tickets, of scopes, and of answers that end with the token they were asked for with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from loki_twisted.access.interface import EVERY_SCOPE, Scope
from loki_twisted.access.keyring import Keyring
from loki_twisted.access.tokens import Token, digest_of
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.web.gate import GatePolicy
from loki_twisted.web.routes import every_operation
from loki_twisted.web.scopes import SCOPE_OF, scope_of
from loki_twisted.web.tickets import MOST_OF_ONE, TICKET_SECONDS
from tests.fakes_web import (
    PUBLIC,
    STRANGER,
    Connection,
    FakeSessions,
    Response,
    Server,
    request_bytes,
    session,
)

PAGE = {"Origin": "http://localhost:3000"}
SESSION = "session_1_aaaaaaaa"


def token(name: str, scopes: Iterable[Scope] = EVERY_SCOPE, expires_ms: int | None = None) -> Token:
    """A token that is called like what is shown for it."""
    digest = digest_of(name.encode())
    return Token(name=name, digest=digest, scopes=frozenset(scopes), expires_ms=expires_ms)


class Guarded:
    """
    A server that asks strangers for a token.

    :ivar now_ms: The wall clock, by which tokens expire.
    """

    def __init__(self, *tokens: Token, sessions: FakeSessions | None = None) -> None:
        self.now_ms = 0
        self.keyring = Keyring(tokens, lambda: self.now_ms)
        policy = GatePolicy(keyring=self.keyring, local_without_token=False)
        self.server = Server(policy, sessions=sessions)

    def ask(self, method: str, target: str, name: str | None = None, **asked: Any) -> Response:
        """Ask as whoever has a token."""
        headers = {"Host": "192.0.2.1", **asked.pop("headers", {})}
        if name is not None:
            headers["Authorization"] = f"Bearer {name}"
        return self.server.ask(method, target, headers=headers, here=PUBLIC, peer=STRANGER, **asked)

    def ticket(self, name: str = "reader", body: object = None, **headers: str) -> str:
        """Make a ticket."""
        answer = self.ask("POST", "/api/events/ticket", name, body=body or {}, headers=headers)
        assert answer.status == 201, answer
        return str(answer.json["ticket"])

    def stream(self, query: str, name: str | None = None, **headers: str) -> Connection:
        """Open a stream; it stays open."""
        fields = {"Host": "192.0.2.1", **headers}
        if name is not None:
            fields["Authorization"] = f"Bearer {name}"
        connection = self.server.connect(PUBLIC, STRANGER)
        connection.send(request_bytes("GET", f"/api/events{query}", headers=fields))
        return connection


def refused(connection: Connection) -> tuple[int, str]:
    """How a stream was refused."""
    response = connection.response()
    return response.status, response.code


def opened(connection: Connection) -> bool:
    """Whether a stream was opened, and is open."""
    (response,) = connection.responses()
    return response.status == 200 and not connection.is_closed


# Tickets


@pytest.mark.threat("T14", "B57")
def test_a_ticket_opens_one_stream_without_a_token() -> None:
    """It is used up by it: the next one to show it is told that it is wrong."""
    guarded = Guarded(token("reader"))
    ticket = guarded.ticket()
    assert opened(guarded.stream(f"?ticket={ticket}"))
    assert refused(guarded.stream(f"?ticket={ticket}")) == (401, "UNAUTHORIZED")


@pytest.mark.threat("T14")
def test_a_ticket_is_random_and_of_it_only_a_hash_is_kept() -> None:
    """256 bits, another one each time, and nothing of the server's state holds it."""
    guarded = Guarded(token("reader"))
    made = {guarded.ticket() for _ in range(20)}
    assert len(made) == 20
    assert {len(each) for each in made} == {43}
    tickets = guarded.server.api.interior.gate._tickets
    assert not any(each in repr(vars(tickets)) for each in made)


@pytest.mark.threat("T14", "B57")
def test_a_ticket_is_over_after_30_seconds_of_a_clock_that_never_goes_back() -> None:
    """Whatever the wall clock does: it is good a moment before, and not then."""
    guarded = Guarded(token("reader"))
    early, late = guarded.ticket(), guarded.ticket()
    guarded.now_ms = -3_600_000
    guarded.server.clock.advance(TICKET_SECONDS - 0.001)
    assert opened(guarded.stream(f"?ticket={early}"))
    guarded.server.clock.advance(0.001)
    assert refused(guarded.stream(f"?ticket={late}")) == (401, "UNAUTHORIZED")


@pytest.mark.threat("T14", "B58")
@pytest.mark.parametrize(
    ("body", "right", "wrong"),
    [
        ({}, "", "&sessionId=other"),
        ({}, "", "&types=task:*"),
        ({"sessionId": SESSION}, f"&sessionId={SESSION}", ""),
        ({"sessionId": SESSION}, f"&sessionId={SESSION}", "&sessionId=session_2_aaaaaaaa"),
        ({"types": ["task:*"]}, "&types=task:*", ""),
        ({"types": ["log:info", "log:warn"]}, "&types=log:warn,log:info", "&types=log:*"),
        ({"minLevel": "error"}, "&minLevel=error", "&minLevel=info"),
    ],
)
def test_a_ticket_is_for_the_events_that_it_was_made_for(
    body: dict[str, Any], right: str, wrong: str
) -> None:
    """Others, more or fewer, are refused, and it is used up by that."""
    guarded = Guarded(token("reader"))
    first, second = guarded.ticket(body=body), guarded.ticket(body=body)
    assert opened(guarded.stream(f"?ticket={first}{right}"))
    assert refused(guarded.stream(f"?ticket={second}{wrong}")) == (401, "UNAUTHORIZED")
    assert refused(guarded.stream(f"?ticket={second}{right}")) == (401, "UNAUTHORIZED")


@pytest.mark.threat("T14", "B58")
@pytest.mark.parametrize(
    ("made_by", "shown_by", "is_good"),
    [
        (PAGE, PAGE, True),
        (PAGE, {}, False),
        (PAGE, {"Origin": "http://localhost:3001"}, False),
        (PAGE, {"Origin": "https://localhost:3000"}, False),
        ({}, PAGE, False),
        ({}, {}, True),
        # A page of our own says so when it writes, and nothing when it reads.
        ({"Origin": "http://192.0.2.1"}, {}, True),
        ({"Origin": "http://192.0.2.1"}, {"Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "http://192.0.2.1"}, PAGE, False),
    ],
)
def test_a_ticket_is_for_the_page_that_it_was_made_for(
    made_by: dict[str, str], shown_by: dict[str, str], is_good: bool
) -> None:
    """A page of another origin cannot use it, even one that may use the API."""
    guarded = Guarded(token("reader"))
    stream = guarded.stream(f"?ticket={guarded.ticket(**made_by)}", **shown_by)
    assert opened(stream) == is_good
    assert is_good or refused(stream) == (401, "UNAUTHORIZED")


@pytest.mark.threat("T14", "B59")
@pytest.mark.parametrize("ticket", ["", "x", "A" * 43, "%41" * 43, "x" * 300, "%00", "a%20b"])
def test_wrong_tickets_are_refused_before_anything_is_looked_at(ticket: str) -> None:
    """Whatever they look like, and whatever else is wrong with the request."""
    guarded = Guarded(token("reader"))
    for rest in ("", "&limit=abc", "&sessionId=../.."):
        answer = guarded.ask("GET", f"/api/events?ticket={ticket}{rest}")
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        assert answer.header("WWW-Authenticate") == "Bearer"


@pytest.mark.threat("T11")
def test_wrong_tickets_are_counted_as_wrong_tokens_are() -> None:
    """From the eleventh on it is 429; one that is right is never kept waiting."""
    guarded = Guarded(token("reader"))
    right = guarded.ticket()
    statuses = [guarded.ask("GET", f"/api/events?ticket={n}").status for n in range(11)]
    assert statuses == [401] * 10 + [429]
    assert opened(guarded.stream(f"?ticket={right}"))


@pytest.mark.threat("T14", "B58")
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/api/sessions"),
        ("GET", "/api/events/history"),
        ("HEAD", "/api/events"),
        ("POST", "/api/events"),
        ("POST", "/api/events/ticket"),
        ("DELETE", f"/api/sessions/{SESSION}"),
    ],
)
def test_a_ticket_is_good_for_the_stream_alone(method: str, target: str) -> None:
    """Everywhere else it is no token."""
    guarded = Guarded(token("reader"))
    ticket = guarded.ticket()
    assert guarded.ask(method, f"{target}?ticket={ticket}").status == 401
    assert opened(guarded.stream(f"?ticket={ticket}"))


@pytest.mark.threat("T14", "B57")
def test_a_ticket_does_not_outlive_its_token() -> None:
    """One whose token was taken back or has expired opens nothing."""
    guarded = Guarded(token("reader"), token("guest", expires_ms=1000))
    mine, theirs = guarded.ticket("reader"), guarded.ticket("guest")
    guarded.now_ms = 1000
    assert refused(guarded.stream(f"?ticket={theirs}")) == (401, "UNAUTHORIZED")
    guarded.keyring.replace([token("guest")])
    assert refused(guarded.stream(f"?ticket={mine}")) == (401, "UNAUTHORIZED")


@pytest.mark.threat("T14")
def test_a_ticket_gives_no_more_than_its_token() -> None:
    """Who may not read gets none."""
    guarded = Guarded(token("writer", {Scope.WRITE, Scope.ADMIN}))
    answer = guarded.ask("POST", "/api/events/ticket", "writer", body={})
    assert (answer.status, answer.code) == (403, "FORBIDDEN")
    assert answer.json["details"]["missingScope"] == "read"


@pytest.mark.threat("T14", "B59")
def test_tickets_are_bounded_in_number() -> None:
    """Who makes too many is told when there will be room; others have their own."""
    guarded = Guarded(token("reader"), token("other"))
    for _ in range(MOST_OF_ONE):
        guarded.ticket()
    answer = guarded.ask("POST", "/api/events/ticket", "reader", body={})
    assert (answer.status, answer.code) == (429, "TOO_MANY_REQUESTS")
    assert answer.header("Retry-After") == "30"
    guarded.ticket("other")
    guarded.server.clock.advance(TICKET_SECONDS)
    guarded.ticket()


@pytest.mark.threat("T14", "B59")
@pytest.mark.parametrize(
    "body",
    [
        {"sessionId": "../x"},
        {"sessionId": 1},
        {"types": []},
        {"types": ["task"]},
        {"types": "task:*"},
        {"types": ["task:*"] * 65},
        {"minLevel": "loud"},
        {"origin": "http://localhost:3000"},
        {"expiresIn": 1_000_000},
    ],
)
def test_wrong_requests_for_tickets_are_refused(body: object) -> None:
    """With what is wrong, and nothing that could widen a ticket."""
    guarded = Guarded(token("reader"))
    answer = guarded.ask("POST", "/api/events/ticket", "reader", body=body)
    assert (answer.status, answer.code) == (422, "VALIDATION_ERROR")


def test_a_local_page_needs_no_ticket_and_may_use_one() -> None:
    """One that is shown has to be right all the same."""
    server = Server()
    answer = server.ask("POST", "/api/events/ticket", body={})
    assert answer.json["expiresIn"] == TICKET_SECONDS * 1000
    connection = server.connect()
    connection.send(request_bytes("GET", f"/api/events?ticket={answer.json['ticket']}"))
    assert opened(connection)
    assert server.ask("GET", "/api/events?ticket=wrong").status == 401


# Scopes


def test_every_operation_has_its_scope() -> None:
    """The table names what needs a token, all of it and nothing else."""
    assert set(SCOPE_OF) == {each.name for each in every_operation() if each.needs_token}
    assert scope_of("somethingNew") is Scope.ADMIN


def test_what_only_reads_takes_no_more_than_to_read() -> None:
    """GET is for reading; whatever else there is is not, but for a ticket, which is to read."""
    for each in every_operation():
        if each.needs_token:
            reads = each.method == "GET" or each.name == "createTicket"
            assert (scope_of(each.name) is Scope.READ) == reads, each.name


REQUESTS: list[tuple[str, str, str, object]] = [
    ("GET", "/api/status", "read", None),
    ("GET", "/api/sessions", "read", None),
    ("GET", "/api/events/history", "read", None),
    ("GET", "/openapi.json", "read", None),
    ("POST", "/api/events/ticket", "read", {}),
    ("POST", "/api/sessions", "write", {"provider": "claude"}),
    ("POST", f"/api/sessions/{SESSION}/stop", "write", {}),
    ("POST", f"/api/sessions/{SESSION}/input", "write", {"input": "go on"}),
    ("DELETE", "/api/sessions/session_0_aaaaaaaa", "admin", None),
]


@pytest.mark.parametrize(("method", "target", "scope", "body"), REQUESTS)
def test_a_token_is_good_for_its_scopes_alone(
    method: str, target: str, scope: str, body: object
) -> None:
    """With the one scope it is done; with all others it is refused, and says which is missing."""
    wanted = Scope(scope)
    done = session("session_0_aaaaaaaa", status=SessionStatus.COMPLETED)
    guarded = Guarded(
        token("with", {wanted}),
        token("without", EVERY_SCOPE - {wanted}),
        sessions=FakeSessions([done, session()]),
    )
    answer = guarded.ask(method, target, "without", body=body)
    assert (answer.status, answer.code) == (403, "FORBIDDEN")
    held = [each.value for each in Scope if each is not wanted]
    assert answer.json["details"] == {"missingScope": scope, "scopes": held}
    assert guarded.server.sessions.orders == []
    assert guarded.ask(method, target, "with", body=body).status in {200, 201}


def test_a_missing_scope_is_told_before_what_is_wrong_with_the_request() -> None:
    """After who asks, which route and which method; before its query, its body and its session."""
    guarded = Guarded(token("reader", {Scope.READ}))
    stop = "/api/sessions/nobody/stop"
    assert guarded.ask("POST", stop).status == 401
    assert guarded.ask("POST", "/nowhere", "reader", body={}).status == 404
    assert guarded.ask("PUT", "/api/sessions", "reader", body={}).status == 405
    assert guarded.ask("POST", stop + "?x=1", "reader", body=b"{").status == 403


def test_probes_need_no_scope() -> None:
    """They need no token either."""
    guarded = Guarded(token("nothing", ()))
    assert guarded.ask("GET", "/health/live", "nothing").status == 200
    assert guarded.ask("GET", "/health/ready").status == 200
    assert guarded.ask("GET", "/health", "nothing").status == 403


# Answers that go on


@pytest.mark.threat("T27")
@pytest.mark.parametrize("by_ticket", [False, True])
def test_a_stream_ends_with_its_token(by_ticket: bool) -> None:
    """When it is taken back, with others going on, and no more than that."""
    guarded = Guarded(token("reader"), token("other"))
    ticket = f"?ticket={guarded.ticket()}"
    stream = guarded.stream(ticket) if by_ticket else guarded.stream("", "reader")
    other = guarded.stream("", "other")
    guarded.server.leases.settle()
    assert opened(stream)
    guarded.keyring.replace([token("other")])
    guarded.server.leases.settle()
    assert stream.is_closed
    assert opened(other)


def test_a_stream_ends_when_its_token_expires() -> None:
    """By itself."""
    guarded = Guarded(token("reader", expires_ms=1000))
    stream = guarded.stream("", "reader")
    guarded.now_ms = 999
    guarded.server.leases.settle()
    assert opened(stream)
    guarded.now_ms = 1000
    guarded.server.leases.settle()
    assert stream.is_closed
    assert refused(guarded.stream("", "reader")) == (401, "UNAUTHORIZED")


def test_streams_of_who_needs_no_token_go_on() -> None:
    """Whatever becomes of tokens."""
    keyring = Keyring([token("reader")])
    server = Server(GatePolicy(keyring=keyring))
    connection = server.connect()
    connection.send(request_bytes("GET", "/api/events"))
    keyring.replace([])
    server.leases.settle()
    assert opened(connection)


def test_answers_that_have_ended_are_not_kept() -> None:
    """Nothing is remembered of who has left, or has been answered."""
    guarded = Guarded(token("reader"))
    stream = guarded.stream("", "reader")
    assert len(guarded.server.leases._held) == 1
    stream.close()
    guarded.ask("GET", "/api/status", "reader")
    assert guarded.server.leases._held == {}


def test_an_order_under_way_is_answered_whatever_becomes_of_its_token() -> None:
    """It was let in, and is carried out to its end."""
    guarded = Guarded(token("writer"), sessions=FakeSessions([session()]))
    waiting = guarded.server.sessions.waiting = Deferred()
    connection = guarded.server.connect(PUBLIC, STRANGER)
    headers = {"Host": "192.0.2.1", "Authorization": "Bearer writer"}
    connection.send(
        request_bytes("POST", f"/api/sessions/{SESSION}/stop", body={}, headers=headers)
    )
    guarded.keyring.replace([])
    guarded.server.leases.settle()
    waiting.callback(None)
    assert connection.response().status == 200
