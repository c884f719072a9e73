"""
What the audit log is told: who wanted to change what, when, from where, and with what result.

There is nothing in an entry that could be a secret or somebody's words: of a request only what has
the form of a route and of ids, no query, no body, no header but the request's id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

import attrs
from twisted.internet.interfaces import IAddress

from loki_twisted.access.allowance import Allowance
from loki_twisted.access.interface import Caller, IAudit
from loki_twisted.model.identifiers import SESSION_ID
from loki_twisted.web.answers import NOBODY, Answer, Clock
from loki_twisted.web.arrivals import party, place_of
from loki_twisted.web.operations import Operation
from loki_twisted.web.targets import ROUTED_METHODS

REFUSALS_EACH: Final = 60
REFUSALS_TOGETHER: Final = 600
"""So many refused attempts are put on record each minute, of a party and of all."""

_READS: Final = frozenset((b"GET", b"HEAD", b"OPTIONS"))
_NOT_LET_IN: Final = frozenset((HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS))
_KNOWS_THE_IDS: Final = frozenset(
    (
        "",
        "CONFLICT",
        "SESSION_ALREADY_RUNNING",
        "TOO_MANY_SESSIONS",
        "PROVIDER_NOT_AVAILABLE",
        "STORAGE_FULL",
    )
)
"""The codes of answers that come after it was seen that there is what the ids name."""
_VARIABLE: Final = re.compile(r"\{(\w+)\}")


def changes(method: bytes) -> bool:
    """Whether a method is one that changes something."""
    return method not in _READS


@attrs.frozen(slots=True, kw_only=True)
class Attempt:
    """
    A request, as far as it is put on record.

    :ivar path: Below the place where the API is mounted, without the query.
    :ivar uid: The user at the other end, where that is known.
    """

    method: bytes
    path: bytes
    peer: IAddress
    request_id: bytes
    caller: Caller = NOBODY
    uid: int | None = None


class Witness:
    """
    Puts on record who changes something, and who was not let in.

    :param operations: All that there are.
    :param clock: One that never goes back.
    """

    def __init__(self, audit: IAudit, operations: Iterable[Operation], clock: Clock) -> None:
        self._audit = audit
        self._allowance = Allowance(clock.seconds, REFUSALS_EACH, REFUSALS_TOGETHER)
        self._routes = [
            (each.method.encode(), each.path, _pattern_of(each.path)) for each in operations
        ]

    def tell(self, attempt: Attempt, answer: Answer, value: object = None) -> None:
        """
        Put a request and its answer on record, if they are worth it.

        :param value: What the answer says, of sessions and inputs.
        """
        is_known = attempt.caller != NOBODY
        if not changes(attempt.method) and answer.status not in _NOT_LET_IN:
            return
        if answer.status >= HTTPStatus.BAD_REQUEST:
            who = attempt.caller.name if is_known else party(attempt.peer)
            if not self._allowance.take(who):
                return
        route, ids = self._about(attempt)
        if not is_known or answer.code not in _KNOWS_THE_IDS:
            ids = {}  # they may be anything that somebody has typed
        self._audit.record(
            {
                "requestId": attempt.request_id.decode("ascii"),
                "who": attempt.caller.name if is_known else None,
                "uid": attempt.uid,
                "from": place_of(attempt.peer),
                "method": _method_of(attempt),
                "route": route,
                "sessionId": _id_of(ids.get("sessionId") or getattr(value, "session_id", None)),
                "inputId": _id_of(ids.get("inputId") or getattr(value, "input_id", None)),
                "status": answer.status,
                "code": answer.code or "OK",
                "untold": self._allowance.refused() or None,
            }
        )

    def _about(self, attempt: Attempt) -> tuple[str | None, dict[str, str]]:
        path = attempt.path.decode("latin-1")
        for method, template, pattern in self._routes:
            if method == attempt.method and (match := pattern.fullmatch(path)):
                return template, match.groupdict()
        return None, {}


def _pattern_of(path: str) -> re.Pattern[str]:
    return re.compile(_VARIABLE.sub(r"(?P<\1>[^/]+)", path))


def _method_of(attempt: Attempt) -> str | None:
    return attempt.method.decode("ascii") if attempt.method in ROUTED_METHODS else None


def _id_of(text: object) -> str | None:
    """Let through what has the form of an id: anything else may be anything."""
    return text if isinstance(text, str) and SESSION_ID.fullmatch(text) else None
