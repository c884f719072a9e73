# ruff: noqa: N802, N815  # Twisted calls these methods
"""Tests of :mod:`loki_twisted.web.execution` and of the declarations that it carries out."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from loki_twisted.access.interface import LOCAL
from loki_twisted.model.errors import Conflict, Unavailable
from loki_twisted.model.wire import GiveInput, Liveness
from loki_twisted.web.execution import ORDER_SECONDS, Execution
from loki_twisted.web.gate import GatePolicy
from loki_twisted.web.operations import (
    Operation,
    Reply,
    camel_case,
    declarations_of,
    operation,
    operations_of,
    snake_case,
)
from loki_twisted.web.parameters import integer
from loki_twisted.web.routing import Router, klein_app
from loki_twisted.web.site import Site
from tests.fakes_web import LOOPBACK, NEIGHBOUR, Connection, Response, entrance_of, request_bytes

ALIVE = Liveness(alive=True, uptime=1)


class Stream(Resource):
    """A stream that begins, or fails to."""

    isLeaf = True

    def __init__(self, failing: str) -> None:
        super().__init__()
        self.failing = failing

    def render_GET(self, request: Any) -> int:
        """Begin, and fail where it was said."""
        if self.failing == "before":
            raise Unavailable("No more streams.")
        request.write(b"begun")
        if self.failing == "after":
            raise ValueError("half-way")
        return NOT_DONE_YET


class Routes:
    """Operations of every kind."""

    def __init__(self) -> None:
        self.waiting: Deferred[Any] = Deferred()
        self.done: list[str] = []

    @operation("GET", "/now", tag="x", answer=Liveness)
    def answer_now(self) -> Liveness:
        """Answer at once."""
        return ALIVE

    @operation("GET", "/soon", tag="x", answer=Liveness)
    def answer_soon(self) -> Deferred[Liveness]:
        """Answer by a Deferred that has fired."""
        return succeed(ALIVE)

    @operation("POST", "/things/{thingId}/do", tag="x", answer=Liveness, status=202)
    async def do_in_steps(self, thing_id: str) -> Liveness:
        """
        Do something in two steps.

        The second one comes
        later.
        """
        self.done.append(f"{thing_id} one")
        result: Liveness = await self.waiting
        self.done.append(f"{thing_id} two")
        return result

    @operation("GET", "/things/{thingId}/read", tag="x", answer=Liveness)
    async def read_slowly(self, thing_id: str) -> Liveness:
        """Read what does not come."""
        return await self.do_in_steps(thing_id)

    @operation("POST", "/later", tag="x", answer=Liveness)
    async def answer_later(self) -> Liveness:
        """Do the same on a path without variables."""
        return await self.do_in_steps("later")

    @operation("GET", "/other", tag="x", answer=Liveness, also={503: Liveness})
    def answer_otherwise(self) -> Reply:
        """Answer with another status."""
        return Reply(ALIVE, 503)

    @operation(
        "GET",
        "/things/{thingId}/stream/{failing}",
        tag="x",
        parameters=(integer("n", "", least=0, most=9, default=3),),
    )
    def stream_thing(self, thing_id: str, failing: str, n: int) -> Stream:
        """Stream."""
        self.done.append(f"{thing_id} {n}")
        return Stream(failing)

    @operation("GET", "/stream", tag="x")
    def stream_all(self) -> Stream:
        """Stream on a path without variables."""
        return Stream("before")

    @operation("POST", "/say", tag="x", body=GiveInput, answer=Liveness)
    def say(self, body: GiveInput) -> Deferred[Liveness]:
        """Refuse what is said."""
        return fail(Conflict(body.input))

    @operation("GET", "/broken", tag="x", answer=Liveness)
    def break_down(self) -> Liveness:
        """Fail."""
        raise ValueError("/secret/path")

    @operation("GET", "/odd", tag="x", answer=Liveness)
    def answer_oddly(self) -> object:
        """Answer what cannot be encoded."""
        return object()

    @operation("GET", "/odd-later", tag="x", answer=Liveness)
    async def answer_oddly_later(self) -> object:
        """Answer what cannot be encoded, later."""
        return object()

    def helper(self) -> None:
        """Be no operation."""


class Executing(SynchronousTestCase):
    """Operations behind a gate that lets all in."""

    def setUp(self) -> None:
        """Make them."""
        self.clock = Clock()
        self.routes = Routes()
        self.site = self.site_of(debug=False)

    def site_of(self, *, debug: bool) -> Site:
        """Put the operations into a site."""
        operations = operations_of(self.routes)
        executions = [Execution(each, self.clock, debug=debug) for each in operations]
        router = Router(executions, klein_app(executions, debug=debug))
        policy = GatePolicy(auth_required=False, debug=debug)
        return Site(entrance_of(router, policy, self.clock), reactor=self.clock)

    def ask(self, method: str, target: str, body: object = None) -> Connection:
        """Ask for something; gives the connection."""
        connection = Connection(self.site, LOOPBACK, NEIGHBOUR)
        connection.send(request_bytes(method, target, body=body))
        return connection

    def answer(self, method: str, target: str, body: object = None) -> Response:
        """Ask for something; gives the answer."""
        return self.ask(method, target, body).response()

    def test_answers_now_and_soon(self) -> None:
        """A value and a Deferred of it give the same answer, with its length."""
        for target in ("/now", "/soon"):
            response = self.answer("GET", target)
            assert (response.status, response.json) == (200, {"alive": True, "uptime": 1})
            assert response.header("content-length") == str(len(response.body))
            assert response.header("transfer-encoding") is None

    def test_head_is_get_without_a_body(self) -> None:
        """With the length that the body would have."""
        for target in ("/now", "/soon"):
            data = self.ask("HEAD", target).transport.value()
            assert data.endswith(b"\r\n\r\n")
            assert b"Content-Length: 25\r\n" in data

    def test_an_answer_may_take_its_time(self) -> None:
        """It is measured, and has the status that was declared."""
        connection = self.ask("POST", "/things/a/do")
        assert connection.responses() == []
        self.clock.advance(1.2345)
        self.routes.waiting.callback(ALIVE)
        response = connection.response()
        assert response.status == 202
        assert response.header("x-response-time") == "1234ms"

    def test_an_order_that_takes_too_long(self) -> None:
        """Its client is told that nobody knows, and it is carried out all the same."""
        connection = self.ask("POST", "/things/a/do")
        self.clock.advance(ORDER_SECONDS - 0.1)
        assert connection.responses() == []
        self.clock.advance(0.2)
        response = connection.response()
        assert (response.status, response.code) == (504, "TIMEOUT")
        self.routes.waiting.callback(ALIVE)
        assert self.routes.done == ["a one", "a two"]
        assert len(connection.responses()) == 1

    def test_an_order_that_fails_too_late(self) -> None:
        """That is logged, as there is nobody to be told; a fault of ours as one."""
        for error, level in ((Conflict("No."), LogLevel.warn), (ValueError(), LogLevel.critical)):
            self.routes.waiting = Deferred()
            connection = self.ask("POST", "/later")
            self.clock.advance(ORDER_SECONDS)
            with capturedLogs() as logs:
                self.routes.waiting.errback(error)
            (said,) = [each for each in logs if each.get("operation") == "answerLater"]
            assert said["log_level"] is level
            assert len(connection.responses()) == 1
        assert len(self.flushLoggedErrors(ValueError)) == 1

    def test_reading_may_take_as_long_as_it_does(self) -> None:
        """Nobody has to know what became of it, and who does not want to wait may leave."""
        connection = self.ask("GET", "/things/a/read")
        self.clock.advance(2 * ORDER_SECONDS)
        self.routes.waiting.callback(ALIVE)
        assert connection.response().status == 200

    def test_a_client_that_leaves_cancels_nothing(self) -> None:
        """What was ordered is carried out to its end, on either way of routing."""
        for target in ("/things/a/do", "/later"):
            self.routes.waiting, self.routes.done = Deferred(), []
            connection = self.ask("POST", target)
            connection.close()
            self.routes.waiting.callback(ALIVE)
            assert [each.split()[1] for each in self.routes.done] == ["one", "two"]
            assert connection.responses() == []

    def test_an_order_that_is_refused_after_its_client_left(self) -> None:
        """Nobody is there to be told, so it is noted; a fault of ours is logged as one."""
        self.ask("POST", "/things/a/do").close()
        with capturedLogs() as events:
            self.routes.waiting.errback(Conflict("Too late."))
        (event,) = [each for each in events if each["log_level"] is LogLevel.info]
        assert event["reason"] == "Too late."
        self.routes.waiting = Deferred()
        self.ask("POST", "/things/a/do").close()
        self.routes.waiting.errback(ValueError("broken"))
        assert len(self.flushLoggedErrors(ValueError)) == 1

    def test_another_status(self) -> None:
        """An answer that is no error may still have another status than the usual one."""
        assert self.answer("GET", "/other").status == 503

    def test_an_error_later_is_answered(self) -> None:
        """A Deferred that fails is answered like an exception."""
        response = self.answer("POST", "/say", {"input": "No."})
        assert (response.status, response.code, response.json["error"]) == (409, "CONFLICT", "No.")

    @pytest.mark.threat("T31")
    def test_a_fault_of_ours(self) -> None:
        """It is answered by a fixed text, and logged under the id of the request."""
        response = self.answer("GET", "/broken")
        assert (response.status, response.code) == (500, "INTERNAL_ERROR")
        assert b"secret" not in response.body
        assert response.json["details"] == {"requestId": response.header("x-request-id")}
        assert len(self.flushLoggedErrors(ValueError)) == 1

    def test_a_fault_of_ours_in_debug_mode(self) -> None:
        """Then the answer shows where it happened."""
        self.site = self.site_of(debug=True)
        assert "break_down" in self.answer("GET", "/broken").json["details"]["stack"]
        assert len(self.flushLoggedErrors(ValueError)) == 1

    def test_an_answer_that_cannot_be_encoded(self) -> None:
        """It is a fault of ours, and not half an answer."""
        for target in ("/odd", "/odd-later"):
            assert self.answer("GET", target).status == 500
            assert len(self.flushLoggedErrors(TypeError)) == 1

    def test_a_stream(self) -> None:
        """A resource that is returned answers itself, on either way of routing."""
        connection = self.ask("GET", "/things/a/stream/never?n=5")
        assert b"begun" in connection.response().body
        assert connection.response().header("x-response-time") == "0ms"
        assert not connection.is_closed
        assert self.routes.done == ["a 5"]
        connection.close()

    def test_a_stream_that_cannot_begin(self) -> None:
        """It is refused in our envelope."""
        for target in ("/things/a/stream/before", "/stream"):
            assert self.answer("GET", target).code == "SERVICE_UNAVAILABLE"

    def test_a_stream_that_fails_is_cut(self) -> None:
        """Nothing is added to an answer that has begun, so nobody takes it for whole."""
        connection = self.ask("GET", "/things/a/stream/after")
        assert connection.is_closed
        data = connection.transport.value()
        assert b"begun" in data
        assert b"INTERNAL_ERROR" not in data
        assert not data.endswith(b"0\r\n\r\n")
        assert len(self.flushLoggedErrors(ValueError)) == 1

    def test_what_the_router_does_not_know(self) -> None:
        """Paths that are not there, other methods, and a slash too many; in our envelope."""
        for target in ("/", "/nope", "/now/", "/things//do", "/things/a", "/Now"):
            assert self.answer("GET", target).status == (400 if "//" in target else 404)
        for method, target, allowed in (
            ("POST", "/now", "GET, HEAD"),
            ("GET", "/things/a/do", "POST"),
            ("PATCH", "/say", "POST"),
            ("OPTIONS", "/now", "GET, HEAD"),
        ):
            response = self.answer(method, target)
            assert (response.status, response.code) == (405, "METHOD_NOT_ALLOWED")
            assert response.header("allow") == allowed
        assert self.flushLoggedErrors() == []

    def test_a_variable_is_decoded(self) -> None:
        """The handler gets what the client meant."""
        self.ask("POST", "/things/a%20b%C3%A9/do").close()
        assert self.routes.done == ["a bé one"]

    def test_cancelling_the_answer_cancels_nothing(self) -> None:
        """Whoever waits for an execution may give up; the execution does not."""
        (declared,) = [
            each for each in operations_of(self.routes) if each.operation.name == "doInSteps"
        ]
        cancelled: list[object] = []
        self.routes.waiting = Deferred(cancelled.append)
        execution = Execution(declared, self.clock)
        connection = self.ask("GET", "/stream")
        request: Any = _Pending(connection.protocol)
        answered = execution(request, thing_id="a")
        assert answered is not None
        answered.cancel()
        self.failureResultOf(answered, CancelledError)
        assert cancelled == []
        self.routes.waiting.callback(ALIVE)
        assert self.routes.done == ["a one", "a two"]


class _Pending:
    """A request whose client has left."""

    channel = None
    uri = b"/"
    content = None

    def __init__(self, _: object) -> None:
        from twisted.web.http_headers import Headers

        self.requestHeaders = Headers()

    def getComponent(self, _: object) -> Any:
        """Give an exchange that nobody asks for anything."""
        return self

    request_id = b"id"
    caller = LOCAL
    on_answer = None

    def witness(self, _: object) -> None:
        """Tell nobody."""


class Declaring(SynchronousTestCase):
    """What a declaration says of a method."""

    def test_a_method_is_described_by_its_name_and_words(self) -> None:
        """The name in camelCase, the first line as summary, and the rest."""
        declared = declarations_of(Routes)
        assert list(declared)[:2] == ["answer_now", "answer_soon"]
        assert "helper" not in declared
        steps: Operation = declared["do_in_steps"]
        assert steps.name == "doInSteps"
        assert steps.summary == "Do something in two steps."
        assert steps.description == "The second one comes later."
        assert steps.variables == ["thingId"]
        assert steps.rule == "/things/<thing_id>/do"

    def test_names_in_both_writings(self) -> None:
        """Python's and JavaScript's."""
        assert camel_case("last_event_id") == "lastEventId"
        assert snake_case("lastEventId") == "last_event_id"
