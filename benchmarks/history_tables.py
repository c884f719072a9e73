"""What some benchmarks measure, in tables, and how they are written."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
from twisted.internet import task
from twisted.internet.defer import ensureDeferred

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


def publish(
    parser: argparse.ArgumentParser,
    measure: Callable[[argparse.Namespace], Awaitable[dict[str, Table]]],
) -> None:
    """Be a program that measures, prints, and writes what was asked for."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--rst", type=Path, metavar="FILE", help="write the tables here too")
    options = parser.parse_args()

    async def run() -> None:
        tables = await measure(options)
        sys.stdout.write(as_text(tables) + "\n")
        if options.json is not None:
            figures = {name: [attrs.asdict(row) for row in rows] for name, rows in tables.items()}
            options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
        if options.rst is not None:
            options.rst.write_text(as_rst(tables), encoding="utf-8")

    task.react(lambda _: ensureDeferred(run()))
