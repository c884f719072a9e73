"""Names of sessions and events, and the rules for names that come from outside."""

from __future__ import annotations

import re
from typing import Final

SESSION_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
"""What a session id may look like, whole. It is also a safe file name."""

EARLIEST: Final = "earliest"
"""The word that stands for the place before all events, where an event id could stand."""

ORIGIN: Final = "evt_0_0"
"""
The place before the first event that a log ever has. No event has this id.

Who has come to it and comes back later wants all from the first event on, and is to be told
what of that is gone; who says :data:`EARLIEST` wants what there is.
"""

_EVENT_ID: Final = re.compile(r"evt_([1-9][0-9]*)_([0-9]+)", re.ASCII)
_MOST_LETTERS: Final = 256


def session_id(milliseconds: int, randomness: bytes) -> str:
    """
    Make the id of a new session.

    :param milliseconds: When it was asked for, since the Unix epoch.
    :param randomness: At least 4 random bytes; the first 4 are used.
    """
    return f"session_{milliseconds}_{randomness[:4].hex()}"


def is_session_id(text: str) -> bool:
    """Whether a name from outside may stand for a session."""
    return SESSION_ID.fullmatch(text) is not None


def event_id(seq: int, milliseconds: int) -> str:
    """
    Name an event.

    :param seq: Its number in the log, from 1.
    :param milliseconds: Its own time, since the Unix epoch.
    """
    return f"evt_{seq}_{milliseconds}"


def maybe_event_id(text: str) -> tuple[int, int] | None:
    """
    Read what :func:`event_id` wrote.

    :returns: Number and time, each however large; None if the text is no event id, or has more than
        256 letters. So any text is cheap to read.
    """
    match = _EVENT_ID.fullmatch(text) if len(text) <= _MOST_LETTERS else None
    return (int(match[1]), int(match[2])) if match else None
