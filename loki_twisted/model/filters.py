"""Which events a reader wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self

import attrs

from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.events import EVENT_TYPES, KIND_OF_TYPE, LOG_LEVELS

EVERY_KIND: Final = (1 << len(EVENT_TYPES)) - 1
"""The mask of a filter that wants all types."""

EVENT_GROUPS: Final[Mapping[str, Sequence[str]]] = {
    group: [name for name in EVENT_TYPES if name.startswith(group[:-1])]
    for group in dict.fromkeys(f"{n.split(':')[0]}:*" for n in EVENT_TYPES if ":" in n)
}
"""The types of each group, by its name (``task:*``)."""


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

    @classmethod
    def of(
        cls,
        session_id: str | None = None,
        types: Iterable[str] = (),
        min_level: str | None = None,
    ) -> Self:
        """
        Say a filter in words. Whoever says nothing gets everything.

        :param session_id: Only events of this session.
        :param types: Only events of these types; ``task:*`` stands for all that begin so. None
            at all leaves nothing out.
        :param min_level: No ``log:*`` events below ``debug``, ``info``, ``warn`` or ``error``.
            Other events are not touched.
        :raises ~loki_twisted.model.errors.InvalidRequest: if there is no such type or level.
        """
        names = list(types)
        mask = mask_of_types(names) if names else EVERY_KIND
        if min_level is not None:
            mask &= mask_of_level(min_level)
        return cls(session_id, mask)

    def as_parameters(self) -> dict[str, str]:
        """
        Say the filter as parameters of the API: ``sessionId``, ``types``, ``minLevel``.

        What need not be said is left out, and a whole group is said as such: a newer server
        may have types that we do not know.
        """
        session = {} if self.session_id is None else {"sessionId": self.session_id}
        return session | _parameters_of_mask(self.mask)

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
        if name in EVENT_GROUPS:
            mask |= _mask_of(EVENT_GROUPS[name])
        elif name in KIND_OF_TYPE:
            mask |= _mask_of([name])
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
    return EVERY_KIND & ~_mask_of([f"log:{name}" for name in below])


def _mask_of(types: Iterable[str]) -> int:
    return sum(1 << KIND_OF_TYPE[name] for name in types)


def _parameters_of_mask(mask: int) -> dict[str, str]:
    """Say a mask in the shortest way that gives it again."""
    if mask == EVERY_KIND:
        return {}
    for level in LOG_LEVELS:
        if mask == mask_of_level(level):
            return {"minLevel": level}
    types = _names_of(mask)
    if not types:
        # No list of types says that; these two together do.
        return {"types": f"log:{LOG_LEVELS[0]}", "minLevel": LOG_LEVELS[-1]}
    return {"types": ",".join(types)}


def _names_of(mask: int) -> list[str]:
    """The types of a mask: the name of a group for all of its types, where it has several."""
    names = [name for name in EVENT_TYPES if mask >> KIND_OF_TYPE[name] & 1]
    for group, members in EVENT_GROUPS.items():
        if len(members) > 1 and set(members) <= set(names):
            names = [*(name for name in names if name not in members), group]
    return names
