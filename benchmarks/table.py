"""The table of a run: lines of cells, and how they are written as text and for the docs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from benchmarks.figures import FIGURES, number_text, ratio, spread_text
from benchmarks.reference import REFERENCES, estimated_old
from benchmarks.report import Report
from benchmarks.rows import BARE, KEYS, NCHAN, OURS, ROWS, Row
from benchmarks.targets import TARGETS, Base, Verdict, target_text, verdict

HEAD: Final = (
    "work",
    "figure",
    "ours",
    "nchan",
    "sse-starlette",
    "bare sender",
    "ours / nchan",
    "old (est.)",
    "ours / old",
    "target",
    "met",
)
BUSY: Final = 90
"""From this share on, in percent, the load generator may have been what was measured."""

_GENERATOR: Final = "generator"
_NOTHING: Final = "-"


@attrs.frozen(slots=True)
class Line:
    """
    One line of the table.

    :ivar cells: As many as :data:`HEAD`.
    :ivar is_first: Whether a row begins with it.
    """

    cells: tuple[str, ...]
    is_first: bool
    verdict: Verdict | None


def lines_of(report: Report) -> list[Line]:
    """Make the lines of all rows that were measured."""
    measured = {each.row for each in report.measurements}
    return [line for row in ROWS.values() if row.key in measured for line in _lines_of(report, row)]


def _lines_of(report: Report, row: Row) -> Iterator[Line]:
    work = next(each.work for each in report.measurements if each.row == row.key)
    for number, figure in enumerate(row.figures):
        title = f"{row.title}: {work}" if number == 0 else ""
        cells, outcome = _cells(report, row, figure)
        yield Line((title, FIGURES[figure].title, *cells), number == 0, outcome)


def _cells(report: Report, row: Row, figure: str) -> tuple[list[str], Verdict | None]:
    medians = report.medians(row.key, figure, KEYS)
    ours, nchan = medians.get(OURS), medians.get(NCHAN)
    old = estimated_old(REFERENCES.get((row.key, figure)), medians)
    target = TARGETS.get((row.key, figure))
    bases = {base: value for base, value in ((Base.OLD, old), (Base.NCHAN, nchan)) if value}
    outcome = verdict(figure, target, ours, bases) if target else None
    return [
        *(_cell(report, row, figure, key) for key in KEYS),
        "" if figure == _GENERATOR else number_text(ratio(ours, nchan)),
        number_text(old),
        number_text(ratio(ours, old)),
        target_text(figure, target),
        outcome.value if outcome else "",
    ], outcome


def _cell(report: Report, row: Row, figure: str, contestant: str) -> str:
    if contestant not in row.contestants or contestant in report.left_out:
        return _NOTHING
    spread = report.spread(row.key, contestant, figure)
    if spread is None:
        return "failed" if report.of(row.key, contestant) else _NOTHING
    busy = " (!)" if figure == _GENERATOR and spread.median > BUSY else ""
    return spread_text(spread) + busy


def notes_of(report: Report) -> list[str]:
    """Say in sentences what belongs to the table: machine, size, generator, what is missing."""
    return [
        *_about_machine(report),
        *_about_generator(report),
        *(f"{key}: left out, {reason}." for key, reason in report.left_out.items()),
        *(
            f"{each.row}, {each.contestant}, repetition {each.repetition + 1}: {each.trouble}."
            for each in report.troubles()
        ),
    ]


def _about_machine(report: Report) -> Iterator[str]:
    at = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in sorted(at.versions.items()))
    yield (
        f"Measured at {at.made_at} on {at.cores} cores ({at.processor}) with {at.memory_mb:,} MB, "
        f"{at.system}; the log on {at.disk}, where a sync takes {at.sync_ms:.2g} ms. {versions}."
    )
    times = "once" if report.repeat == 1 else f"{report.repeat} times"
    yield f"Size: {report.scale}. Each measured {times}; medians, with the least and the most."
    if report.scale != "full":
        yield "This was not a run in full: it shows that everything works, and its figures little."


def _about_generator(report: Report) -> Iterator[str]:
    """Compare what the load generator takes from the bare sender with what contestants reached."""
    for probe, row in (("generator-100", "flood-100"), ("generator-1", "flood-1-long")):
        taken = report.spread(probe, BARE, "rate")
        busy = report.spread(probe, BARE, _GENERATOR)
        if taken is None or busy is None:
            continue
        sentence = (
            f"The load generator took {taken.median:,.0f} deliveries/s from the bare sender "
            f"({probe}), and was busy for {busy.median:.0f} % of the time"
        )
        others = report.medians(row, "rate", [key for key in KEYS if key != BARE])
        best = max(others.values(), default=None)
        times = ratio(taken.median, best)
        yield sentence + (f": {times:.1f} times the most of any contestant." if times else ".")


def as_text(report: Report) -> str:
    """Write the table for a terminal, with its notes."""
    rows = [HEAD, *(line.cells for line in lines_of(report))]
    widths = [max(len(row[index]) for row in rows) for index in range(len(HEAD))]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*table, "", *notes_of(report)])


def as_rst(report: Report) -> str:
    """Write the table for the documentation, with its notes."""
    body = [rst_row(HEAD), *(rst_row(line.cells) for line in lines_of(report))]
    table = [".. list-table::", "   :header-rows: 1", "   :class: figures", "", *body]
    return "\n".join(["", *table, "", *(f"- {_rst_text(note)}" for note in notes_of(report)), ""])


def rst_row(cells: Sequence[str]) -> str:
    """Write one row of a list-table."""
    first, *others = map(_rst_text, cells)
    return "\n".join([f"   * - {first}".rstrip(), *(f"     - {cell}".rstrip() for cell in others)])


def _rst_text(text: str) -> str:
    """Take the meaning from what would be markup."""
    return re.sub(r"([\\*`|_])", r"\\\1", text)
