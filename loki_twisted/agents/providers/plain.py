"""
The plain line protocol: what any agent may print, and what it means.

In this order, after escape sequences are gone:

- a JSON object: ``objects.py``;
- ``[LEVEL] [SOURCE] message``, the source optional: that log event and nothing else. An
  unknown level is ``info`` and, where no source is named, stands as the source, so that nothing
  is lost;
- a line that begins with ``Starting|Entering|Beginning X phase``: that phase has started;
- a line that begins with ``Spawning X agent``: an agent of that type was spawned. It has no
  id, so its type stands for one;
- anything else: a log event, ``info`` from stdout and ``error`` from stderr.

Each line is one fact, also a blank one, so that what was printed can be read again as it
was. A text is cut at 64 KiB.
Most lines are plain or begin with a level, and pass through one regular expression.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from zope.interface import implementer

from loki_twisted.agents.interface import IDriver
from loki_twisted.agents.providers.cleaning import MAX_TEXT, clean, cut
from loki_twisted.agents.providers.objects import fact_of_object, maybe_object
from loki_twisted.agents.providers.words import DEFAULT_LEVEL, maybe_level
from loki_twisted.model.events import LOG_LEVELS, Fact

# Nothing in it can match in two ways, so it never goes back: that halves its time.
_LEVELLED: Final = re.compile(
    r"\s*+\[ *+([A-Za-z][\w-]{0,31}+) *+\]\s*+(?:\[([^\[\]]{1,64}+)\]\s*+)?(.*)", re.DOTALL
)
_SPOKEN: Final = re.compile(
    r"""
    \W*+                                                          # arrows, bullets, rules
    (?: (?:starting|entering|beginning) \s++ (?:the\s++)?+ (?P<phase>[\w-]{1,64}+) \s++ phase \b
      | spawning \s++ (?:an?\s++|the\s++)?+ (?P<agent>[\w-]{1,64}+) \s++ agent \b )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TYPES: Final = {level: f"log:{level}" for level in LOG_LEVELS}
_CLOSE: Final = MAX_TEXT // 4
"""A text of no more characters is within ``MAX_TEXT`` for certain."""


def facts_of_line(stream: str, text: str) -> tuple[Fact]:
    """
    Translate a line of any agent.

    :param stream: ``stdout`` or ``stderr``.
    :param text: The line without its end; any text at all.
    """
    if not text.isprintable():
        text = clean(text).rstrip("\n")
    first = text[:1]
    if first.isspace():
        first = text.lstrip()[:1]
    if first == "{":
        found = maybe_object(text)
        if found is not None:
            return (fact_of_object(found, cut(text.lstrip()), DEFAULT_LEVEL[stream]),)
    if len(text) > _CLOSE:
        text = cut(text)
    if first == "[":
        levelled = _LEVELLED.match(text)
        if levelled is not None:
            return (_levelled(text, *levelled.groups()),)
    elif (spoken := _SPOKEN.match(text)) is not None:
        return (_spoken(**spoken.groupdict()),)
    level = DEFAULT_LEVEL[stream]
    return (Fact(_TYPES[level], {"level": level, "message": text}),)


def _levelled(text: str, word: str, source: str | None, message: str) -> Fact:
    level = maybe_level(word)
    if level is None:
        level, source = "info", source or word
    if not message:
        # Brackets alone are the whole message; taken apart they would say nothing.
        return Fact(_TYPES[level], {"level": level, "message": text})
    if source is None:
        return Fact(_TYPES[level], {"level": level, "message": message})
    return Fact(_TYPES[level], {"level": level, "message": message, "source": source})


def _spoken(phase: str | None, agent: str | None) -> Fact:
    if phase is not None:
        return Fact("phase:started", {"phase": phase.lower()})
    return Fact("agent:spawned", {"agentId": agent, "type": agent})


@implementer(IDriver)
class PlainDriver:
    """The driver of every agent that has no protocol of its own. It keeps nothing between lines."""

    def line(self, stream: str, text: str) -> Sequence[Fact]:
        """See :class:`IDriver`."""
        return facts_of_line(stream, text)
