"""
Errors turned into answers: the one table, and the one envelope.

Whatever goes wrong on the way to an answer, in the HTTP layer, at the gate, while routing, in a
body, in a session, the client reads ``{"error": ..., "code": ..., "details": ...}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import attrs
import msgspec
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from loki_twisted.model import errors
from loki_twisted.model.wire import Problem
from loki_twisted.web.answers import OLDEST_EVENT_ID, Answer, Headers

STATUS_OF_CODE: Final[Mapping[str, int]] = {
    "BAD_REQUEST": 400,
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "SESSION_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "REQUEST_TIMEOUT": 408,
    "CONFLICT": 409,
    "SESSION_ALREADY_RUNNING": 409,
    "EVENT_ID_EXPIRED": 410,
    "PAYLOAD_TOO_LARGE": 413,
    "URI_TOO_LONG": 414,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "HOST_NOT_ALLOWED": 421,
    "VALIDATION_ERROR": 422,
    "TOO_MANY_REQUESTS": 429,
    "TOO_MANY_SESSIONS": 429,
    "HEADERS_TOO_LARGE": 431,
    "INTERNAL_ERROR": 500,
    "NOT_IMPLEMENTED": 501,
    "PROVIDER_NOT_AVAILABLE": 503,
    "SERVICE_UNAVAILABLE": 503,
    "TIMEOUT": 504,
    "STORAGE_FULL": 507,
}
"""Every code that a client can be answered with, and its status."""


class PayloadTooLarge(errors.LokiError):
    """A body has more bytes than are taken."""


class UnsupportedMediaType(errors.LokiError):
    """A body is of a type that is not taken."""


class ScopeMissing(errors.LokiError):
    """A token is right, and not good for this."""


class TicketRefused(errors.LokiError):
    """A ticket is wrong, used, too old, or not for this."""


class TooManyTickets(errors.LokiError):
    """As many tickets wait to be used as may."""


@attrs.frozen(slots=True)
class Kind:
    """
    How an error is answered.

    :ivar code: One of :data:`STATUS_OF_CODE`.
    :ivar sentence: What is said instead of the error's own message, where
        that may tell of the inside of the server.
    :ivar retry_seconds: After how long it may be tried again, if that is told.
    """

    code: str
    sentence: str | None = None
    retry_seconds: int | None = None


KIND_OF_ERROR: Final[Mapping[type[Exception], Kind]] = {
    errors.InvalidRequest: Kind("VALIDATION_ERROR"),
    errors.BadRequest: Kind("BAD_REQUEST"),
    errors.EventNotHeld: Kind("EVENT_ID_EXPIRED"),
    errors.SessionNotFound: Kind("SESSION_NOT_FOUND"),
    errors.NotFound: Kind("NOT_FOUND"),
    errors.SessionAlreadyRunning: Kind("SESSION_ALREADY_RUNNING"),
    errors.Conflict: Kind("CONFLICT"),
    errors.TooManySessions: Kind("TOO_MANY_SESSIONS"),
    errors.ProviderNotAvailable: Kind("PROVIDER_NOT_AVAILABLE"),
    # Nothing is wrong with the request, and the same one may succeed later (no
    # process or file left, a program that is just being replaced).
    errors.AgentNotStarted: Kind("SERVICE_UNAVAILABLE"),
    errors.StorageFull: Kind("STORAGE_FULL", "The disk under the log is full; nothing was done."),
    errors.StorageFailed: Kind(
        "SERVICE_UNAVAILABLE", "The log cannot be written; nothing was done."
    ),
    errors.StorageRefused: Kind("SERVICE_UNAVAILABLE", "The data directory cannot be used."),
    errors.Unavailable: Kind("SERVICE_UNAVAILABLE", retry_seconds=1),
    PayloadTooLarge: Kind("PAYLOAD_TOO_LARGE"),
    UnsupportedMediaType: Kind("UNSUPPORTED_MEDIA_TYPE"),
    ScopeMissing: Kind("FORBIDDEN"),
    TicketRefused: Kind("UNAUTHORIZED"),
    TooManyTickets: Kind("TOO_MANY_REQUESTS", retry_seconds=30),
    TimeoutError: Kind("TIMEOUT", "The server did not get done in time."),
    DeferredTimeout: Kind("TIMEOUT", "The server did not get done in time."),
}
"""Every error that is answered as itself. The others are faults of ours: 500."""

INTERNAL: Final = Kind("INTERNAL_ERROR", "The server failed; its log says more.")

_encode: Final = msgspec.json.Encoder().encode
_CHALLENGE: Final[Headers] = ((b"WWW-Authenticate", b"Bearer"),)


def problem(
    code: str,
    sentence: str,
    details: dict[str, Any] | None = None,
    headers: Headers = (),
    *,
    closes: bool = False,
) -> Answer:
    """Make the answer that says what is wrong. Its status is that of the code."""
    body = _encode(Problem(error=sentence, code=code, details=details))
    if code == "UNAUTHORIZED":
        headers = (*headers, *_CHALLENGE)
    return Answer(STATUS_OF_CODE[code], body, headers, closes, code)


def kind_of(error: type[BaseException]) -> Kind:
    """Look up how errors of a class are answered: as its nearest base in the table is."""
    for base in error.__mro__:
        if base in KIND_OF_ERROR:
            return KIND_OF_ERROR[base]
    return INTERNAL


def problem_of(failure: Failure, request_id: bytes, *, debug: bool = False) -> Answer:
    """
    Turn what was raised into an answer.

    :param debug: Whether the answer to a fault of ours may hold the stack.
    """
    error = cast(BaseException, failure.value)  # it is never empty
    if isinstance(error, HTTPException):
        return problem_of_routing(error)
    kind = kind_of(type(error))
    details: dict[str, Any] | None = None
    if kind is INTERNAL:
        details = {"requestId": request_id.decode("ascii")}
        if debug:
            details["stack"] = failure.getTraceback()
    elif isinstance(error, errors.LokiError):
        details = error.details
    headers: Headers = ()
    if kind.retry_seconds is not None:
        headers = ((b"Retry-After", b"%d" % kind.retry_seconds),)
    if isinstance(error, errors.EventNotHeld) and error.details and error.details.get("oldest"):
        headers = ((OLDEST_EVENT_ID.encode(), error.details["oldest"].encode()),)
    return problem(kind.code, kind.sentence or str(error), details, headers)


def problem_of_routing(error: HTTPException) -> Answer:
    """Turn what the router raises into an answer."""
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return problem(
            "METHOD_NOT_ALLOWED",
            f"This route takes only {allowed}.",
            headers=((b"Allow", allowed.encode()),),
        )
    return problem("NOT_FOUND", "There is no such route.")


def is_our_fault(failure: Failure) -> bool:
    """Whether what was raised should never have been, and belongs into the log."""
    error = cast(BaseException, failure.value)  # it is never empty
    return not isinstance(error, HTTPException) and kind_of(type(error)) is INTERNAL
