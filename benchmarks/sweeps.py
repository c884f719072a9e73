"""How cost grows: the same work again and again, with one number that changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from benchmarks.rows import KEYS, OURS
from benchmarks.works import Delivery, Lines, Replay, Start, Work

_SECONDS: Final = 5


@attrs.frozen(slots=True)
class Sweep:
    """
    One number that changes.

    :ivar axis: What the number is.
    :ivar works: The work for each number; several if no single one gives all figures.
    :ivar figures: Keys of what is drawn, one panel each.
    """

    key: str
    title: str
    axis: str
    works: Mapping[int, tuple[Work, ...]]
    figures: tuple[str, ...]
    contestants: tuple[str, ...] = KEYS


def _paced(subscribers: int, per_second: int, filters: int = 1) -> tuple[Work, ...]:
    return (Delivery(Lines(per_second * _SECONDS, per_second), subscribers, filters),)


_COST: Final = ("cpu_us", "p99_ms")

SWEEPS: Final[Mapping[str, Sweep]] = {
    sweep.key: sweep
    for sweep in (
        Sweep(
            "subscribers",
            "100 events a second, to more and more subscribers",
            "subscribers",
            {count: _paced(count, 100) for count in (1, 10, 30, 100, 300, 1_000, 2_000)},
            _COST,
        ),
        Sweep(
            "rate",
            "More and more events a second, to 100 subscribers",
            "events a second",
            {rate: _paced(100, rate) for rate in (10, 30, 100, 300, 1_000, 2_000)},
            _COST,
        ),
        Sweep(
            "filters",
            "100 events a second, to 1,000 subscribers with more and more different filters",
            "different filters",
            {count: _paced(1_000, 100, count) for count in (1, 10, 30, 100, 300, 1_000)},
            _COST,
            (OURS,),
        ),
        Sweep(
            "log",
            "More and more events in the log",
            "events in the log",
            {count: (Start(count), Replay(count)) for count in (1_000, 10_000, 100_000, 1_000_000)},
            ("ready_s", "rate"),
            (OURS,),
        ),
    )
}
"""By key."""
