"""
Members of JSON objects that agents print, whatever they turn out to be.

An agent may print any type where another is documented. What is not of the type that is wanted is
as good as not there: the ``maybe_`` functions give None then, the others something empty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from loki_twisted.agents.providers.objects import MAX_NUMBER

Fields = Mapping[str, Any]
"""A JSON object."""


def fields_of(value: Any) -> dict[str, Any]:
    """An object; else an empty one."""
    return value if isinstance(value, dict) else {}


def object_of(found: Any, name: str) -> dict[str, Any]:
    """A member that is an object; else an empty one."""
    return fields_of(fields_of(found).get(name))


def list_of(found: Any, name: str) -> list[Any]:
    """A member that is a list; else an empty one."""
    said = fields_of(found).get(name)
    return said if isinstance(said, list) else []


def objects_of(found: Any, name: str) -> list[dict[str, Any]]:
    """The objects of a member that is a list."""
    return [each for each in list_of(found, name) if isinstance(each, dict)]


def texts_of(found: Any, name: str) -> list[str]:
    """The texts of a member that is a list."""
    return [each for each in list_of(found, name) if isinstance(each, str)]


def text_of(found: Any, *names: str) -> str:
    """The first of some members that is a text which says something; else an empty one."""
    for name in names:
        said = fields_of(found).get(name)
        if isinstance(said, str) and said:
            return said
    return ""


def maybe_text(found: Fields, name: str) -> str | None:
    """A member that is a text."""
    said = found.get(name)
    return said if isinstance(said, str) else None


def number_of(found: Any, name: str) -> float:
    """A member that is a number, from 0 to what every client can hold; else 0."""
    said = fields_of(found).get(name)
    if isinstance(said, bool) or not isinstance(said, int | float):
        return 0
    return said if 0 <= said < MAX_NUMBER else 0


def count_of(found: Any, *names: str) -> int:
    """The first of some members that counts something, or is a time; else 0."""
    for name in names:
        said = int(number_of(found, name))
        if said:
            return said
    return 0


def maybe_count(found: Fields, name: str) -> int | None:
    """A member that is a count, of tokens for example: a whole number from 0."""
    said = found.get(name)
    if isinstance(said, float) and math.isfinite(said) and said == int(said):
        said = int(said)
    if isinstance(said, bool) or not isinstance(said, int):
        return None
    return said if 0 <= said < MAX_NUMBER else None


def maybe_amount(found: Fields, name: str) -> float | None:
    """A member that is an amount, of money for example: a finite number from 0."""
    said = found.get(name)
    if isinstance(said, bool) or not isinstance(said, int | float):
        return None
    return float(said) if 0 <= said < MAX_NUMBER else None
