"""
What can go wrong, in our own words.

One class for each fact, none of them knows HTTP: ``web/problems.py`` holds the
one table that turns them into a status and a body. The message is one
sentence for a person; ``details`` is an object for a program.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs


class LokiError(Exception):
    """
    The base of all errors of ours.

    :ivar details: A JSON object that says more, or None.
    """

    def __init__(self, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details = details


@attrs.frozen(slots=True)
class Fault:
    """One thing that is wrong with a request: where (a path like ``options.timeout``) and what."""

    path: str
    message: str


class InvalidRequest(LokiError):
    """A request was understood, but what it asks for is not valid."""

    @classmethod
    def of(cls, faults: Iterable[tuple[str, str]]) -> InvalidRequest:
        """Make the error from all that is wrong: pairs of path and message."""
        errors = [{"path": path, "message": message} for path, message in faults]
        first = errors[0] if errors else {"path": "", "message": "is not valid"}
        sentence = f"{first['path']}: {first['message']}" if first["path"] else first["message"]
        return cls(sentence, {"errors": errors})


class BadRequest(LokiError):
    """A request could not be understood at all: no JSON, or no object."""


class NotFound(LokiError):
    """There is no such thing."""


class EventNotHeld(LokiError):
    """The log holds no event of that id: it never gave it, or has dropped the event since."""


class SessionNotFound(NotFound):
    """There is no session of that id."""

    @classmethod
    def of(cls, session_id: str) -> SessionNotFound:
        """Name the session that is not there."""
        return cls(f"There is no session {session_id!r}.", {"sessionId": session_id})


class Conflict(LokiError):
    """The thing is there, but its state does not allow what was asked."""


class OtherInput(Conflict):
    """
    Something else stands where input was to stand: somebody wrote it of whom no record tells.

    :ivar same_until: Up to that offset, the end of a line, it is the same.
    :ivar end: The offset behind all that stands there.
    """

    same_until = 0
    end = 0

    @classmethod
    def of(cls, same_until: int, end: int) -> OtherInput:
        """Make the error from both."""
        error = cls(f"Other input stands from {same_until} to {end}.")
        error.same_until, error.end = same_until, end
        return error


class SessionAlreadyRunning(Conflict):
    """Another session runs in the same project directory."""


class TooManySessions(LokiError):
    """As many sessions run as the server may run at once."""


class ProviderNotAvailable(LokiError):
    """The program that the session needs is not installed."""


class AgentNotStarted(LokiError):
    """The program is there but could not be started."""


class StorageFailed(LokiError):
    """The log could not be written; what was asked for did not happen."""


class StorageFull(StorageFailed):
    """The disk under the log is full."""


class StorageDamaged(StorageFailed):
    """The log holds what was never written."""


class StorageRefused(LokiError):
    """The data directory cannot be used: held by another server, foreign, or of a newer version."""


class StorageExposed(StorageRefused):
    """The data directory is in the hands of others: it is theirs, or they may write to it."""


class StorageMisnamed(StorageRefused):
    """The data directory has a name that a log cannot be kept under."""


class StorageForeign(StorageRefused):
    """
    The log is of a newer version or another program, has sums that cannot be kept, or is no file.

    It is left as it is.
    """


class Unavailable(LokiError):
    """The server cannot do this now, for example because it is shutting down."""
