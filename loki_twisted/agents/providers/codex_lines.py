"""
What codex says, piece by piece: pure functions from parts of its lines to facts and values.

Both of its languages are read here. ``codex app-server`` and ``codex exec --json`` differ in how
they write names (``commandExecution``, ``command_execution``) and in what they leave out;
:func:`camel` makes one of the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec

from loki_twisted.agents.providers import telling
from loki_twisted.agents.providers.cleaning import cut
from loki_twisted.agents.providers.members import count_of, list_of, object_of, text_of
from loki_twisted.agents.providers.programs import CODEX
from loki_twisted.agents.providers.words import DEFAULT_LEVEL, maybe_level
from loki_twisted.model.events import Fact
from loki_twisted.model.spending import Spending

LINE_LIMIT: Final = 10 * 1024 * 1024
"""Bytes of a line. A thread that is continued comes back with all that was said in it, as one."""

LIMITS: Final = frozenset({"usageLimitExceeded", "rateLimitExceeded"})
"""The kinds of errors that end by themselves after a time."""

MOST_STEPS: Final = 150
"""Steps of a plan beyond which the rest is not told."""

_MOST_STEP: Final = 200
"""Bytes of the title of a step."""

MOST_WORDS: Final = 1024
"""Bytes of the words of an error."""

_MOST_NAME: Final = 128
"""Characters of a name that is remembered."""

_LAST_SECOND: Final = 10**11
"""Times beyond are none, in seconds since the Unix epoch."""

_MOST_NOISE: Final = 4096
"""Characters of a line that is told though it is none of its messages."""

_FULL: Final = 100
"""Per cent of what an account may use."""

_Members = Mapping[str, Any]


def camel(name: str) -> str:
    """Write a name as ``codex app-server`` does."""
    first, *others = name.split("_")
    return first + "".join(each[:1].upper() + each[1:] for each in others)


def in_camel(item: _Members) -> _Members:
    """Write the names of an item's members, and of its type, as ``codex app-server`` does."""
    renamed = {camel(name): value for name, value in item.items()}
    kind = renamed.get("type")
    return {**renamed, "type": camel(kind)} if isinstance(kind, str) else renamed


def steps_of_plan(params: _Members) -> Sequence[tuple[str, str]]:
    """The steps of a plan, each with its status: of ``turn/plan/updated`` or of a todo list."""
    steps = []
    for each in [*list_of(params, "plan"), *list_of(params, "items")][:MOST_STEPS]:
        title = cut(telling.text(text_of(each, "step", "text")), _MOST_STEP)
        done = isinstance(each, dict) and each.get("completed") is True
        steps.append((title, "completed" if done else text_of(each, "status")))
    return [step for step in steps if step[0]]


def spending_of(usage: _Members) -> Spending:
    """
    Read a count of tokens.

    What codex calls input holds what came from the cache and what went there.
    """
    read = count_of(usage, "cachedInputTokens", "cached_input_tokens")
    written = count_of(usage, "cacheWriteInputTokens", "cache_write_input_tokens")
    return Spending(
        input_tokens=max(0, count_of(usage, "inputTokens", "input_tokens") - read - written),
        output_tokens=count_of(usage, "outputTokens", "output_tokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=count_of(usage, "reasoningOutputTokens", "reasoning_output_tokens"),
    )


@attrs.frozen(slots=True)
class Limit:
    """
    How an account stands with its limits.

    :ivar is_reached: Whether codex says that one of them is.
    :ivar until_ms: When the last of those that are used up begins anew, since the Unix epoch; 0 if
        none is; None if nothing is said of that.
    """

    is_reached: bool
    until_ms: int | None


def limit_of(limits: _Members) -> Limit:
    """Read ``rateLimits``."""
    windows = [each for name in ("primary", "secondary") if (each := object_of(limits, name))]
    used_up = [each for each in windows if count_of(each, "usedPercent") >= _FULL]
    until = max((count_of(each, "resetsAt") for each in used_up), default=0)
    known = until * 1000 if until < _LAST_SECOND else 0
    return Limit(bool(text_of(limits, "rateLimitReachedType")), known if windows else None)


def kind_of_error(error: _Members) -> str:
    """The name of a kind of error, where codex has one for it."""
    info = error.get("codexErrorInfo") if isinstance(error, dict) else None
    if isinstance(info, dict):
        return next(iter(info), "")
    return info if isinstance(info, str) else ""


def words_of_error(error: _Members) -> str:
    """An error in words, at most :data:`MOST_WORDS`."""
    said = text_of(error, "message") or kind_of_error(error) or "It gave no reason."
    more = text_of(error, "additionalDetails")
    return cut(telling.text(f"{said}: {more}" if more else said), MOST_WORDS)


def small(value: Any) -> bool:
    """Whether a name is short enough to be remembered."""
    return isinstance(value, str) and 0 < len(value) <= _MOST_NAME


def size_of(value: Any) -> int:
    """Bytes of a value as it is remembered."""
    return len(msgspec.json.encode(value))


def noise(stream: str, text: str) -> Sequence[Fact]:
    """Tell a line that is none of its messages. Its level is what one of the first words says."""
    if not text.strip():
        return ()
    if len(text) > _MOST_NOISE:
        text = f"{text[:_MOST_NOISE]}… [cut, {len(text)} characters in all]"
    words = [each.strip("[]:").lower() for each in text[:_MOST_NAME].split()[:2]]
    if words[:1] == ["reading"]:
        return [telling.log("info", text, CODEX)]
    levels = (maybe_level(each) for each in words)
    return [telling.log(next(filter(None, levels), DEFAULT_LEVEL[stream]), text, CODEX)]
