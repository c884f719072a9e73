"""Pages of lists that are read by offset."""

from __future__ import annotations

from typing import Final

from loki_twisted.model.wire import Pagination
from loki_twisted.web.parameters import MOST_OFFSET, MOST_PER_PAGE, integer

OFFSET_PAGE: Final = (
    integer("limit", "How many to list.", least=1, most=MOST_PER_PAGE, default=100),
    integer("offset", "How many to skip.", least=0, most=MOST_OFFSET, default=0),
)
"""The parameters that ask for a page."""


def pagination_of(total: int, limit: int, offset: int) -> Pagination:
    """Say where a page lies in the whole; there is no cursor behind it."""
    return Pagination(total=total, limit=limit, offset=offset, has_more=offset + limit < total)
