"""What :mod:`benchmarks.history` measures, in tables, and how they are written."""

from __future__ import annotations

import attrs

from benchmarks.table import rst_row


@attrs.frozen
class Row:
    """
    One thing that was measured.

    :ivar what: What it is about.
    :ivar figures: By name; times in milliseconds.
    """

    what: str
    figures: dict[str, float]


Table = list[Row]


def as_text(tables: dict[str, Table]) -> str:
    """Write tables for people."""
    lines = []
    for title, table in tables.items():
        names = list(dict.fromkeys(name for row in table for name in row.figures))
        width = max(len(row.what) for row in table)
        lines += ["", title, " " * width + "".join(f"{name:>15}" for name in names)]
        for row in table:
            cells = [
                f"{row.figures[name]:15,.1f}" if name in row.figures else " " * 15 for name in names
            ]
            lines.append(f"{row.what:<{width}}" + "".join(cells))
    return "\n".join(lines)


def as_rst(tables: dict[str, Table]) -> str:
    """Write tables for the documentation."""
    parts = []
    for title, table in tables.items():
        names = list(dict.fromkeys(name for row in table for name in row.figures))
        rows = [rst_row([title, *names])]
        for row in table:
            cells = [f"{row.figures[name]:,.1f}" if name in row.figures else "" for name in names]
            rows.append(rst_row([row.what, *cells]))
        parts += ["", ".. list-table::", "   :header-rows: 1", "   :class: figures", "", *rows]
    return "\n".join([*parts, ""])
