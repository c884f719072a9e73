"""Lines of the Agent Client Protocol, as far as they need more than ``jsonrpc.py``."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from loki_twisted.agents.providers.jsonrpc import Incoming, maybe_message

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


class _Error(msgspec.Struct):
    data: Any = None


class _Failed(msgspec.Struct):
    error: _Error
