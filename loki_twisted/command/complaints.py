"""What went wrong, as a line that says what to do about it, and as an exit code. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from loki_twisted.client import ClientError, ServerNotTrusted, ServerUnreachable
from loki_twisted.command.exits import Exit
from loki_twisted.command.formatting import plain
from loki_twisted.command.names import NoSuchName
from loki_twisted.model.errors import InvalidRequest, LokiError

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404

_ADVICE: Final[Mapping[str, str]] = {
    "UNAUTHORIZED": "set LOKI_API_TOKEN to the server's token, or name its --token-file",
    "FORBIDDEN": "give a token that may do this",
    "SESSION_NOT_FOUND": "see which there are: lokictl ps",
    "SESSION_ALREADY_RUNNING": "stop that one, or wait for your turn with --queue",
    "TOO_MANY_SESSIONS": "stop one, or wait for your turn with --queue",
    "PROVIDER_NOT_AVAILABLE": "see which are there: lokictl health",
    "HOST_NOT_ALLOWED": "start the server with --allowed-host and the name in --url",
    "UNEXPECTED_ANSWER": "see whether --url (or LOKI_URL) is that of a loki serve",
    "STORAGE_FULL": "make room on the server's disk",
    "SERVICE_UNAVAILABLE": "try again in a moment",
    "INTERNAL_ERROR": "the server's log says more",
}


def complaint(error: LokiError) -> str:
    """Say in one line what went wrong, and what to do about it where that is known."""
    text = plain(error)
    advice = _advice(error)
    return f"{text.rstrip('.')}; {advice}" if advice else text


def _advice(error: LokiError) -> str | None:
    if isinstance(error, ServerNotTrusted):
        return "name the file of a certificate that you trust in SSL_CERT_FILE"
    if isinstance(error, ServerUnreachable):
        return "start a server with: loki serve, or name another one with --url or LOKI_URL"
    if not isinstance(error, ClientError):
        return None
    seconds = (error.details or {}).get("retryAfter")
    if isinstance(seconds, int | float) and seconds > 0:
        return f"try again in {seconds:g} s"
    if error.status == _UNAUTHORIZED:  # also of a proxy before the server
        return _ADVICE["UNAUTHORIZED"]
    return _ADVICE.get(error.code if _is_of_this_api(error) else "UNEXPECTED_ANSWER")


def exit_code_of(error: LokiError) -> Exit:
    """Choose the exit code for what went wrong."""
    if isinstance(error, InvalidRequest):
        return Exit.USAGE
    if isinstance(error, NoSuchName):
        return Exit.NOT_FOUND
    if isinstance(error, ServerUnreachable):
        return Exit.NO_SERVER
    status = error.status if isinstance(error, ClientError) else None
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        return Exit.NOT_ALLOWED
    is_ours = isinstance(error, ClientError) and _is_of_this_api(error)
    return Exit.NOT_FOUND if status == _NOT_FOUND and is_ours else Exit.REFUSED


def _is_of_this_api(error: ClientError) -> bool:
    """Whether an answer is that of a server of ours, to what it knows."""
    has_no_route = error.code == "NOT_FOUND" and not error.details
    return error.code != "UNEXPECTED_ANSWER" and not has_no_route
