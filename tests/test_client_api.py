"""The client's questions, against a server that is played."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, get_origin
from urllib.parse import parse_qs, unquote

import pytest
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IBodyProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface.verify import verifyObject

from loki_twisted.client import ClientError, LokiClient, ServerUnreachable
from loki_twisted.client.bodies import WholeBody, collect
from loki_twisted.client.connecting import Address, read_address
from loki_twisted.model import wire
from loki_twisted.model.filters import EventFilter
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.model.tasks import TaskStatus
from loki_twisted.web.operations import Operation
from loki_twisted.web.routes import every_operation
from tests.client_fakes import Played

SESSION = {
    "id": "session_1_aa",
    "status": "running",
    "provider": "demo",
    "projectDir": "/srv/p",
    "startedAt": "2026-11-23T22:43:11.042Z",
    "updatedAt": "2026-11-23T22:43:11.042Z",
    "somethingNew": 1,
}
TASK = {"id": "t1", "sessionId": "session_1_aa", "title": "T", "status": "running"}
PAGE = {"total": 1, "limit": 100, "offset": 0, "hasMore": False}
COUNTS = {"pending": 0, "running": 1, "completed": 0, "failed": 0}
ORDER = {"sessionId": "session_1_aa", "status": "stopping", "message": "m"}
MESSAGE = {"sessionId": "session_1_aa", "message": "m"}
EVENT = {
    "id": "evt_1_1",
    "type": "log:info",
    "timestamp": "2026-11-23T22:43:11.042Z",
    "sessionId": "",
    "data": {},
}
STATS = {
    "subscribers": 1,
    "historySize": 2,
    "oldestEventId": None,
    "newestEventId": None,
    "eventsPerSecond": 0.5,
    "lag": 0,
}
USAGE = {
    "by": "day",
    "lines": [
        {
            "key": "2026-11-26",
            "spending": {"inputTokens": 1, "cost": 0.5},
            "origins": ["reported"],
            "sessions": 1,
            "turns": 1,
        }
    ],
    "sum": {
        "key": "",
        "spending": {"inputTokens": 1, "cost": 0.5},
        "origins": ["reported"],
        "sessions": 1,
        "turns": 1,
    },
    "pagination": PAGE,
}
HEALTH = {
    "status": "healthy",
    "version": "1",
    "uptime": 5,
    "providers": {"demo": True},
    "activeSession": None,
    "problems": [],
}
STATUS = {
    "version": "1",
    "uptime": 5,
    "uptimeFormatted": "0s",
    "providers": {},
    "sessions": {"total": 0, "running": 0, "completed": 0, "failed": 0},
    "events": {"subscribers": 0, "historySize": 0},
    "system": {
        "platform": "linux",
        "arch": "x86_64",
        "pythonVersion": "3",
        "twistedVersion": "26",
        "sqliteVersion": "3",
        "cpus": 2,
        "memoryUsed": 1,
        "loadAverage": 0.1,
    },
    "problems": [],
}
PROVIDER = {
    "name": "demo",
    "available": True,
    "abilities": {"asks": True, "messaging": "now", "continues": False, "cost": "reported"},
    "somethingNew": 1,
}

INPUT = {
    "id": "input_1_aa",
    "sessionId": "s",
    "kind": "question",
    "prompt": "Which?",
    "createdAt": "2026-11-23T22:43:11.042Z",
}
SENT = {
    "id": "message_1_aa",
    "sessionId": "s",
    "text": "t",
    "createdAt": "2026-11-23T22:43:11.042Z",
}

Call = Callable[[LokiClient], Deferred[Any]]

ROUTES: dict[str, tuple[Call, str, str, Any, type]] = {
    "health": (lambda c: c.health(), "GET", "/health", HEALTH, wire.Health),
    "ready": (lambda c: c.ready(), "GET", "/health/ready", {"ready": True}, wire.Readiness),
    "live": (
        lambda c: c.live(),
        "GET",
        "/health/live",
        {"alive": True, "uptime": 1},
        wire.Liveness,
    ),
    "status": (lambda c: c.status(), "GET", "/api/status", STATUS, wire.Status),
    "providers": (
        lambda c: c.list_providers(),
        "GET",
        "/api/providers",
        {"providers": [PROVIDER]},
        wire.ProviderList,
    ),
    "start": (
        lambda c: c.start_session(provider="demo"),
        "POST",
        "/api/sessions",
        ORDER,
        wire.SessionOrder,
    ),
    "sessions": (
        lambda c: c.list_sessions(status="running", provider="demo", limit=2, offset=1),
        "GET",
        "/api/sessions?status=running&provider=demo&limit=2&offset=1",
        {"sessions": [SESSION], "total": 1, "running": 1},
        wire.SessionList,
    ),
    "session": (
        lambda c: c.get_session("session_1_aa"),
        "GET",
        "/api/sessions/session_1_aa",
        {
            "session": SESSION,
            "tasks": {"total": 1, **COUNTS},
            "agents": {"active": 0, "spawned": 0, "completed": 0},
        },
        wire.SessionDetail,
    ),
    "stop": (
        lambda c: c.stop_session("s"),
        "POST",
        "/api/sessions/s/stop",
        ORDER,
        wire.SessionOrder,
    ),
    "pause": (
        lambda c: c.pause_session("s"),
        "POST",
        "/api/sessions/s/pause",
        ORDER,
        wire.SessionOrder,
    ),
    "resume": (
        lambda c: c.resume_session("s"),
        "POST",
        "/api/sessions/s/resume",
        ORDER,
        wire.SessionOrder,
    ),
    "input": (
        lambda c: c.give_input("s", "yes"),
        "POST",
        "/api/sessions/s/input",
        MESSAGE,
        wire.InputGiven,
    ),
    "open inputs": (
        lambda c: c.open_inputs(),
        "GET",
        "/api/inputs",
        {"inputs": [INPUT], "count": 1},
        wire.OpenInputs,
    ),
    "inputs": (
        lambda c: c.list_inputs("s", limit=2, offset=1),
        "GET",
        "/api/sessions/s/inputs?limit=2&offset=1",
        {"inputs": [INPUT], "pagination": PAGE},
        wire.InputList,
    ),
    "input of an id": (
        lambda c: c.get_input("s", "input_1_aa"),
        "GET",
        "/api/sessions/s/inputs/input_1_aa",
        {"input": INPUT},
        wire.InputDetail,
    ),
    "answer": (
        lambda c: c.answer_input("s", "input_1_aa", ["a", "b"], "because"),
        "POST",
        "/api/sessions/s/inputs/input_1_aa",
        {"input": INPUT},
        wire.InputDetail,
    ),
    "messages": (
        lambda c: c.list_messages("s", limit=2, offset=1),
        "GET",
        "/api/sessions/s/messages?limit=2&offset=1",
        {"messages": [SENT], "pagination": PAGE},
        wire.MessageList,
    ),
    "interrupt": (
        lambda c: c.interrupt_session("s"),
        "POST",
        "/api/sessions/s/interrupt",
        ORDER,
        wire.SessionOrder,
    ),
    "continue": (
        lambda c: c.continue_session("s", "more"),
        "POST",
        "/api/sessions/s/continue",
        ORDER,
        wire.SessionOrder,
    ),
    "delete": (
        lambda c: c.delete_session("s"),
        "DELETE",
        "/api/sessions/s",
        MESSAGE,
        wire.SessionMessage,
    ),
    "session tasks": (
        lambda c: c.list_session_tasks("s", status="running", limit=5, offset=0),
        "GET",
        "/api/sessions/s/tasks?status=running&limit=5&offset=0",
        {"tasks": [TASK], "pagination": PAGE, "summary": COUNTS},
        wire.SessionTasks,
    ),
    "more session tasks": (
        lambda c: c.list_session_tasks("s", after="WyJhIiwxXQ"),
        "GET",
        "/api/sessions/s/tasks?after=WyJhIiwxXQ",
        {"tasks": [TASK], "pagination": PAGE, "summary": COUNTS},
        wire.SessionTasks,
    ),
    "task": (
        lambda c: c.get_task("s", "a b/c"),
        "GET",
        "/api/sessions/s/tasks/a%20b%2Fc",
        {"task": TASK},
        wire.TaskDetail,
    ),
    "tasks": (
        lambda c: c.list_tasks(status="failed", limit=7, offset=2),
        "GET",
        "/api/tasks?status=failed&limit=7&offset=2",
        {"tasks": [TASK], "pagination": PAGE},
        wire.TaskList,
    ),
    "more tasks": (
        lambda c: c.list_tasks(after="WyJhIiwxXQ"),
        "GET",
        "/api/tasks?after=WyJhIiwxXQ",
        {"tasks": [TASK], "pagination": PAGE},
        wire.TaskList,
    ),
    "active tasks": (
        lambda c: c.active_tasks(limit=1),
        "GET",
        "/api/tasks/active?limit=1",
        {"tasks": [TASK], "count": 1},
        wire.TaskSelection,
    ),
    "queued tasks": (
        lambda c: c.queued_tasks(limit=5),
        "GET",
        "/api/tasks/queue?limit=5",
        {"tasks": [], "count": 0},
        wire.TaskSelection,
    ),
    "history": (
        lambda c: c.history(
            EventFilter.of("s", ["log:*", "task:failed"], "warn"),
            limit=3,
            after="earliest",
            before="evt_9_9",
        ),
        "GET",
        (
            "/api/events/history?sessionId=s&types=task:failed,log:warn,log:error"
            "&limit=3&after=earliest&before=evt_9_9"
        ),
        {"events": [EVENT], "count": 1},
        wire.EventHistory,
    ),
    "history since a time": (
        lambda c: c.history(since="2026-11-01", limit=1),
        "GET",
        "/api/events/history?limit=1&since=2026-11-01",
        {"events": [EVENT], "count": 1},
        wire.EventHistory,
    ),
    "history from a level on": (
        lambda c: c.history(EventFilter.of(min_level="warn")),
        "GET",
        "/api/events/history?minLevel=warn",
        {"events": [], "count": 0},
        wire.EventHistory,
    ),
    "usage": (
        lambda c: c.usage(
            "day",
            session_id="s",
            project_dir="/srv/p",
            provider="demo",
            since="2026-11-01",
            until="2026-12-01",
            limit=2,
            offset=1,
        ),
        "GET",
        (
            "/api/usage?by=day&sessionId=s&projectDir=/srv/p&provider=demo"
            "&since=2026-11-01&until=2026-12-01&limit=2&offset=1"
        ),
        USAGE,
        wire.UsageReport,
    ),
    "ticket": (
        lambda c: c.create_ticket(session_id="s", types=["task:*"], min_level="warn"),
        "POST",
        "/api/events/ticket",
        {"ticket": "t", "expiresIn": 30_000},
        wire.Ticket,
    ),
    "stats": (lambda c: c.event_stats(), "GET", "/api/events/stats", STATS, wire.EventStats),
    "openapi": (
        lambda c: c.openapi(),
        "GET",
        "/openapi.json",
        {"openapi": "3.1.0"},
        dict[str, Any],
    ),
}


@pytest.mark.parametrize(("call", "method", "uri", "answer", "kind"), ROUTES.values(), ids=ROUTES)
def test_routes(call: Call, method: str, uri: str, answer: Any, kind: type) -> None:
    """Each method asks its route, with its parameters, and gives the declared type."""
    played = Played()
    path = uri.partition("?")[0]
    played.server.answers[(method, path)] = (200, answer)
    results: list[Any] = []

    call(played.client).addCallback(results.append)
    played.flush()

    asked_path, mark, query = played.server.asked[0].uri.partition("?")
    asked_uri = asked_path + mark + unquote(query)
    assert (played.server.asked[0].method, asked_uri) == (method, uri)
    assert type(results[0]) is (get_origin(kind) or kind)
    assert played.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("told", "complete_from"), [({}, None), ({"completeFrom": 7}, 7)], ids=["nothing", "7"]
)
def test_where_nothing_is_missing(told: Mapping[str, int], complete_from: int | None) -> None:
    """A history says from where on it has no holes; that of an older server says nothing."""
    played = Played()
    answer = {"events": [EVENT], "count": 1, **told}
    played.server.answers["GET", "/api/events/history"] = (200, answer)
    results: list[wire.EventHistory] = []

    played.client.history().addCallback(results.append)
    played.flush()

    assert [each.complete_from for each in results] == [complete_from]


def asking(operation: Operation) -> list[tuple[Call, str, str, Any, type]]:
    """The rows of the table that ask for an operation."""
    path = re.compile(re.sub(r"{\w+}", "[^/]+", operation.path))
    return [
        row
        for row in ROUTES.values()
        if row[1] == operation.method and path.fullmatch(row[2].partition("?")[0])
    ]


ANSWERED = [each for each in every_operation() if each.answer is not None]


@pytest.mark.parametrize("operation", ANSWERED, ids=lambda each: each.name)
def test_every_operation_has_a_method(operation: Operation) -> None:
    """Whatever the API declares can be asked for, with all its parameters, for its own type."""
    rows = asking(operation)
    asked = {name for _, _, uri, _, _ in rows for name in parse_qs(uri.partition("?")[2])}

    assert {kind for *_, kind in rows} == {operation.answer}
    assert asked == {each.name for each in operation.parameters if each.place == "query"}


def test_every_method_has_an_operation() -> None:
    """It asks but those of the table, the streams and all tasks; /metrics is for Prometheus."""
    methods = {name for name in dir(LokiClient) if not name.startswith("_")}
    streams = [each.path for each in every_operation() if each.answer is None]

    others = {"close", "events", "subscribe", "all_tasks", "read_output", "follow_output"}
    assert methods >= others
    assert len(methods - others) == len(ANSWERED)
    assert streams == ["/metrics", "/api/sessions/{sessionId}/output", "/api/events"]


@pytest.mark.parametrize(
    ("text", "base", "socket_path"),
    [
        ("http://localhost:57374", "http://localhost:57374", None),
        ("http://localhost:57374/", "http://localhost:57374", None),
        ("https://example.com/agents/?x=1#y", "https://example.com/agents", None),
        ("http://[::1]:8080", "http://[::1]:8080", None),
        ("unix:/run/loki.sock", "http://localhost", "/run/loki.sock"),
    ],
)
def test_addresses(text: str, base: str, socket_path: str | None) -> None:
    """A server is named by a URL, or by the path of a unix socket."""
    address = read_address(text)

    assert isinstance(address, Address)
    assert (address.base.to_text(), address.socket_path) == (base, socket_path)


@pytest.mark.parametrize(
    "text", ["", "localhost:57374", "ftp://x/", "http://", "unix:", "http://[x"]
)
def test_addresses_that_are_none(text: str) -> None:
    """What is no address of a server is refused before anything is sent."""
    with pytest.raises(ValueError, match="is no URL of a server"):
        read_address(text)


def test_bodies_are_what_twisted_wants() -> None:
    """A request's body keeps Twisted's contract."""
    body = WholeBody(b"123")

    assert verifyObject(IBodyProducer, body)
    assert body.length == 3


@pytest.mark.parametrize("session_id", [None, "s"])
def test_all_tasks(session_id: str | None) -> None:
    """All pages are asked for, each after the one before it, and given as one."""
    played = Played()
    path = "/api/tasks" if session_id is None else "/api/sessions/s/tasks"
    pages = {
        f"{path}?status=failed&limit=500": (["a", "b"], "one"),
        f"{path}?status=failed&limit=500&after=one": ([], "two"),
        f"{path}?status=failed&limit=500&after=two": (["c"], None),
    }

    for uri, (names, following) in pages.items():
        tasks = [{**TASK, "id": name} for name in names]
        where = {**PAGE, "nextCursor": following}
        answer = {"tasks": tasks, "pagination": where, "summary": COUNTS}
        played.server.answers[("GET", uri)] = (200, answer)

    async def all_of_them() -> list[str]:
        return [each.id async for each in played.client.all_tasks(session_id, status="failed")]

    results: list[list[str]] = []
    Deferred.fromCoroutine(all_of_them()).addCallback(results.append)
    played.flush()

    assert results == [["a", "b", "c"]]
    assert [request.uri for request in played.server.asked] == list(pages)


class AskingTests(SynchronousTestCase):
    """What is sent, and what is made of answers that are no answer."""

    def test_values(self) -> None:
        """Answers come as values; what newer servers add to them disturbs nobody."""
        played = Played()
        page = {"sessions": [SESSION], "total": 7, "running": 1}
        played.server.answers[("GET", "/api/sessions")] = (200, page)

        sessions = self.successResultOf(played.client.list_sessions())

        assert sessions.total == 7
        assert SessionStatus.RUNNING is sessions.sessions[0].status
        assert sessions.sessions[0].project_dir == "/srv/p"

    def test_task_values(self) -> None:
        """Tasks are values too."""
        played = Played()
        played.server.answers[("GET", "/api/tasks/active")] = (200, {"tasks": [TASK], "count": 1})

        tasks = self.successResultOf(played.client.active_tasks())

        assert TaskStatus.RUNNING is tasks.tasks[0].status

    def test_a_session_is_asked_for_as_json(self) -> None:
        """A body is JSON, declared as such, that the server's own type accepts."""
        import msgspec

        played = Played()
        played.server.answers[("POST", "/api/sessions")] = (201, ORDER)
        options = wire.StartOptions(dry_run=True, timeout=1000)

        self.successResultOf(
            played.client.start_session(provider="claude", prd_path="./prd.md", options=options)
        )

        asked = played.server.asked[0]
        assert asked.headers["content-type"] == "application/json"
        wanted = wire.StartSession(provider="claude", prd_path="./prd.md", options=options)
        assert wanted == msgspec.json.decode(asked.body, type=wire.StartSession)

    def test_no_body_has_no_type(self) -> None:
        """An order without a body declares none."""
        played = Played()
        played.server.answers[("POST", "/api/sessions/s/stop")] = (200, ORDER)

        self.successResultOf(played.client.stop_session("s"))

        assert "content-type" not in played.server.asked[0].headers
        assert played.server.asked[0].body == b""

    def test_the_token_is_sent(self) -> None:
        """A client with a token shows it; one without shows nothing; neither prints it."""
        for token, expected in (("s3cret-token", "Bearer s3cret-token"), (None, None)):
            played = Played(token=token)
            self.failureResultOf(played.client.live(), ClientError)
            assert expected == played.server.asked[0].headers.get("authorization")
            assert "s3cret" not in repr(vars(played.client))

    def test_a_path_in_front(self) -> None:
        """A server that is mounted somewhere is asked there."""
        played = Played("http://localhost/agents/")
        self.failureResultOf(played.client.live(), ClientError)
        assert played.server.asked[0].uri == "/agents/health/live"

    def test_names_cannot_leave_their_place(self) -> None:
        """A session id with a slash or a question mark in it stays one segment."""
        played = Played()
        self.failureResultOf(played.client.get_session("../x?y#z"), ClientError)
        assert played.server.asked[0].uri == "/api/sessions/..%2Fx%3Fy%23z"

    def test_errors_of_the_server(self) -> None:
        """An error of the server is raised with its code, status, sentence and details."""
        played = Played()
        played.server.answers[("POST", "/api/sessions")] = (
            409,
            {
                "error": "One runs.",
                "code": "SESSION_ALREADY_RUNNING",
                "details": {"sessionId": "s"},
            },
        )

        error = self.failureResultOf(played.client.start_session(), ClientError).value

        assert (error.code, error.status) == ("SESSION_ALREADY_RUNNING", 409)
        assert (error.message, error.details) == ("One runs.", {"sessionId": "s"})
        assert str(error) == "One runs."

    def test_answers_of_something_else(self) -> None:
        """A proxy's page, or JSON of another shape, is an error with the status that came."""
        for status, answer in ((502, b"<h1>Bad Gateway</h1>"), (200, b"hello"), (200, {"x": 1})):
            played = Played()
            played.server.answers[("GET", "/health/live")] = (status, answer)
            error = self.failureResultOf(played.client.live(), ClientError).value
            assert ("UNEXPECTED_ANSWER", status) == (error.code, error.status)

    def test_redirects_are_not_followed(self) -> None:
        """The token is not carried to wherever a redirect points."""
        played = Played(token="s3cret-token")
        played.server.headers["location"] = "http://elsewhere/"
        played.server.answers[("GET", "/health/live")] = (302, b"")

        error = self.failureResultOf(played.client.live(), ClientError).value

        assert error.status == 302
        assert len(played.server.asked) == 1

    def test_an_unwell_server_still_answers(self) -> None:
        """Health and readiness are values also when their status is 503."""
        played = Played()
        played.server.answers[("GET", "/health")] = (503, {**HEALTH, "status": "unhealthy"})
        played.server.answers[("GET", "/health/ready")] = (503, {"ready": False, "error": "x"})

        assert self.successResultOf(played.client.health()).status == "unhealthy"
        assert self.successResultOf(played.client.ready()).error == "x"


class Silent(Resource):
    """Takes requests and answers none, or only the beginning."""

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self, beginning: bytes = b"") -> None:
        super().__init__()
        self.beginning = beginning
        self.gone: list[object] = []

    def render_GET(self, request) -> int:  # noqa: N802  # Twisted's name
        """Begin, perhaps."""
        request.notifyFinish().addBoth(self.gone.append)
        if self.beginning:
            request.write(self.beginning)
        self.request = request
        return NOT_DONE_YET


class PatienceTests(SynchronousTestCase):
    """Servers that do not answer, or not to the end."""

    def ask(self, beginning: bytes = b""):
        self.server, self.clock = Silent(beginning), Clock()
        self.agent = RequestTraversalAgent(self.server)
        self.client = LokiClient("http://localhost", reactor=self.clock, agent=self.agent)
        answer = self.client.live()
        self.agent.flush()
        return answer

    def test_no_answer(self) -> None:
        """A server that does not answer is not waited for for ever."""
        answer = self.ask()
        self.clock.advance(29)
        self.assertNoResult(answer)
        self.clock.advance(1)
        error = self.failureResultOf(answer, ServerUnreachable).value
        self.agent.flush()

        assert "30 s" in str(error)
        assert len(self.server.gone) == 1

    def test_half_an_answer(self) -> None:
        """A body that stops coming is given up, and its connection is closed."""
        answer = self.ask(b'{"alive":')
        self.clock.advance(30)
        self.failureResultOf(answer, ServerUnreachable)
        self.agent.flush()

        assert len(self.server.gone) == 1
        assert self.clock.getDelayedCalls() == []

    def test_a_cut_answer(self) -> None:
        """A body that is cut off is no answer, even if it could be read."""
        answer = self.ask(json.dumps({"alive": True, "uptime": 1}).encode())
        self.server.request.transport.loseConnection()
        self.agent.flush()

        self.failureResultOf(answer, ServerUnreachable)
        assert self.clock.getDelayedCalls() == []

    def test_a_lost_connection(self) -> None:
        """A connection that is lost before the answer is said to be that."""
        answer = self.ask()
        self.server.request.transport.loseConnection()
        self.agent.flush()

        error = self.failureResultOf(answer, ServerUnreachable).value
        assert "broke" in str(error)

    def test_cancelling(self) -> None:
        """Who does not want the answer any more cancels it, before and in the middle of it."""
        for beginning in (b"", b'{"alive":'):
            answer = self.ask(beginning)
            answer.cancel()
            self.failureResultOf(answer, CancelledError)
            self.agent.flush()

            assert len(self.server.gone) == 1
            assert self.clock.getDelayedCalls() == []

    def test_closing_the_client(self) -> None:
        """A client that is closed waits for no answer any more."""
        for beginning in (b"", b'{"alive":'):
            answer = self.ask(beginning)
            closing = self.client.close()
            self.agent.flush()

            self.successResultOf(closing)
            self.failureResultOf(answer, CancelledError)
            assert len(self.server.gone) == 1
            assert self.clock.getDelayedCalls() == []

    def test_an_endless_answer(self) -> None:
        """A body of any length does not fill the memory."""
        server, clock = Silent(b"x" * 11), Clock()
        agent = RequestTraversalAgent(server)
        asking = HTTPClient(agent).get("http://localhost/", unbuffered=True, reactor=clock)
        agent.flush()

        answer = collect(self.successResultOf(asking), clock, 30, most_bytes=10)
        agent.flush()

        error = self.failureResultOf(answer, ServerUnreachable).value
        assert "too large" in str(error)
        assert len(server.gone) == 1
