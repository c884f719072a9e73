"""
Operations: what the API can be asked for, declared beside the code that does it.

One declaration makes the route, reads and checks the request, encodes the answer and
describes all of it in the OpenAPI document, so none of them can say something else
than the others. A class of routes is a plain class; its methods are marked with
:func:`operation` and get decoded values, never a request.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs

from loki_twisted.model.errors import LokiError
from loki_twisted.model.wire import Request
from loki_twisted.web.parameters import Parameter
from loki_twisted.web.validation import NoFields

F = TypeVar("F", bound=Callable[..., Any])

EVENT_STREAM: Final = "text/event-stream"

DESCRIBED_OLDEST: Final[Mapping[str, Any]] = {
    "description": "The id of the oldest event that there is, where the one that was asked for "
    "is none that the log can go on from. Absent if there is no event.",
    "schema": {"type": "string", "pattern": "^evt_[1-9][0-9]{0,17}_[0-9]{1,18}$"},
}
"""``X-Oldest-Event-ID``, as OpenAPI describes it."""

_MARK: Final = "_loki_operation"
_VARIABLE: Final = re.compile(r"\{(\w+)\}")


@attrs.frozen(slots=True)
class Reply:
    """
    An answer whose status is not the usual one of its operation.

    :ivar value: What is encoded.
    """

    value: object
    status: int


@attrs.frozen(slots=True, kw_only=True)
class Operation:
    """
    One thing that the API can be asked for.

    :ivar name: Its name in the document, in camelCase.
    :ivar method: ``GET``, ``POST`` or ``DELETE``.
    :ivar path: With variables as in ``/api/sessions/{sessionId}``; the handler gets each by
        its name in snake_case.
    :ivar summary: What it does, in one sentence.
    :ivar description: More about it, or empty.
    :ivar tag: The group that it belongs to.
    :ivar parameters: Query parameters and headers that it reads.
    :ivar body: The shape of its body.
    :ivar examples: Bodies that show what may be asked for, each by what it shows.
    :ivar answer: The type of its answer; None for a stream.
    :ivar media_type: That of a stream.
    :ivar headers: Those of its answer, beside the common ones, as OpenAPI describes them.
    :ivar status: The status of its answer.
    :ivar also: Types of answers with other statuses that are no errors of the client.
    :ivar errors: What the handler raises, beyond what any request can meet.
    :ivar asks_who: Whether the handler is given ``visit``, a
        :class:`~loki_twisted.web.visits.Visit`.
    :ivar needs_token: Whether a request that is not local needs a token.
    :ivar links: Where its answer leads: for each linked operation, by name, the
        variables of its path and the field of the answer that fills each, ``tasks/0/id`` for one
        within.
    """

    name: str
    method: str
    path: str
    summary: str
    description: str
    tag: str
    parameters: Sequence[Parameter] = ()
    body: type[Request] = NoFields
    examples: Mapping[str, Any] = attrs.field(factory=dict)
    answer: Any = None
    media_type: str = EVENT_STREAM
    headers: Mapping[str, Any] = attrs.field(factory=dict)
    status: int = 200
    also: Mapping[int, Any] = attrs.field(factory=dict)
    errors: Sequence[type[LokiError]] = ()
    asks_who: bool = False
    needs_token: bool = True
    links: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)

    @property
    def variables(self) -> list[str]:
        """The variables of its path, as the path writes them."""
        return _VARIABLE.findall(self.path)

    @property
    def rule(self) -> str:
        """Its path as Klein wants it."""
        return _VARIABLE.sub(lambda match: f"<{snake_case(match[1])}>", self.path)


@attrs.frozen(slots=True)
class Bound:
    """An operation and what carries it out."""

    operation: Operation
    handler: Callable[..., object]


def operation(method: str, path: str, *, tag: str, **declared: Any) -> Callable[[F], F]:
    """
    Mark a method as the handler of an operation.

    The method's name and docstring name and describe it. It is called with
    the variables of the path, the parameters by their ``argument``, and ``body`` if a
    shape is declared, all as keywords. It returns the answer, a Deferred of it, or a
    coroutine; or, for a stream, a leaf resource. It raises the errors that are declared.

    :param declared: Further fields of :class:`Operation`.
    """

    def mark(handler: F) -> F:
        summary, _, description = inspect.cleandoc(handler.__doc__ or "").partition("\n")
        declaration = Operation(
            name=camel_case(handler.__name__),
            method=method,
            path=path,
            tag=tag,
            summary=summary,
            description=" ".join(description.split()),
            **declared,
        )
        handler.__dict__[_MARK] = declaration
        return handler

    return mark


def declarations_of(routes: type) -> dict[str, Operation]:
    """The operations that a class of routes declares, by the names of their methods, in order."""
    marked = ((name, getattr(member, _MARK, None)) for name, member in vars(routes).items())
    return {name: mark for name, mark in marked if isinstance(mark, Operation)}


def operations_of(routes: object) -> list[Bound]:
    """The same, with what carries them out."""
    declared = declarations_of(type(routes))
    return [Bound(each, getattr(routes, name)) for name, each in declared.items()]


def camel_case(name: str) -> str:
    """Turn ``session_id`` into ``sessionId``."""
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def snake_case(name: str) -> str:
    """Turn ``sessionId`` into ``session_id``."""
    return re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), name)
