"""
Reading fields of JSON that anybody may have written: a value that makes no sense is None.

Whatever comes back can be stored, and encoded as JSON.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from loki_twisted.model.sessions import SessionStatus
from loki_twisted.model.tasks import TaskStatus
from loki_twisted.model.timestamps import iso_from_ms, ms_from_iso

NAME_LIMIT: Final = 256
"""Characters of a name (of an agent, a phase, a model) that are kept."""

TITLE_LIMIT: Final = 1024
"""Characters of a title or a path that are kept."""

MAX_DEPTH: Final = 32
"""Levels of a value that is passed on as it is."""

_END_OF_TIME_MS: Final = 253_402_300_800_000
"""The first millisecond of the year 10000."""

_LARGEST: Final = 2**53 - 1
"""The largest whole number that every reader of JSON understands."""

_BETWEEN_WORDS: Final = re.compile(r"[\s_-]+")

_TASK_STATUSES: Final[Mapping[str, TaskStatus]] = {
    **{status.value: status for status in TaskStatus},
    "in_progress": TaskStatus.RUNNING,
    "done": TaskStatus.COMPLETED,
}
_SESSION_STATUSES: Final[Mapping[str, SessionStatus]] = {s.value: s for s in SessionStatus}


def maybe_text(value: Any, limit: int | None = None) -> str | None:
    """
    Read text that says something; a whole number counts as its digits.

    :param limit: Characters that are kept; None for all.
    """
    if type(value) is int and abs(value) <= _LARGEST:
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        return None
    return value if limit is None else value[:limit]


def maybe_word(value: Any) -> str | None:
    """Read a word that is the same in capitals and without."""
    text = maybe_text(value, NAME_LIMIT)
    return None if text is None else text.strip().lower()


def maybe_number(value: Any) -> float | None:
    """Read a finite number."""
    if type(value) is int:
        return value if abs(value) <= _LARGEST else None
    return value if type(value) is float and math.isfinite(value) else None


def maybe_whole(value: Any) -> int | None:
    """Read a whole number."""
    return value if type(value) is int and abs(value) <= _LARGEST else None


def maybe_time(value: Any) -> str | None:
    """
    Read a time: ISO 8601 text, or a number of milliseconds since the Unix epoch.

    :returns: ISO 8601 UTC with milliseconds.
    """
    if isinstance(value, str):
        try:
            milliseconds = ms_from_iso(value.strip())
        except (ValueError, OverflowError):
            return None
    else:
        number = maybe_number(value)
        if number is None:
            return None
        milliseconds = int(number)
    return iso_from_ms(milliseconds) if 0 <= milliseconds < _END_OF_TIME_MS else None


def maybe_task_status(value: Any) -> TaskStatus | None:
    """Read a task's status: a word of the wire, ``done``, or ``in progress`` however joined."""
    word = maybe_word(value)
    return None if word is None else _TASK_STATUSES.get(_BETWEEN_WORDS.sub("_", word))


def maybe_session_status(value: Any) -> SessionStatus | None:
    """Read a session's status."""
    word = maybe_word(value)
    return None if word is None else _SESSION_STATUSES.get(word)


def maybe_priority(value: Any) -> int | str | None:
    """Read a priority: a whole number, or a word as it is written."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is int:
        return maybe_whole(value)
    return maybe_text(value, NAME_LIMIT)


def is_carriable(value: Any) -> bool:
    """Whether a JSON value can be passed on as it is: not too deep, its numbers not too large."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif type(item) in (int, float) and maybe_number(item) is None:
                return False
        if not below:
            return True
        level = below
    return False
