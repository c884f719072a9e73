"""Tests of :mod:`loki_twisted.web.problems`."""

from __future__ import annotations

import inspect
import json
from http import HTTPStatus

import pytest
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.python.failure import Failure
from werkzeug.exceptions import BadGateway, HTTPException, MethodNotAllowed, NotFound

from loki_twisted.model import errors
from loki_twisted.web import problems
from loki_twisted.web.problems import (
    KIND_OF_ERROR,
    STATUS_OF_CODE,
    is_our_fault,
    kind_of,
    problem,
    problem_of,
)

OURS = [
    each
    for each in vars(errors).values()
    if inspect.isclass(each) and issubclass(each, errors.LokiError) and each is not errors.LokiError
]


@pytest.mark.parametrize("error", OURS, ids=lambda each: each.__name__)
def test_every_error_of_ours_has_its_answer(error: type[errors.LokiError]) -> None:
    """No error that a room may raise on purpose is answered as a fault of the server."""
    answer = problem_of(Failure(error("It is so.", {"sessionId": "s"})), b"id")
    assert answer.status != HTTPStatus.INTERNAL_SERVER_ERROR
    body = json.loads(answer.body)
    assert answer.status == STATUS_OF_CODE[body["code"]]
    assert body["details"] == {"sessionId": "s"}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.BadRequest("x"), 400, "BAD_REQUEST"),
        (errors.InvalidRequest("x"), 422, "VALIDATION_ERROR"),
        (errors.EventNotHeld("x"), 410, "EVENT_ID_EXPIRED"),
        (errors.SessionNotFound.of("x"), 404, "SESSION_NOT_FOUND"),
        (errors.NotFound("x"), 404, "NOT_FOUND"),
        (errors.Conflict("x"), 409, "CONFLICT"),
        (errors.SessionAlreadyRunning("x"), 409, "SESSION_ALREADY_RUNNING"),
        (errors.TooManySessions("x"), 429, "TOO_MANY_SESSIONS"),
        (errors.ProviderNotAvailable("x"), 503, "PROVIDER_NOT_AVAILABLE"),
        (errors.AgentNotStarted("x"), 503, "SERVICE_UNAVAILABLE"),
        (errors.StorageFull("x"), 507, "STORAGE_FULL"),
        (errors.StorageFailed("x"), 503, "SERVICE_UNAVAILABLE"),
        (errors.Unavailable("x"), 503, "SERVICE_UNAVAILABLE"),
        (problems.PayloadTooLarge("x"), 413, "PAYLOAD_TOO_LARGE"),
        (problems.UnsupportedMediaType("x"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (TimeoutError(), 504, "TIMEOUT"),
        (DeferredTimeout(), 504, "TIMEOUT"),
        (NotFound(), 404, "NOT_FOUND"),
        (BadGateway(), 404, "NOT_FOUND"),
        (KeyError("x"), 500, "INTERNAL_ERROR"),
        (errors.LokiError("x"), 500, "INTERNAL_ERROR"),
        (GeneratorExit(), 500, "INTERNAL_ERROR"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_the_table(error: BaseException, status: int, code: str) -> None:
    """Each error has the status and the code that clients were promised."""
    answer = problem_of(Failure(error), b"id")
    assert (answer.status, json.loads(answer.body)["code"]) == (status, code)
    assert is_our_fault(Failure(error)) == (code == "INTERNAL_ERROR")


def test_a_wrong_method_is_told_the_right_ones() -> None:
    """A 405 has the header that it must have."""
    answer = problem_of(Failure(MethodNotAllowed(valid_methods=["POST", "GET", "HEAD"])), b"id")
    assert answer.status == 405
    assert dict(answer.headers) == {b"Allow": b"GET, HEAD, POST"}


@pytest.mark.threat("T31")
def test_a_fault_of_ours_tells_nothing_of_the_inside() -> None:
    """A 500 has a fixed sentence and the id under which the log tells more."""
    answer = problem_of(Failure(ValueError("/secret/path")), b"the-id")
    assert b"secret" not in answer.body
    assert json.loads(answer.body) == {
        "error": "The server failed; its log says more.",
        "code": "INTERNAL_ERROR",
        "details": {"requestId": "the-id"},
    }


def test_the_stack_is_shown_in_debug_mode_only() -> None:
    """Whoever develops sees where it happened."""
    try:
        raise ValueError("deep inside")
    except ValueError:
        answer = problem_of(Failure(), b"id", debug=True)
    assert "deep inside" in json.loads(answer.body)["details"]["stack"]
    known = problem_of(Failure(errors.Conflict("x")), b"id", debug=True)
    assert "details" not in json.loads(known.body)


@pytest.mark.parametrize(
    "error",
    [errors.StorageFailed, errors.StorageFull, errors.StorageRefused, TimeoutError],
    ids=lambda each: each.__name__,
)
def test_what_names_files_is_not_repeated(error: type[Exception]) -> None:
    """The message of a broken disk may hold paths; the client gets a fixed sentence."""
    assert b"/var" not in problem_of(Failure(error("/var/lib/loki.db is broken")), b"id").body


def test_every_code_has_a_status_that_exists() -> None:
    """The table holds no status that HTTP does not know, and every error a code of the table."""
    for code, status in STATUS_OF_CODE.items():
        assert HTTPStatus(status) >= HTTPStatus.BAD_REQUEST
        assert json.loads(problem(code, "x").body) == {"error": "x", "code": code}
    assert {kind.code for kind in KIND_OF_ERROR.values()} <= set(STATUS_OF_CODE)


def test_a_class_below_one_of_the_table_is_answered_like_it() -> None:
    """An error of a finer kind needs no entry of its own."""

    class Busy(errors.Conflict):
        """The session is busy."""

    assert kind_of(Busy).code == "CONFLICT"


def test_all_routing_errors_are_the_clients() -> None:
    """Whatever the router raises is no fault of ours, and is not logged as one."""
    assert not is_our_fault(Failure(HTTPException()))
