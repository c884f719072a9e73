"""
How long a server's reactor is held by agents, clients, files, and all that has happened before.

``python -m benchmarks.holds_agents`` does it all in a temporary directory (some minutes, 3 GB and
5,000 processes) and prints what it measures; ``--json FILE`` writes it too, and ``--rst FILE`` for
the documentation; ``--only PART`` does one part. It is the other half of :mod:`benchmarks.holds`,
which says what *late*, *kept* and *busy* are. *Seconds* is how long it took until all of it was
told.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.history_tables import Row, Table, publish
from benchmarks.holds_crowds import crowds
from benchmarks.holds_files import state_files
from benchmarks.holds_house import Size
from benchmarks.holds_log import histories, upkeep
from benchmarks.holds_outside import adoptions, ends, floods, trees

PARTS: Final[Mapping[str, Callable[[Path, Size], Awaitable[list[Row]]]]] = {
    "floods": floods,
    "adoptions": adoptions,
    "trees": trees,
    "ends": ends,
    "crowds": crowds,
    "files": state_files,
    "upkeep": upkeep,
    "histories": histories,
}
"""By name, in the order of the table."""


async def agents_at_limits(directory: Path, size: Size, only: str | None = None) -> Table:
    """Do everything, or one part of it."""
    rows = []
    for name, part in PARTS.items():
        if only in (None, name):
            place = directory / name
            rows += await part(place, size)
            shutil.rmtree(place)
    return rows


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="do so much of it")
    parser.add_argument("--only", choices=[*PARTS], help="do this part")

    async def run(options: argparse.Namespace) -> dict[str, Table]:
        with tempfile.TemporaryDirectory(prefix="holds-") as directory:
            size = Size(options.scale)
            rows = await agents_at_limits(Path(directory), size, options.only)
        return {"Agents, files and histories at their limits, ms": rows}

    publish(parser, run)


if __name__ == "__main__":
    main()
