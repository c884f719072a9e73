"""What can go wrong for a client."""

from __future__ import annotations

from typing import Any

from loki_twisted.model.errors import LokiError


class ClientError(LokiError):
    """
    The server answered, but not with what was asked for.

    :ivar code: The code of the answer (``SESSION_NOT_FOUND``); ``UNEXPECTED_ANSWER`` if it is
        none of this API, for example a proxy's page.
    :ivar status: The HTTP status.
    :ivar message: One sentence for a person; it is also the text of the exception.
    :ivar details: More for a program, or None.
    """

    def __init__(
        self, code: str, status: int, message: str, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message, details)
        self.code = code
        self.status = status
        self.message = message

    def __repr__(self) -> str:
        return f"ClientError({self.code!r}, {self.status}, {self.message!r})"


class ServerUnreachable(LokiError):
    """There was no answer: nobody listens, the connection broke, or it took too long."""


class ServerNotTrusted(ServerUnreachable):
    """The server's certificate is not one that is trusted, or is not for its name."""
