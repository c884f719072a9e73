"""How large a run is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from benchmarks.works import Delivery, Idle, Journey, Lines, Replay, Requests, Start, Stuck, Work

_FEWEST_LINES: Final = 20


@attrs.frozen(slots=True)
class Scale:
    """
    How large a run is.

    :ivar events: How many of the lines, events and seconds there are, as a share of all.
    :ivar readers: How many of the connections there are, as a share of all.
    """

    name: str
    events: float
    readers: float

    def apply(self, work: Work) -> Work:
        """Make a work smaller. Rates stay as they are."""
        match work:
            case Delivery(lines, subscribers, filters):
                return Delivery(self._lines(lines), self._many(subscribers), self._many(filters))
            case Stuck(lines, readers, stuck):
                return Stuck(self._lines(lines), self._many(readers), self._many(stuck))
            case Idle(connections):
                return Idle(self._many(connections))
            case Requests(connections, seconds):
                return Requests(connections, seconds * self.events)
            case Start(events) | Replay(events):
                return attrs.evolve(work, events=self._events(events))
            case Journey(lines, batch):
                return Journey(self._events(lines), batch)

    def _lines(self, lines: Lines) -> Lines:
        return attrs.evolve(lines, count=self._events(lines.count))

    def _events(self, count: int) -> int:
        return min(count, max(_FEWEST_LINES, round(count * self.events)))

    def _many(self, count: int) -> int:
        return max(1, round(count * self.readers))


FULL: Final = Scale("full", 1, 1)
"""What the figures in the documentation are measured with."""

QUICK: Final = Scale("quick", 0.1, 1)
"""A look in between: the same load for a tenth of the time."""

TINY: Final = Scale("tiny", 0.002, 0.02)
"""Shows that everything works. The figures mean nothing."""

SCALES: Final[Mapping[str, Scale]] = {scale.name: scale for scale in (FULL, QUICK, TINY)}
"""By name."""
