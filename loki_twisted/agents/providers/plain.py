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
from typing import Final

from loki_twisted.agents.outputs import Asked, Outputs, Taken, Write
from loki_twisted.agents.providers.cleaning import MAX_TEXT, clean, cut
from loki_twisted.agents.providers.driver import Driver
from loki_twisted.agents.providers.objects import fact_of_object, maybe_object
from loki_twisted.agents.providers.words import DEFAULT_LEVEL, maybe_level
from loki_twisted.model.events import LOG_LEVELS, Fact
from loki_twisted.model.inputs import Answer, InputKind, Option
from loki_twisted.model.messages import Message

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
_MANY_DIGITS: Final = 10


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


class PlainDriver(Driver):
    """
    The driver of every agent that has no protocol of its own.

    A message is a line of its input, or several if it has several. An answer is one whatever it
    has, or the others would answer what is asked next. Such an agent is told things at any time;
    what it makes of them is its own affair.

    :param memory: How many questions it has put so far. That of another driver, whose provider is
        not there any more, says nothing.
    """

    is_ready = True
    takes_now = True

    def __init__(self, memory: str = "") -> None:
        self._questions = int(memory) if len(memory) < _MANY_DIGITS and memory.isdecimal() else 0

    def line(self, stream: str, text: str) -> Outputs:
        """See :class:`IDriver`."""
        facts = facts_of_line(stream, text)
        if facts[0].type != "input:requested":
            return facts
        self._questions += 1
        return [asked_of_fact(facts[0], f"question-{self._questions}")]

    def say(self, message: Message) -> Outputs:
        """See :class:`IDriver`."""
        return [Write(message.text + "\n"), Taken(message.id)]

    def answer(self, key: str, answer: Answer) -> Outputs:
        """See :class:`IDriver`."""
        return [Write(" ".join(", ".join(answer.values).splitlines()) + "\n")]

    def memory(self) -> str:
        """See :class:`IDriver`."""
        return str(self._questions) if self._questions else ""


def asked_of_fact(fact: Fact, key: str) -> Asked:
    """Make a question of the event ``input:requested`` that an agent has printed."""
    data = dict(fact.data)
    options = data.pop("options", ())
    default, timeout = data.pop("default", None), data.pop("timeout", None)
    return Asked(
        key=key,
        kind=InputKind.QUESTION,
        prompt=data.pop("prompt"),
        options=[Option(value=each, label=each) for each in options],
        takes_text=True,
        default=default if isinstance(default, str) else None,
        timeout_ms=None if timeout is None else int(timeout),
        details=data,
    )
