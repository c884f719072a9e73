"""
Tables for people, as wide as there is room. Pure functions.

Where there is little room the columns that matter least are left out, and what may be cut is cut.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import attrs
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from loki_twisted.command.colours import Palette
from loki_twisted.command.formatting import plain

GAP: Final = 2
"""How many blanks are between columns."""

_ANY_WIDTH: Final = 10_000


@attrs.frozen(slots=True)
class Column:
    """
    One column.

    :ivar head: What stands above it.
    :ivar rank: The higher, the sooner it is left out; 0 never is.
    :ivar least: How narrow it may become; None if it may not be cut.
    :ivar is_number: Whether its cells stand on the right.
    """

    head: str
    rank: int = 0
    least: int | None = None
    is_number: bool = False


Row = Sequence[str]
"""A cell for each column."""


def widths_of(columns: Sequence[Column], natural: Sequence[int], room: int) -> dict[int, int]:
    """
    Choose which columns are shown, and how wide.

    :param natural: How wide each would be if there were any room.
    :param room: How much there is.
    :returns: The width of each that is shown, by its number. Those that never may be left out or
        cut are there even if there is no room.
    """
    shown = list(range(len(columns)))
    while _needed(columns, natural, shown) > room:
        droppable = [number for number in shown if columns[number].rank]
        if not droppable:
            break
        shown.remove(max(droppable, key=lambda number: columns[number].rank))
    widths = {number: natural[number] for number in shown}
    too_much = sum(widths.values()) + GAP * (len(shown) - 1) - room
    for number in reversed(shown):
        cut = min(max(too_much, 0), widths[number] - _least(columns[number], natural[number]))
        widths[number] -= cut
        too_much -= cut
    return widths


def _needed(columns: Sequence[Column], natural: Sequence[int], shown: Sequence[int]) -> int:
    least = sum(_least(columns[number], natural[number]) for number in shown)
    return least + GAP * (len(shown) - 1)


def _least(column: Column, natural: int) -> int:
    return natural if column.least is None else min(column.least, natural)


def grid(
    columns: Sequence[Column],
    rows: Sequence[Row],
    room: int | None,
    styles: Sequence[str | None] = (),
) -> Table:
    """
    Lay out a table.

    :param room: How wide it may be; None for any width.
    :param styles: The colour of the second cell of each row.
    """
    cells = [[plain(cell) for cell in row] for row in rows]
    heads = [column.head for column in columns]
    natural = [max(map(cell_len, each)) for each in zip(heads, *cells, strict=True)]
    widths = widths_of(columns, natural, _ANY_WIDTH if room is None else room)
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, show_edge=False)
    for number, width in widths.items():
        table.add_column(
            Text(columns[number].head, "bold"),
            width=width,
            no_wrap=True,
            overflow="ellipsis",
            justify="right" if columns[number].is_number else "left",
        )
    for row, style in zip(cells, [*styles, *[None] * (len(cells) - len(styles))], strict=True):
        table.add_row(*(Text(row[n], (style or "") if n == 1 else "") for n in widths))
    return table


def as_text(what: RenderableType, palette: Palette, room: int | None = None) -> str:
    """
    Write what rich renders as text, without blanks at the ends of lines.

    :param room: How wide it may be; None for any width.
    """
    out = io.StringIO()
    console = Console(
        file=out,
        width=_ANY_WIDTH if room is None else room,
        force_terminal=palette.is_coloured,
        color_system="standard" if palette.is_coloured else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    console.print(what)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").split("\n"))
