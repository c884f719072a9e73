"""
Draws how cost grows: ``python -m benchmarks.plots FILE.json --out DIR``.

FILE.json is what ``python -m benchmarks --sweeps --json FILE.json`` wrote. The same results give
the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks.figures import FIGURES, Spread
from benchmarks.report import Report, read_report
from benchmarks.sweeps import SWEEPS, Sweep

_COLOURS: Final = {"ours": "#d6336c", "nchan": "#1c7ed6", "starlette": "#f08c00", "bare": "#868e96"}
_SETTINGS: Final[dict[Any, Any]] = {
    "svg.hashsalt": "loki_twisted",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}
_PANEL_INCHES: Final = (4.5, 3.4)


@attrs.frozen(slots=True)
class Curve:
    """
    One contestant in one panel.

    :ivar points: What it gave for each number that the sweep changes, ascending.
    """

    contestant: str
    points: Sequence[tuple[int, Spread]]


def curves_of(report: Report, sweep: Sweep, figure: str) -> list[Curve]:
    """Collect what is drawn in a panel: contestants without figures are not in it."""
    curves = []
    for contestant in sweep.contestants:
        spreads = [
            (at, report.spread(sweep.key, contestant, figure, at)) for at in sorted(sweep.works)
        ]
        points = [(at, spread) for at, spread in spreads if spread is not None]
        if points:
            curves.append(Curve(contestant, points))
    return curves


def path_of(directory: Path, sweep: Sweep) -> Path:
    """Where the plot of a sweep goes."""
    return directory / f"cost-by-{sweep.key}.svg"


def draw(report: Report, sweep: Sweep, path: Path) -> None:
    """Draw a sweep as SVG, one panel for each figure."""
    # Late: everything but drawing works without it.
    import matplotlib as mpl
    from matplotlib.figure import Figure as Drawing

    with mpl.rc_context(_SETTINGS):
        width, height = _PANEL_INCHES
        drawing = Drawing(figsize=(width * len(sweep.figures), height), layout="constrained")
        panels = drawing.subplots(1, len(sweep.figures), squeeze=False)[0]
        for panel, figure in zip(panels, sweep.figures, strict=True):
            _draw_panel(panel, sweep, figure, curves_of(report, sweep, figure))
        panels[0].legend(frameon=False, fontsize="small")
        drawing.suptitle(sweep.title, fontsize="medium")
        drawing.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _draw_panel(panel: Any, sweep: Sweep, figure: str, curves: Sequence[Curve]) -> None:
    for curve in curves:
        middle = [spread.median for _, spread in curve.points]
        panel.errorbar(
            [at for at, _ in curve.points],
            middle,
            yerr=[
                [spread.median - spread.least for _, spread in curve.points],
                [spread.most - spread.median for _, spread in curve.points],
            ],
            color=_COLOURS[curve.contestant],
            label=curve.contestant,
            marker="o",
            markersize=3,
            linewidth=1.2,
            capsize=2,
        )
    panel.set_xscale("log")
    panel.set_yscale("log" if curves else "linear")
    panel.set_xlabel(sweep.axis)
    panel.set_ylabel(FIGURES[figure].title)


def main(arguments: Sequence[str]) -> int:
    """Draw all sweeps of a file; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plots", description=__doc__)
    parser.add_argument("results", type=Path, metavar="FILE.json")
    parser.add_argument("--out", type=Path, metavar="DIR", default=Path("docs/_static"))
    given = parser.parse_args(arguments)
    report = read_report(given.results)
    measured = {each.row for each in report.measurements if each.at is not None}
    if not measured:
        print(f"{given.results} has no sweeps: measure with --sweeps", file=sys.stderr)
        return 1
    given.out.mkdir(parents=True, exist_ok=True)
    for sweep in SWEEPS.values():
        if sweep.key in measured:
            path = path_of(given.out, sweep)
            draw(report, sweep, path)
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
