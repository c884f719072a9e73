"""Lines of Claude Code, read as JSON objects of which no field is certain."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

Line = Mapping[str, Any]
"""A JSON object."""

MOST_LEVELS: Final = 100
"""Levels of objects and lists in a line; a deeper one is not read."""

_SHORT: Final = 64 * 1024
"""Characters. To count in a longer text takes longer than to look at what was found in it."""

_MAX_INTEGER: Final = 2**63

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
_NAME: Final = re.compile(r"[A-Za-z0-9_.:/@+-]{1,100}")

_decode: Final = msgspec.json.Decoder().decode


def maybe_line(text: str) -> Line | None:
    """
    Read a line.

    :returns: None if it is no object, or has more than :data:`MOST_LEVELS` levels.
    """
    if text.lstrip()[:1] != "{":
        return None
    try:
        found = _decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        found = _maybe_with_halves(text)
    if not isinstance(found, dict):
        return None
    return found if _has_few_brackets(text) or _is_shallow(found) else None


def _has_few_brackets(text: str) -> bool:
    """Whether a text is surely not deep, as far as it is told more cheaply than by looking."""
    return len(text) <= _SHORT and text.count("{") + text.count("[") <= MOST_LEVELS


def _maybe_with_halves(text: str) -> Any:
    """
    Read a line with halves of characters in it, which JavaScript writes where it cut a text.

    JSON allows them, and our decoder does not.
    """
    if _HALF.search(text) is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _mended(found) if _is_shallow(found) else None


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below += each.values()
            elif isinstance(each, list):
                below += each
        if not below:
            return True
        level = below
    return False


def _mended(value: Any) -> Any:
    """Make of it what the stricter decoder could have given."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_mended(name): _mended(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_mended(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if type(value) is int and not -_MAX_INTEGER < value < _MAX_INTEGER:
        return str(value)
    return value


def is_name(text: str) -> bool:
    """Whether a text is like the ids that Claude Code gives: short, and plain in JSON."""
    return _NAME.fullmatch(text) is not None
