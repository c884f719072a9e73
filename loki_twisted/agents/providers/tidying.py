"""JSON values of agents, cleaned and bounded, so that they can be kept and looked at."""

from __future__ import annotations

from typing import Any, Final

from loki_twisted.agents.providers.cleaning import MAX_NAME, MAX_TEXT, clean_and_cut

MAX_DEPTH: Final = 16
"""Levels of objects and lists in a value."""

MAX_PARTS: Final = 10_000
"""Values in it, at all its levels: to look at more would hold up everybody."""

MAX_CHARACTERS: Final = 1024 * 1024
"""Characters in all its texts: to clean more would do so too."""

_MAX_INTEGER: Final = 2**63
"""Integers at and beyond this become text: a JSON number of that size is an error to many."""


_NESTED: Final = (dict, list)
_LONG: Final = (str, dict, list)


class TooMuch(Exception):
    """A value has more levels, parts or characters than we keep."""


def tidied(value: Any, size: int = MAX_PARTS) -> Any:
    """
    Clean and bound a JSON value.

    :param size: How many characters it had as JSON, where that is known: one that has fewer than
        parts are allowed is not counted.
    :raises TooMuch: if it has more levels than :data:`MAX_DEPTH`, parts than :data:`MAX_PARTS`, or
        characters than :data:`MAX_CHARACTERS`. A text alone may have any number.
    """
    if size >= MAX_PARTS and isinstance(value, dict | list):
        _check_parts(value)
    return _tidy(value, MAX_DEPTH)


def maybe_tidy(value: Any) -> Any:
    """Clean and bound a JSON value; None if it is too much."""
    try:
        return tidied(value)
    except TooMuch:
        return None


def is_longer(value: Any, limit: int) -> bool:
    """Whether a JSON value surely takes more characters than a limit, without writing it."""
    return length_of(value, limit) > limit


def length_of(value: Any, limit: int) -> int:
    """
    Say how many characters a JSON value takes at least, in the time that a limit allows.

    :returns: What is found until that is more than the limit, of one object or list after another.
    """
    pending: list[list[Any] | dict[str, Any]] = [[value]]
    size = 0
    while pending and size <= limit:
        one = pending.pop()
        if isinstance(one, dict):
            size += sum(map(len, one))
        parts = one.values() if isinstance(one, dict) else one
        size += sum([len(each) if isinstance(each, _LONG) else 1 for each in parts])
        pending += [each for each in parts if isinstance(each, _NESTED)]
    return size


def _check_parts(value: Any) -> None:
    """Count without looking at each: a list of millions is known by its length."""
    count, characters, pending = 0, 0, [value]
    while pending:
        one = pending.pop()
        count += len(one)
        if count > MAX_PARTS:
            raise TooMuch
        parts = one.values() if isinstance(one, dict) else one
        characters += sum(min(len(each), MAX_TEXT) for each in parts if isinstance(each, str))
        if characters > MAX_CHARACTERS:
            raise TooMuch
        pending += [each for each in parts if isinstance(each, dict | list)]


def _tidy(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return clean_and_cut(value)
    if isinstance(value, dict | list) and not depth:
        raise TooMuch
    if isinstance(value, dict):
        return {
            clean_and_cut(name, MAX_NAME): _tidy(part, depth - 1) for name, part in value.items()
        }
    if isinstance(value, list):
        return [_tidy(part, depth - 1) for part in value]
    if type(value) is int and not -_MAX_INTEGER < value < _MAX_INTEGER:
        return str(value)
    return value
