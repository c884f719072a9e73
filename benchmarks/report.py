"""The results of a run, as they are written into a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from benchmarks.figures import Spread, spread_of


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where it was measured.

    :ivar made_at: When, as an ISO 8601 time of UTC.
    :ivar disk: The file system of the log.
    :ivar sync_ms: How long that takes to have a small write on disk.
    :ivar versions: Of the programs, by name.
    """

    made_at: str
    system: str
    processor: str
    cores: int
    memory_mb: int
    disk: str
    sync_ms: float
    versions: dict[str, str]


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one contestant did once.

    :ivar row: The key of a row, or of a sweep.
    :ivar at: The number that the sweep changes; None in a row.
    :ivar work: How much was done, in words.
    :ivar figures: By key; empty if there was trouble.
    :ivar trouble: Why there are none.
    """

    row: str
    contestant: str
    repetition: int
    work: str
    figures: dict[str, float]
    trouble: str | None = None
    at: int | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """
    A whole run.

    :ivar scale: The name of how large it was.
    :ivar left_out: Why contestants are missing, by key.
    """

    machine: Machine
    scale: str
    repeat: int
    left_out: dict[str, str]
    measurements: list[Measurement]

    def of(self, row: str, contestant: str, at: int | None = None) -> list[Measurement]:
        """All repetitions of one contestant in one row, or at one point of a sweep."""
        return [
            each
            for each in self.measurements
            if (each.row, each.contestant, each.at) == (row, contestant, at)
        ]

    def spread(
        self, row: str, contestant: str, figure: str, at: int | None = None
    ) -> Spread | None:
        """What the repetitions gave for one figure; None if none gave any."""
        return spread_of(
            [
                each.figures[figure]
                for each in self.of(row, contestant, at)
                if figure in each.figures
            ]
        )

    def medians(self, row: str, figure: str, contestants: Iterable[str]) -> Mapping[str, float]:
        """The medians of one figure of a row, of those that have any, by contestant."""
        spreads = {key: self.spread(row, key, figure) for key in contestants}
        return {key: spread.median for key, spread in spreads.items() if spread is not None}

    def troubles(self, contestant: str | None = None) -> list[Measurement]:
        """The measurements that gave nothing, of all contestants or of one."""
        return [
            each
            for each in self.measurements
            if each.trouble is not None and contestant in (None, each.contestant)
        ]


def write_report(path: Path, report: Report) -> None:
    """Write a run into a file as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")


def read_report(path: Path) -> Report:
    """
    Read what :func:`write_report` wrote.

    :raises msgspec.MsgspecError: if it is something else.
    """
    return msgspec.json.decode(path.read_bytes(), type=Report)
