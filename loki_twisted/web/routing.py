"""From a path to the operation that answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

from klein import Klein
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from loki_twisted.web.answers import exchange_of, prepare
from loki_twisted.web.execution import Execution
from loki_twisted.web.problems import problem_of

_METHODS_OF: Final = {"GET": ("GET", "HEAD")}


def klein_app(executions: Iterable[Execution], *, debug: bool) -> Klein:
    """
    Make an application of operations.

    It is an object like any other, so there may be several in a process.

    :param debug: Whether answers to faults of ours hold the stack.
    """
    app = Klein()
    for execution in executions:
        declared = execution.bound.operation
        route = app.route(declared.rule, methods=[declared.method], endpoint=declared.name)
        route(_function(execution))

    @app.handle_errors
    def answer_failure(request: IRequest, failure: Failure) -> bytes:
        # What the router raises. An execution answers its own errors.
        ours = cast(Request, request)
        request_id = cast(bytes, exchange_of(ours).request_id)
        return prepare(ours, problem_of(failure, request_id, debug=debug))

    return app


class Router(Resource):
    """
    Routes by Klein, and past it where a path has no variables.

    Klein takes 33 of the 54 microseconds of a small request, to find the rule and to watch
    over the handler. A path without variables is found in a dict, and an
    execution watches over itself.

    :param executions: All operations.
    :param app: Knows all of them.
    """

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self, executions: Sequence[Execution], app: Klein) -> None:
        super().__init__()
        self._app = app.resource()
        self._fixed = {
            (method.encode(), declared.path.lstrip("/").encode()): execution
            for execution in executions
            for declared in (execution.bound.operation,)
            for method in _METHODS_OF.get(declared.method, (declared.method,))
            if not declared.variables
        }

    def render(self, request: Request) -> int:
        """Answer a request that was let in."""
        path = b"/".join(request.postpath or ())
        execution = self._fixed.get((request.method, path))
        if execution is None:
            self._app.render(request)
        else:
            execution(request)
        return NOT_DONE_YET


def _function(execution: Execution) -> Callable[..., Any]:
    # Klein wants a function: it looks at its name.
    def answer(request: Request, **variables: str) -> Any:
        return execution(request, **variables)

    return answer
