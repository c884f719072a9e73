"""The rows of the table: what is done, by whom, and which figures are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from benchmarks.works import Delivery, Idle, Journey, Lines, Replay, Requests, Start, Stuck, Work

OURS: Final = "ours"
NCHAN: Final = "nchan"
STARLETTE: Final = "starlette"
BARE: Final = "bare"

KEYS: Final = (OURS, NCHAN, STARLETTE, BARE)
"""All contestants, in the order of the columns."""

_FLOOD: Final = ("rate", "peak_mb", "cpu_us", "generator")
_STAGES: Final = ("cut_us", "parse_us", "encode_us", "append_us", "select_us")
_PACED: Final = ("p50_ms", "p99_ms", "cpu", "cpu_user", "cpu_system", "peak_mb", "generator")


@attrs.frozen(slots=True)
class Row:
    """
    One row of the table, which has a line for each figure.

    :ivar contestants: Keys of those who can do it.
    :ivar figures: Keys of what is shown of it.
    """

    key: str
    title: str
    work: Work
    figures: tuple[str, ...]
    contestants: tuple[str, ...] = KEYS


ROWS: Final[Mapping[str, Row]] = {
    row.key: row
    for row in (
        Row("flood-100", "flood, many readers", Delivery(Lines(5_000), 100), _FLOOD),
        Row("flood-1000", "flood, a crowd", Delivery(Lines(500), 1_000), _FLOOD),
        Row("flood-1", "flood, one reader", Delivery(Lines(20_000), 1), _FLOOD),
        Row("flood-1-long", "long flood, one reader", Delivery(Lines(200_000), 1), _FLOOD),
        Row("paced-1000", "paced, a crowd", Delivery(Lines(1_000, 100), 1_000), _PACED),
        Row("paced-100", "paced, many readers", Delivery(Lines(5_000, 500), 100), _PACED),
        Row(
            "filters",
            "paced, a crowd, each with a filter of its own",
            Delivery(Lines(1_000, 100), 1_000, filters=1_000),
            _PACED,
            (OURS,),
        ),
        Row("idle", "subscribers with nothing to read", Idle(1_000), ("each_kb",)),
        Row("ready", "ready after a start", Start(1_000_000), ("ready_s",), (OURS,)),
        Row(
            "replay",
            "replay to one reader",
            Replay(1_000_000),
            ("rate", "before_mb", "growth_mb", "generator"),
            (OURS, BARE),
        ),
        Row("live", "GET /health/live", Requests(16, 5), ("answers", "p99_ms", "generator")),
        Row(
            "stuck",
            "readers beside some that never read",
            Stuck(Lines(10_000, 1_000, 2_000), 50, 50),
            ("p99_without_ms", "p99_with_ms", "p99_ratio", "growth_mb"),
            (OURS, NCHAN, STARLETTE),
        ),
        Row("stages-500", "stages of the way, in a flood", Journey(100_000, 500), _STAGES, (OURS,)),
        Row("stages-1", "stages of the way, line by line", Journey(3_000, 1), _STAGES, (OURS,)),
    )
}
"""By key."""

GENERATOR_ROWS: Final[Mapping[str, Row]] = {
    row.key: row
    for row in (
        Row("generator-100", "", Delivery(Lines(100_000), 100), (), (BARE,)),
        Row("generator-1", "", Delivery(Lines(2_000_000), 1), (), (BARE,)),
    )
}
"""What the load generator takes from a sender that does nothing but send; not in the table."""


def work_text(work: Work) -> str:
    """Say in words how much is done."""
    match work:
        case Delivery(lines, subscribers, filters):
            extra = f", {filters:,} filters" if filters > 1 else ""
            return f"{_lines_text(lines)} to {subscribers:,}{extra}"
        case Stuck(lines, readers, stuck):
            size = lines.count * lines.padding / 1e6
            return f"{_lines_text(lines)} ({size:.3g} MB) to {readers:,} beside {stuck:,}"
        case Idle(connections):
            return f"{connections:,} connections"
        case Requests(connections, seconds):
            return f"{connections:,} connections, {seconds:g} s"
        case Start(events) | Replay(events):
            return f"{events:,} events"
        case Journey(count, batch):
            return f"{count:,} lines, {batch:,} at a time"


def _lines_text(lines: Lines) -> str:
    if not lines.per_second:
        return f"{lines.count:,} lines"
    return f"{lines.per_second:g}/s for {lines.seconds:.3g} s"
