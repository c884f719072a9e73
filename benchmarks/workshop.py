"""Where a run has its files: the load programs, compiled, and a place for each server."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.trouble import Trouble

PROGRAMS: Final = ("agent", "subscribers", "sender", "publisher", "requests")
"""The load programs, by the names of their sources."""

SOURCES: Final = Path(__file__).parent / "load"
CHECKOUT: Final = Path(__file__).parent.parent
COMPILER: Final = "cc"
_OPTIONS: Final = ("-std=gnu11", "-O2", "-Wall", "-Wextra")
_COMPILE_SECONDS: Final = 120
_FILL_SECONDS: Final = 600


class Workshop:
    """
    A directory with all that a run needs.

    :param directory: Empty; whoever gives it removes it. It should lie on a disk, because
        that is where servers keep their logs.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._numbers: Iterator[int] = itertools.count(1)

    def compile(self) -> None:
        """
        Compile the load programs.

        :raises Trouble: if there is no compiler, or it refuses one.
        """
        compiler = shutil.which(COMPILER)
        if compiler is None:
            raise Trouble(f"the load programs are written in C, and {COMPILER} is not installed")
        for name in PROGRAMS:
            source = SOURCES / f"{name}.c"
            argv = [compiler, *_OPTIONS, "-o", str(self.program(name)), str(source)]
            run_to_end(argv, _COMPILE_SECONDS, f"{source.name} could not be compiled")

    def program(self, name: str) -> Path:
        """The path of a load program."""
        return self.directory / name

    def place(self, name: str) -> Path:
        """Make a directory for one server."""
        path = self.directory / f"{next(self._numbers)}-{name}"
        path.mkdir()
        return path

    def filled(self, events: int) -> Path:
        """
        Give a directory to serve whose log holds so many events. It is made once.

        :raises Trouble: if it cannot be made.
        """
        path = self.directory / f"filled-{events}"
        if not path.exists():
            path.mkdir()
            argv = [sys.executable, "-m", "benchmarks.fill", str(path), str(events)]
            run_to_end(argv, _FILL_SECONDS, f"no log of {events} events could be made")
        return path


def run_to_end(argv: Sequence[str], seconds: float, failed: str) -> str:
    """
    Run a program to its end; gives what it printed.

    :param seconds: How long it may take.
    :param failed: What it means if it fails.
    :raises Trouble: if it does.
    """
    try:
        return subprocess.run(
            argv, check=True, capture_output=True, text=True, timeout=seconds, cwd=CHECKOUT
        ).stdout
    except subprocess.CalledProcessError as error:
        raise Trouble(f"{failed}: {error.stderr.strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise Trouble(f"{failed} within {seconds:g} s") from error
