"""
Carrying out an operation: from a request to its answer, whatever happens in between.

The client's going away cancels nothing: what was ordered is carried out to its end. Klein
cancels the Deferred of a handler whose client has left, so it is given one of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Final, cast

import attrs
import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Request

from loki_twisted.kernel.patience import at_most
from loki_twisted.web.answers import Answer, exchange_of, is_gone, send
from loki_twisted.web.limits import DEFAULT_LIMITS
from loki_twisted.web.operations import Bound, Operation, Reply
from loki_twisted.web.parameters import read_parameters
from loki_twisted.web.problems import PayloadTooLarge, is_our_fault, problem_of
from loki_twisted.web.scopes import check_scope
from loki_twisted.web.validation import NoFields, read_body
from loki_twisted.web.visits import visit_of

MOST_BYTES: Final = DEFAULT_LIMITS.body_bytes

ORDER_SECONDS: Final = 50.0
"""
Who orders something waits for its answer at most so long.

So who asks for it again under the same key learns more than from a connection that a proxy has
closed, which some do after a minute. It is carried out all the same.
"""

_encode: Final = msgspec.json.Encoder().encode


@attrs.frozen(slots=True)
class Execution:
    """
    Answers the requests for one operation.

    :ivar clock: Says when an order has taken too long.
    :ivar debug: Whether answers to faults of ours hold the stack.
    """

    bound: Bound
    clock: IReactorTime
    debug: bool = False
    _log = Logger()

    def __call__(self, request: Request, **variables: str) -> Deferred[object] | None:
        """
        Answer a request, now or later. The exchange of the request is open.

        :param variables: Those of the path.
        :returns: None if it is answered; else a Deferred that fires when it is, or never if
            a stream answers it. Cancelling it cancels nothing.
        """
        try:
            exchange_of(request).route = self.bound.operation.path
            if self.bound.operation.needs_token:
                check_scope(exchange_of(request).caller, self.bound.operation.name)
            result = self.bound.handler(**variables, **self._arguments(request))
            if inspect.iscoroutine(result):
                result = Deferred.fromCoroutine(result)
            if isinstance(result, Deferred):
                return self._later(result, request)
            return self._answer(result, request)
        except Exception:  # noqa: BLE001  # every error has an answer
            self._fail(Failure(), request)
            return None

    def _arguments(self, request: Request) -> dict[str, object]:
        # First the body: whether it is JSON at all comes before what anything means.
        operation = self.bound.operation
        body = read_body(
            _content(request),
            request.requestHeaders.getRawHeaders(b"Content-Type", ()),
            request.requestHeaders.getRawHeaders(b"Content-Encoding", ()),
            operation.body,
        )
        arguments = read_parameters(
            request.uri, _declared_headers(request, operation), operation.parameters
        )
        if operation.body is not NoFields:
            arguments["body"] = body
        if operation.asks_who:
            arguments["visit"] = visit_of(request)
        return arguments

    def _later(self, result: Deferred[object], request: Request) -> Deferred[object]:
        # Whoever is given this may cancel it, and cancels only the waiting.
        answered: Deferred[object] = Deferred()
        if self.bound.operation.method != "GET":
            late = partial(self._late, request, exchange_of(request).on_answer)
            result = at_most(self.clock, ORDER_SECONDS, result, TimeoutError, late)
        result.addCallback(self._answer, request)
        result.addErrback(self._fail, request)
        result.addBoth(answered.callback)
        return answered

    def _answer(self, result: object, request: Request) -> Deferred[object] | None:
        if IResource.providedBy(result):
            exchange_of(request).stamp(request)
            request.render(result)
            return Deferred()
        send(request, self._answer_of(result, request))
        return None

    def _answer_of(self, result: object, request: Request) -> Answer:
        exchange_of(request).value = result
        if isinstance(result, Answer):
            return result
        if isinstance(result, Reply):
            return Answer(result.status, _encode(result.value))
        return Answer(self.bound.operation.status, _encode(result))

    def _late(
        self,
        request: Request,
        on_answer: Callable[[Answer], None] | None,
        result: object,
    ) -> None:
        """Put on record what became of an order in the end: its client was told that it is open."""
        if isinstance(result, Failure):
            self._failed_late(result)
            answer = problem_of(result, cast(bytes, exchange_of(request).request_id))
        else:
            answer = self._answer_of(result, request)
        if on_answer is not None:
            on_answer(answer)

    def _failed_late(self, failure: Failure) -> None:
        name, reason = self.bound.operation.name, failure.getErrorMessage()
        if is_our_fault(failure):
            self._log.failure("{operation} failed in the end", failure, operation=name)
        else:
            self._log.warn("{operation} was refused late: {reason}", operation=name, reason=reason)

    def _fail(self, failure: Failure, request: Request) -> None:
        request_id = cast(bytes, exchange_of(request).request_id)
        if is_our_fault(failure):
            self._log.failure(
                "{operation} failed in request {id}",
                failure,
                operation=self.bound.operation.name,
                id=request_id.decode("ascii"),
            )
        elif is_gone(request):
            self._log.info(
                "{operation} was refused after its client had left: {reason}",
                operation=self.bound.operation.name,
                reason=failure.getErrorMessage(),
            )
        send(request, problem_of(failure, request_id, debug=self.debug))


def _declared_headers(request: Request, operation: Operation) -> dict[str, list[str]]:
    headers = {}
    for each in operation.parameters:
        if each.place == "header":
            given = request.requestHeaders.getRawHeaders(each.name.encode("ascii"), ())
            headers[each.name] = [value.decode("latin-1") for value in given]
    return headers


def _content(request: Request) -> bytes:
    # In our own site the connection has counted already; in another one nobody has.
    content = request.content.read(MOST_BYTES + 1) if request.content is not None else b""
    if len(content) > MOST_BYTES:
        raise PayloadTooLarge(f"A body may have {MOST_BYTES} bytes at most.")
    return content
