"""What can go wrong for a client."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from loki_twisted.model.errors import LokiError

MALFORMED: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""
What msgspec raises at JSON that is not what it should be: broken or of another shape, not UTF-8, or
nested too deeply to be read.
"""


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


def none_of_this_api(
    answer: str, problem: object, status: int = 200, details: dict[str, Any] | None = None
) -> ClientError:
    """
    Make the error of an answer that is not what it should be.

    :param answer: What it is, as the subject of a sentence.
    :param problem: What is wrong with it.
    """
    message = f"{answer} is none of this API: {problem}."
    return ClientError("UNEXPECTED_ANSWER", status, message, details)
