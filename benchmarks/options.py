"""The command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks.rows import KEYS, ROWS
from benchmarks.scales import FULL, QUICK, SCALES, Scale
from benchmarks.sweeps import SWEEPS

_REPEAT: Final = 3


@attrs.frozen(slots=True, kw_only=True)
class Options:
    """
    What shall be measured, and where the results go.

    :ivar rows: Keys of rows.
    :ivar sweeps: Keys of sweeps.
    :ivar contestants: Keys of contestants.
    :ivar directory: Where servers keep their logs; None is where temporary files go.
    :ivar json: A file for the results.
    :ivar rst: A file for the tables of the documentation.
    :ivar seen: A file of results that are shown again instead of measuring.
    """

    rows: tuple[str, ...]
    sweeps: tuple[str, ...]
    contestants: tuple[str, ...]
    repeat: int
    scale: Scale
    directory: Path | None = None
    json: Path | None = None
    rst: Path | None = None
    seen: Path | None = None


def options_from(arguments: Sequence[str]) -> Options:
    """Read the command line, or end with what is wrong with it."""
    given = _parser().parse_args(arguments)
    return Options(
        rows=given.rows,
        sweeps=given.sweeps,
        contestants=given.contestants,
        repeat=given.repeat or (1 if given.scale is not FULL else _REPEAT),
        scale=given.scale,
        directory=given.directory,
        json=given.json,
        rst=given.rst,
        seen=given.show,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the server beside others; docs/performance.rst says what it means.",
        epilog=f"Rows: {', '.join(ROWS)}. Contestants: {', '.join(KEYS)}.",
    )
    _add_choices(parser)
    _add_scales(parser)
    _add_files(parser)
    return parser


def _add_choices(parser: argparse.ArgumentParser) -> None:
    """What is measured."""
    parser.add_argument(
        "--rows", type=_some_of(ROWS), default=tuple(ROWS), metavar="ROW,...", help="only these"
    )
    parser.add_argument(
        "--contestants",
        type=_some_of(KEYS),
        default=KEYS,
        metavar="NAME,...",
        help="only these",
    )
    parser.add_argument(
        "--sweeps",
        type=_some_of(SWEEPS),
        nargs="?",
        const=tuple(SWEEPS),
        default=(),
        metavar="SWEEP,...",
        help=f"measure how cost grows too, for the plots: by all of {', '.join(SWEEPS)}, or these",
    )
    parser.add_argument(
        "--repeat",
        type=_at_least_one,
        metavar="N",
        help=f"measure everything so many times ({_REPEAT}; 1 if not in full)",
    )


def _add_scales(parser: argparse.ArgumentParser) -> None:
    """How large it is."""
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument(
        "--scale",
        type=_scale,
        default=FULL,
        metavar="|".join(SCALES),
        help="how large the run is; tiny shows only that everything works",
    )
    scale.add_argument(
        "--quick", action="store_const", dest="scale", const=QUICK, help="the same as --scale quick"
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    """Where things are, and go."""
    parser.add_argument(
        "--directory",
        type=Path,
        metavar="DIR",
        help="where servers keep their logs: on the disk that is to be measured",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    parser.add_argument("--rst", type=Path, metavar="FILE", help="write the table for the docs")
    parser.add_argument(
        "--show", type=Path, metavar="FILE", help="measure nothing; take the results of --json"
    )


def _some_of(known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    """Read names with commas between them, each one of those that are known."""

    def read(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        wrong = [name for name in names if name not in known]
        if wrong:
            msg = f"{', '.join(wrong)}: none of {', '.join(known)}"
            raise argparse.ArgumentTypeError(msg)
        return names

    return read


def _scale(text: str) -> Scale:
    if text not in SCALES:
        msg = f"{text}: none of {', '.join(SCALES)}"
        raise argparse.ArgumentTypeError(msg)
    return SCALES[text]


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        msg = "at least 1"
        raise argparse.ArgumentTypeError(msg)
    return number
