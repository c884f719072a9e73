"""What all requests have in common, and all answers."""

from __future__ import annotations

from typing import Any

import msgspec


class Shape(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The base of what the server answers: fields may be added later."""


class Request(
    msgspec.Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True
):
    """The base of what clients send: a field that we do not know is an error."""


class Pagination(Shape, frozen=True, kw_only=True):
    """
    Where a page lies in the whole.

    ``nextCursor`` is null on the last page, and where a list is read by offset alone. Given as
    ``after``, it asks for the page behind this one, whatever has changed in the meantime.
    """

    total: int
    limit: int
    offset: int
    has_more: bool
    next_cursor: str | None = None


class Problem(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """What every error is answered with: a sentence, a code from the table, and more."""

    error: str
    code: str
    details: dict[str, Any] | None = None
