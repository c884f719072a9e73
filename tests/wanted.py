"""Filters of the stream as clients write them, and as plain predicates that owe us nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from tests.history import Told


@attrs.frozen
class Wanted:
    """
    A filter.

    :ivar query: As a client writes it.
    :ivar wants: Whether it wants an event.
    """

    query: str
    wants: Callable[[Told], bool]

    def of(self, log: Sequence[Told]) -> list[Told]:
        """What it wants of a log."""
        return [told for told in log if self.wants(told)]


def _is_trouble_or_session(told: Told) -> bool:
    return told.type == "log:error" or told.type.startswith("session:")


FILTERS = (
    Wanted("", lambda told: True),
    Wanted("types=task:*", lambda told: told.type.startswith("task:")),
    Wanted("minLevel=warn", lambda told: told.type not in ("log:debug", "log:info")),
    Wanted("types=log:*,session:*&minLevel=error", _is_trouble_or_session),
)
