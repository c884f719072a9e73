"""What each operation takes of a token. The one table: the routes and the document read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from loki_twisted.access.interface import Caller, Scope
from loki_twisted.web.problems import ScopeMissing

SCOPE_OF: Final[Mapping[str, Scope]] = {
    "getHealth": Scope.READ,
    "getStatus": Scope.READ,
    "getMetrics": Scope.READ,
    "listProviders": Scope.READ,
    "listSessions": Scope.READ,
    "getSession": Scope.READ,
    "listOpenInputs": Scope.READ,
    "listInputs": Scope.READ,
    "getInput": Scope.READ,
    "listMessages": Scope.READ,
    "readOutput": Scope.READ,
    "listSessionTasks": Scope.READ,
    "getTask": Scope.READ,
    "listTasks": Scope.READ,
    "listActiveTasks": Scope.READ,
    "listQueuedTasks": Scope.READ,
    "getUsage": Scope.READ,
    "streamEvents": Scope.READ,
    "createTicket": Scope.READ,
    "listEvents": Scope.READ,
    "getEventStats": Scope.READ,
    "getDocument": Scope.READ,
    "startSession": Scope.WRITE,
    "continueSession": Scope.WRITE,
    "stopSession": Scope.WRITE,
    "pauseSession": Scope.WRITE,
    "resumeSession": Scope.WRITE,
    "interruptSession": Scope.WRITE,
    "giveInput": Scope.WRITE,
    "answerInput": Scope.WRITE,
    "deleteSession": Scope.ADMIN,
}
"""By the names of all operations that need a token."""


def scope_of(operation: str) -> Scope:
    """Say what an operation takes. What has no place in the table takes the most."""
    return SCOPE_OF.get(operation, Scope.ADMIN)


def check_scope(caller: Caller, operation: str) -> None:
    """
    Let somebody do what the scopes allow.

    :raises ScopeMissing: if they do not; it says which is missing.
    """
    wanted = scope_of(operation)
    if wanted not in caller.scopes:
        raise ScopeMissing(
            f"This takes a token with the scope {wanted.value!r}.",
            {
                "missingScope": wanted.value,
                "scopes": [s.value for s in Scope if s in caller.scopes],
            },
        )
