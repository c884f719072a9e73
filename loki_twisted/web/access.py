"""The access log: a line for each request, without its query, in which people put secrets."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.logger import Logger, LogLevel
from twisted.web.http import Request

from loki_twisted.web.answers import Answer

_SESSION_AT: Final = 3
"""Where the path of a session has its id, between slashes."""

_log: Final = Logger()


class AccessLog:
    """
    Writes down requests.

    :param level: At which level they are logged.
    """

    def __init__(self, level: Any = LogLevel.debug) -> None:
        self._level = level

    def note(self, request: Request) -> None:
        """Note a request whose answer is sent, or whose client has left."""
        path = (request.path or b"").decode("ascii", "replace")
        _log.emit(
            self._level,
            "{peer} {method} {path} {status} {bytes}B {took} {id}",
            peer=_peer_of(request),
            method=request.method.decode("ascii", "replace"),
            path=path,
            status=request.code if request.startedWriting else 0,
            bytes=request.sentLength,
            took=_header(request, b"X-Response-Time"),
            id=_header(request, b"X-Request-ID"),
            session_id=_session_of(path),
        )

    def note_refusal(self, request_line: bytes, answer: Answer, request_id: bytes) -> None:
        """Note what was refused before it became a request."""
        _log.emit(
            self._level,
            "{line} {status} {bytes}B {id}",
            line=request_line.partition(b"?")[0].decode("ascii", "replace") or "-",
            status=answer.status,
            bytes=len(answer.body),
            id=request_id.decode("ascii"),
        )


def _peer_of(request: Request) -> str:
    peer = request.getClientAddress()
    return str(peer.host) if isinstance(peer, IPv4Address | IPv6Address) else "-"


def _session_of(path: str) -> str | None:
    parts = path.split("/", _SESSION_AT + 1)
    is_of_one = len(parts) > _SESSION_AT and parts[1:_SESSION_AT] == ["api", "sessions"]
    return parts[_SESSION_AT] if is_of_one else None


def _header(request: Request, name: bytes) -> str:
    values = request.responseHeaders.getRawHeaders(name)
    return values[0].decode("ascii") if values else "-"
