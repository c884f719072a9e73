"""Lines of the Agent Client Protocol: those of ``jsonrpc.py``, with what more they need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from loki_twisted.agents.outputs import Write
from loki_twisted.agents.providers.jsonrpc import (
    Incoming,
    RequestId,
    failure_line,
    maybe_message,
    notification_line,
    request_line,
    result_line,
)

_ESCAPE: Final = re.compile(
    r"""
      \\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}  # both halves of a character
    | (?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})                   # one of them
    | \\.                                                         # anything else
    """,
    re.VERBOSE | re.DOTALL,
)


def message_of(text: str) -> Incoming | None:
    """
    Read a line; None if it is none of the protocol.

    Half a character is read as U+FFFD. Those write one who cut a text in the middle of a character,
    and no text can hold it; a question must not be lost for that.
    """
    found = maybe_message(text)
    if found is None and ("\\ud" in text or "\\uD" in text):
        return maybe_message(_ESCAPE.sub(lambda each: r"\ufffd" if each["half"] else each[0], text))
    return found


def details_of(text: str) -> str:
    """
    Say what an error has beside its message, where the reason often is; empty if that is nothing.

    :param text: A line that is a failure.
    """
    try:
        data = msgspec.json.decode(text, type=_Failed).error.data
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""
    if isinstance(data, dict):
        told = (data.get(name) for name in ("details", "message", "error"))
        data = next((each for each in told if isinstance(each, str)), None)
    return data if isinstance(data, str) else ""


def request(number: int, method: str, params: Mapping[str, Any]) -> Write:
    """Ask for something."""
    return Write(request_line(number, method, params, named=True))


def notification(method: str, params: Mapping[str, Any]) -> Write:
    """Say something."""
    return Write(notification_line(method, params, named=True))


def result(request_id: RequestId, value: Mapping[str, Any]) -> Write:
    """Answer a request of the agent."""
    return Write(result_line(request_id, value, named=True))


def refusal(request_id: RequestId, code: int, words: str) -> Write:
    """Refuse a request of the agent."""
    return Write(failure_line(request_id, code, words, named=True))


class _Error(msgspec.Struct):
    data: Any = None


class _Failed(msgspec.Struct):
    error: _Error
