"""What is told of a state directory at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Final

import attrs

from loki_twisted.state.backlog import Portion
from loki_twisted.state.interface import RunsBegin, RunsTold, Sighting
from loki_twisted.state.logs import LogReading


class Introduction(Enum):
    """How far the listener was told what there is of runs at first."""

    NEEDED = auto()
    BEGUN = auto()
    DONE = auto()


INTRODUCES: Final[Mapping[type, Introduction]] = {
    RunsBegin: Introduction.BEGUN,
    RunsTold: Introduction.DONE,
}


@attrs.frozen(slots=True)
class Message:
    """
    What is told at once, and what is known when it was taken.

    :ivar portion: What it is about: told again if it is not taken.
    :ivar sightings: In the order in which they are told; may be empty.
    :ivar marks: By path, the content of each state file that is told or was told before; None
        for one that is not there.
    :ivar warned: Paths and marks of flawed files that are told of.
    :ivar logs: What was read of logs.
    :ivar cursors: What is stored with it.
    """

    portion: Portion
    sightings: Sequence[Sighting] = ()
    marks: Mapping[str, str | None] = attrs.field(factory=dict)
    warned: Sequence[tuple[str, str]] = ()
    logs: Sequence[LogReading] = ()
    cursors: Mapping[str, str | None] = attrs.field(factory=dict)
