"""Fields of what agents say, taken only where they are of the type that is wanted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from loki_twisted.agents.providers.objects import MAX_NUMBER

Fields = Mapping[str, Any]
"""A JSON object."""


def maybe_text(fields: Fields, name: str) -> str | None:
    """A field that is a text; else None."""
    value = fields.get(name)
    return value if isinstance(value, str) else None


def fields_of(value: Any) -> Fields:
    """An object; empty for anything else."""
    return value if isinstance(value, dict) else {}


def maybe_count(fields: Fields, name: str) -> int | None:
    """A field that is a count, of tokens for example: a whole number from 0; else None."""
    value = fields.get(name)
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < MAX_NUMBER else None


def maybe_amount(fields: Fields, name: str) -> float | None:
    """A field that is an amount, of money for example: a finite number from 0; else None."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < MAX_NUMBER else None
