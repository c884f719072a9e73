"""
What Loki Mode prints: lines of the plain protocol, and between them whole prompts.

A prompt is about ten kilobytes of the user's own words and of the rules that go with them,
printed before each iteration, and again when the provider is called. One line stands for it. The
two ways in which it is printed, and what is behind it:

- ``[INFO] Prompt: ...``, until a line that is coloured, as everything is that Loki Mode prints
  itself, or begins with a box or a rule;
- ``=== Prompt: ... ===``, or ``=== Prompt (truncated): ... ===`` of its beginning, until a line
  that ends so, or another that begins so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final

import msgspec

from loki_twisted.agents.providers.cleaning import clean
from loki_twisted.agents.providers.driver import Driver
from loki_twisted.agents.providers.plain import facts_of_line
from loki_twisted.model.events import Fact

_SAID: Final = re.compile(r"\[INFO\] Prompt: ")
_NOTED: Final = re.compile(r"=== Prompt(?: \(truncated\))?: ")
_COLOURED: Final = re.compile(r"\x1b\[|[━═╔]{3}")
_BEHIND: Final = re.compile(r"\x1b\[|[━═╔]{3}|=== |\[(?:INFO|STEP|WARN|ERROR|DEBUG)\] ")
"""What is behind the beginning of a prompt that is noted, if its own end is not seen."""

_MOST_LINES: Final = 20_000
"""A prompt that has more is none: then lines are told again."""


class _Within(Enum):
    """Where the last line stood."""

    NOTHING = "between prompts"
    SAID = "in a prompt that was said"
    NOTED = "in a prompt that was noted"


class _Memory(msgspec.Struct, frozen=True, array_like=True):
    within: _Within = _Within.NOTHING
    lines: int = 0
    characters: int = 0


_read: Final = msgspec.json.Decoder(_Memory).decode


class LokiModeDriver(Driver):
    """
    Leaves prompts out, and is the plain driver for all else.

    :param memory: What prompt it was within, and how much of that it had seen; what another
        driver remembered says nothing.
    """

    def __init__(self, memory: str = "") -> None:
        try:
            known = _read(memory)
        except msgspec.MsgspecError:
            known = _Memory()
        self._within = known.within
        self._lines = known.lines
        self._characters = known.characters

    def line(self, stream: str, text: str) -> Sequence[Fact]:
        """See :class:`IDriver`."""
        if stream != "stdout":
            return facts_of_line(stream, text)
        if self._within is _Within.NOTHING:
            return self._between(text)
        behind = _COLOURED if self._within is _Within.SAID else _BEHIND
        if behind.match(text) or self._lines >= _MOST_LINES:
            # Perhaps the next prompt begins here.
            return [self._left_out(), *self._between(text)]
        self._count(text)
        return [self._left_out()] if self._is_last(text) else ()

    def _between(self, text: str) -> Sequence[Fact]:
        if "Prompt" not in text:
            return facts_of_line("stdout", text)
        cleaned = clean(text)
        for within, start in ((_Within.SAID, _SAID), (_Within.NOTED, _NOTED)):
            found = start.match(cleaned)
            if found is not None:
                self._within = within
                self._count(cleaned[found.end() :])
                return [self._left_out()] if self._is_last(cleaned) else ()
        return facts_of_line("stdout", text)

    def _is_last(self, text: str) -> bool:
        return self._within is _Within.NOTED and text.endswith(" ===")

    def _count(self, text: str) -> None:
        self._lines += 1
        self._characters += len(text)

    def _left_out(self) -> Fact:
        """Stand for the prompt that ends here."""
        message = f"[A prompt of {self._characters} characters in {self._lines} lines is left out.]"
        self._within, self._lines, self._characters = _Within.NOTHING, 0, 0
        return Fact("log:info", {"level": "info", "message": message, "source": "loki"})

    def ended(self) -> Sequence[Fact]:
        """See :class:`IDriver`."""
        return () if self._within is _Within.NOTHING else [self._left_out()]

    def memory(self) -> str:
        """See :class:`IDriver`."""
        if self._within is _Within.NOTHING:
            return ""
        memory = _Memory(self._within, self._lines, self._characters)
        return msgspec.json.encode(memory).decode()
