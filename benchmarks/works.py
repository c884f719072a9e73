"""What can be measured, and how much of it: frozen values without any doing."""

from __future__ import annotations

import attrs


@attrs.frozen(slots=True)
class Lines:
    """
    What an agent prints.

    :ivar count: How many lines.
    :ivar per_second: At which rate; 0 is as fast as it can.
    :ivar padding: Bytes of each line beside its level, source, number and time.
    """

    count: int
    per_second: float = 0
    padding: int = 80

    @property
    def seconds(self) -> float:
        """How long printing takes at the rate; 0 as fast as it can."""
        return self.count / self.per_second if self.per_second else 0.0


@attrs.frozen(slots=True)
class Delivery:
    """
    Lines become events, and each reaches every subscriber.

    :ivar filters: How many different filters the subscribers have. All of them want every line.
    """

    lines: Lines
    subscribers: int
    filters: int = 1


@attrs.frozen(slots=True)
class Stuck:
    """
    Lines reach the readers among the subscribers; others never read.

    :ivar readers: How many read.
    :ivar stuck: How many do not.
    """

    lines: Lines
    readers: int
    stuck: int


@attrs.frozen(slots=True)
class Idle:
    """So many subscribers are there, and nothing happens."""

    connections: int


@attrs.frozen(slots=True)
class Requests:
    """So many connections ask whether the server lives, over and over, for so many seconds."""

    connections: int
    seconds: float


@attrs.frozen(slots=True)
class Start:
    """The server starts with so many events in its log."""

    events: int


@attrs.frozen(slots=True)
class Replay:
    """One subscriber reads so many events from the first on."""

    events: int


@attrs.frozen(slots=True)
class Journey:
    """So many lines go through all stages of the server, so many at a time, to no subscriber."""

    lines: int
    batch: int


Work = Delivery | Stuck | Idle | Requests | Start | Replay | Journey
"""Anything that can be measured."""
