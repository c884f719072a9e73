"""The figures that a measurement gives: what they are called, and how they are written."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

_WHOLE_FROM: Final = 100
_TENTHS_FROM: Final = 10


@attrs.frozen(slots=True)
class Figure:
    """
    A kind of figure.

    :ivar key: Its name in the results.
    :ivar title: What it is called in the table, with its unit.
    :ivar more_is_better: Whether a larger one is a better one.
    """

    key: str
    title: str
    more_is_better: bool = False


FIGURES: Final[Mapping[str, Figure]] = {
    figure.key: figure
    for figure in (
        Figure("rate", "deliveries/s", more_is_better=True),
        Figure("answers", "answers/s", more_is_better=True),
        Figure("p50_ms", "p50, ms"),
        Figure("p99_ms", "p99, ms"),
        Figure("cpu", "CPU, s"),
        Figure("cpu_user", "CPU user, s"),
        Figure("cpu_system", "CPU system, s"),
        Figure("cpu_us", "CPU per delivery, µs"),
        Figure("peak_mb", "peak memory, MB"),
        Figure("before_mb", "memory before, MB"),
        Figure("growth_mb", "memory growth, MB"),
        Figure("each_kb", "KB each"),
        Figure("ready_s", "s"),
        Figure("p99_without_ms", "p99 without them, ms"),
        Figure("p99_with_ms", "p99 with them, ms"),
        Figure("p99_ratio", "p99 with / without"),
        Figure("cut_us", "cutting lines, µs/event"),
        Figure("parse_us", "parsing, µs/event"),
        Figure("encode_us", "encoding, µs/event"),
        Figure("append_us", "log with encoding and sync, µs/event"),
        Figure("select_us", "filtering, µs/event"),
        Figure("generator", "load generator busy, %"),
    )
}
"""By key."""


@attrs.frozen(slots=True)
class Spread:
    """What several repetitions gave."""

    median: float
    least: float
    most: float


def spread_of(values: Sequence[float]) -> Spread | None:
    """Take the median and the ends of some values; None if there are none."""
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values))


def ratio(value: float | None, base: float | None) -> float | None:
    """Divide, where both are known and the second is not 0."""
    if value is None or not base:
        return None
    return value / base


def number_text(value: float | None) -> str:
    """Write a number with as many digits as mean something; nothing where there is none."""
    if value is None:
        return ""
    size = abs(value)
    if size >= _WHOLE_FROM:
        return f"{value:,.0f}"
    if size >= _TENTHS_FROM:
        return f"{value:.1f}"
    return f"{value:.2f}"


def spread_text(spread: Spread | None) -> str:
    """Write the median, and the ends where they are not the same."""
    if spread is None:
        return ""
    middle, least, most = map(number_text, (spread.median, spread.least, spread.most))
    return middle if least == most else f"{middle} ({least} to {most})"
