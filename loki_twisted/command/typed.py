"""What a line means that is typed while one is attached to a session. Pure functions."""

from __future__ import annotations

from typing import Final

import attrs

from loki_twisted.model.errors import InvalidRequest

HELP: Final = (
    "What you type goes to the agent: the answer, if it has asked something, by its number,",
    "its value or its name; else a message, which it takes when it has done what it is doing.",
    "  /now TEXT    a message into what it is doing, where it takes that",
    "  /inbox       show again what it asks",
    "  /interrupt   let it leave off what it is doing, and stay",
    "  /pause       halt the session          /resume   let it go on",
    "  /stop        stop the session          /detach   leave; it goes on (Ctrl-D)",
    "  //TEXT       a text that begins with a slash",
)

ORDERS: Final = ("interrupt", "pause", "resume", "stop")
"""What can be ordered by a slash and its name."""

_WORDS: Final = (*ORDERS, "inbox", "detach", "help", "now")


@attrs.frozen
class Words:
    """Something for the agent."""

    text: str
    is_urgent: bool = False


@attrs.frozen
class Command:
    """Something for us: one of :data:`ORDERS`, ``inbox``, ``detach`` or ``help``."""

    name: str


def read_line(line: str) -> Words | Command | None:
    """
    Read what was typed.

    :returns: None for nothing.
    :raises InvalidRequest: with a line, for a command that there is not.
    """
    text = line.strip()
    if not text:
        return None
    if text.startswith("//"):
        return Words(text[1:])
    if not text.startswith("/"):
        return Words(text)
    name, _, rest = text[1:].partition(" ")
    if name == "now" and rest.strip():
        return Words(rest.strip(), is_urgent=True)
    if name in _WORDS and name != "now" and not rest:
        return Command(name)
    raise InvalidRequest(f"/{name} is not understood; /help says what is")
