"""Members of JSON objects that agents print, whatever they turn out to be."""

from __future__ import annotations

from typing import Any, Final

_MOST: Final = 2**53
"""Numbers that every client can hold exactly lie below this."""


def text_of(found: Any, *names: str) -> str:
    """The first of some members that is a text which says something; else an empty one."""
    for name in names:
        said = found.get(name) if isinstance(found, dict) else None
        if isinstance(said, str) and said:
            return said
    return ""


def object_of(found: Any, name: str) -> dict[str, Any]:
    """A member that is an object; else an empty one."""
    said = found.get(name) if isinstance(found, dict) else None
    return said if isinstance(said, dict) else {}


def list_of(found: Any, name: str) -> list[Any]:
    """A member that is a list; else an empty one."""
    said = found.get(name) if isinstance(found, dict) else None
    return said if isinstance(said, list) else []


def count_of(found: Any, *names: str) -> int:
    """The first of some members that counts something, or is a time; else 0."""
    for name in names:
        said = found.get(name) if isinstance(found, dict) else None
        if isinstance(said, int | float) and not isinstance(said, bool) and 0 < said < _MOST:
            return int(said)
    return 0
