"""Which events a reader wants."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.events import EVENT_TYPES, KIND_OF_TYPE, LOG_LEVELS

EVERY_KIND: Final = (1 << len(EVENT_TYPES)) - 1
"""The mask of a filter that wants all types."""

_GROUPS: Final = frozenset(name.split(":")[0] for name in EVENT_TYPES if ":" in name)


@attrs.frozen(slots=True)
class EventFilter:
    """
    A set of events: those of one session or of all, of some types or of all.

    Two equal filters want the same events, so readers can be grouped by it.

    :ivar session_id: None for the events of all sessions.
    :ivar mask: One bit for each kind (position in ``EVENT_TYPES``) that is wanted.
    """

    session_id: str | None = None
    mask: int = EVERY_KIND

    def wants(self, session_id: str, kind: int) -> bool:
        """Whether an event of this session and kind is in the set."""
        in_session = self.session_id is None or self.session_id == session_id
        return in_session and bool(self.mask >> kind & 1)

    @property
    def wants_everything(self) -> bool:
        """Whether no event is left out."""
        return self.session_id is None and self.mask == EVERY_KIND


EVERYTHING: Final = EventFilter()
"""The filter that leaves nothing out."""


def mask_of_types(types: Iterable[str]) -> int:
    """
    Turn names of types into a mask.

    :param types: Names of :data:`~loki_twisted.model.events.EVENT_TYPES`, or a
        group with a star (``task:*``).
    :raises InvalidRequest: if a name is neither, naming each that is not.
    """
    mask = 0
    wrong = []
    for name in types:
        group, colon, rest = name.partition(":")
        if colon and rest == "*" and group in _GROUPS:
            mask |= sum(1 << k for k, t in enumerate(EVENT_TYPES) if t.startswith(group + ":"))
        elif name in KIND_OF_TYPE:
            mask |= 1 << KIND_OF_TYPE[name]
        else:
            wrong.append(name)
    if wrong:
        raise InvalidRequest.of(
            ("types", f"{name!r} is no event type; see docs/events.rst") for name in wrong
        )
    return mask


def mask_of_level(level: str) -> int:
    """
    Turn a least level into a mask: everything but the ``log:*`` events below it.

    :raises InvalidRequest: if it is not one of ``LOG_LEVELS``.
    """
    if level not in LOG_LEVELS:
        raise InvalidRequest.of([("minLevel", f"{level!r} is none of {', '.join(LOG_LEVELS)}")])
    below = LOG_LEVELS[: LOG_LEVELS.index(level)]
    return EVERY_KIND & ~sum(1 << KIND_OF_TYPE[f"log:{name}"] for name in below)
