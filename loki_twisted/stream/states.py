"""
The states of a subscriber, and what can happen in each.

What a state has no entry for has no effect in it: a transport that is told to
pause twice, or a page that comes after the end. Whether a read is under way is part of the
state, because there is never more than one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final


class State(Enum):
    """What a subscriber is doing."""

    REPLAYING = "replaying"
    """It reads what it has not been given yet, and its transport takes bytes."""

    STUFFED = "stuffed"
    """Its transport is full, and what it has read is still to come; it will be dropped."""

    FULL = "full"
    """Its transport is full. It does nothing until there is room."""

    LIVE = "live"
    """It has been given all, and is handed what is published."""

    ENDING = "ending"
    """It was told that the stream ends; the last bytes may be on their way."""

    CLOSED = "closed"
    """It is gone."""


class Cue(Enum):
    """What can happen to a subscriber."""

    CAUGHT_UP = auto()
    """It has been given all that was published."""

    FILLED = auto()
    """The transport takes no more."""

    DRAINED = auto()
    """The transport takes more."""

    ANSWERED = auto()
    """The read is over."""

    MISSED = auto()
    """What is published does not follow on what it was given."""

    ENDED = auto()
    """The server ends the stream."""

    LOST = auto()
    """The connection is gone, or was cut."""


TRANSITIONS: Final[Mapping[State, Mapping[Cue, State]]] = {
    State.REPLAYING: {
        Cue.CAUGHT_UP: State.LIVE,
        Cue.FILLED: State.STUFFED,
        Cue.ENDED: State.ENDING,
        Cue.LOST: State.CLOSED,
    },
    State.STUFFED: {
        Cue.DRAINED: State.REPLAYING,
        Cue.ANSWERED: State.FULL,
        Cue.LOST: State.CLOSED,
    },
    State.FULL: {Cue.DRAINED: State.REPLAYING, Cue.LOST: State.CLOSED},
    State.LIVE: {
        Cue.FILLED: State.FULL,
        Cue.MISSED: State.REPLAYING,
        Cue.ENDED: State.ENDING,
        Cue.LOST: State.CLOSED,
    },
    State.ENDING: {Cue.LOST: State.CLOSED},
    State.CLOSED: {},
}
"""What a cue does in a state. Only in REPLAYING and STUFFED a read is under way, and only one."""
