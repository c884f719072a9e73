"""
What ``aider`` prints.

Lines of its own that it is known by are log lines; the rest is what the model says, told by
paragraphs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from loki_twisted.agents.outputs import Hindered, Output, Trouble
from loki_twisted.agents.providers import joining, telling
from loki_twisted.agents.providers.aider_state import (
    MOST_PROBLEM,
    AiderState,
    Step,
    flushed,
)
from loki_twisted.agents.providers.cleaning import clean, cut
from loki_twisted.agents.providers.programs import AIDER
from loki_twisted.agents.providers.telling import MAIN
from loki_twisted.agents.providers.words import DEFAULT_LEVEL

_OWN: Final = re.compile(
    r"""
      (?: Aider\ v | Main\ model: | Model: | Weak\ model: | Editor\ model: | Git\ repo: | Repo-map:
        | Tokens: | Restored\ | Added\ .*\ to\ the\ chat | Dropping\ | Scraping\ | Using\ .*\ model
        | Use\ /help | Note: | Warning: | Warning\ for\b | VSCode\ terminal | Cur\ working\ dir:
        | Git\ working\ dir:
        | Creating\ empty\ file | Committing\ | You\ can\ use\ /undo
        | Summarization\ failed | Skipping\ edits | Did\ not\ apply\ edit )
    | .* \(Y\)es/\(N\)o
    """,
    re.VERBOSE,
)
_EDIT: Final = re.compile(r"Applied edit to (?P<path>.+)")
_COMMIT: Final = re.compile(r"Commit (?P<commit>[0-9a-f]{7,40}) (?P<message>.*)")
_RETRY: Final = re.compile(r"Retrying in [0-9.]+ seconds")
_ERROR: Final = re.compile(r"[\w.]*(?:Error|Exception)\b")
_GIVEN_UP: Final = re.compile(
    r"Only \d+ reflections allowed, stopping\.|.{0,200} has hit a token limit!?"
)
"""What it prints where it was answered, and could not do what it was told all the same."""


def of_errors(state: AiderState, stream: str, text: str) -> Step:
    """A line of its standard error."""
    level = DEFAULT_LEVEL.get(stream, "info")
    return state, [telling.log(level, text, AIDER)] if text.strip() else []


def printed(state: AiderState, text: str) -> Step:
    """A line of its standard output."""
    text = clean(text)
    if _RETRY.match(text):
        words = state.problem or text
        state, told = _logged(state, "warn", text)
        return state, [*told, Hindered(Trouble.RETRYING, words)]
    if _GIVEN_UP.fullmatch(text):
        return _logged(state.but(given_up=text), "error", text)
    if _ERROR.match(text):
        return _logged(state.but(problem=cut(text, MOST_PROBLEM)), "error", text)
    done = _EDIT.fullmatch(text) or _COMMIT.fullmatch(text)
    if done is not None or _OWN.match(text):
        return _logged(state, "info", text, None if done is None else done.groupdict())
    return _spoken(state, text)


def _logged(
    state: AiderState, level: str, text: str, context: Mapping[str, Any] | None = None
) -> Step:
    state, told = flushed(state)
    return state, [*told, telling.log(level, text, AIDER, context)]


def _spoken(state: AiderState, text: str) -> Step:
    """A line of what the model says; a blank one ends a paragraph."""
    if not text.strip() and not state.held.text:
        return state, []
    held, enough = joining.add(state.held, f"{text}\n")
    told: list[Output] = [telling.said(MAIN, AIDER, enough)] if enough.strip() else []
    state = state.but(held=held)
    if text.strip():
        return state, told
    state, last = flushed(state)
    return state, [*told, *last]
