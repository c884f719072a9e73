"""Lines of kinds that a driver does not know: counted, and told together instead of one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from loki_twisted.agents.providers.telling import log, name
from loki_twisted.model.events import Fact

Unknown = Mapping[str, int]
"""How many there were of each kind since that was told."""

OFTEN: Final = 1000
"""So many are counted before they are told."""

_MOST_KINDS: Final = 16
_MOST_KIND: Final = 64
_OTHERS: Final = "others"

Counted = tuple[Unknown, Sequence[Fact]]
"""What is counted now, and what there is to tell."""


def one_more(unknown: Unknown, kind: str, agent: str) -> Counted:
    """
    Count a line.

    :param kind: What it was, as far as that is known.
    :param agent: The type of the agent, which is said with what is told.
    """
    known = name(kind)[:_MOST_KIND]
    if known not in unknown and len(unknown) >= _MOST_KINDS:
        known = _OTHERS
    unknown = {**unknown, known: unknown.get(known, 0) + 1}
    return told(unknown, agent) if sum(unknown.values()) >= OFTEN else (unknown, ())


def told(unknown: Unknown, agent: str) -> Counted:
    """Tell what was counted, if anything was, and begin anew."""
    if not unknown:
        return unknown, ()
    number = sum(unknown.values())
    words = f"{number} lines are of kinds that are not known here: {', '.join(unknown)}"
    return {}, [log("debug", words, agent, unknown)]
