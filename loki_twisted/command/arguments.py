"""Command lines by argparse: errors in one line, and the options of a server."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from loki_twisted.command.option import Option
from loki_twisted.command.options import OPTIONS

USAGE_EXIT = 2
"""The exit code for a command line or settings that are wrong."""


class LineParser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line on stderr, and ends with code 2."""

    def __init__(self, **keywords: object) -> None:
        keywords.setdefault("allow_abbrev", False)  # an option added later must change no script
        super().__init__(**keywords)  # type: ignore[arg-type]  # handed through as they are

    def print_help(self, file: Any = None) -> None:
        """Print the help; unlike argparse's own it does not hide that it cannot."""
        print(self.format_help(), end="", file=file)

    def error(self, message: str) -> NoReturn:
        """End because of a wrong command line."""
        self.exit(USAGE_EXIT, f"{self.prog}: {message} (see {self.prog} --help)\n")


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Add every option of the table; what is not given is None, or False for a flag."""
    for option in OPTIONS:
        names = [f"--{option.name}"]
        if option.short:
            names.append(f"-{option.short}")
        _add(parser, option, names)


def _add(parser: argparse.ArgumentParser, option: Option, names: list[str]) -> None:
    shown = option.described.replace("%", "%%")
    if option.metavar is None:
        parser.add_argument(*names, dest=option.name, action="store_true", help=shown)
    else:
        parser.add_argument(
            *names,
            dest=option.name,
            action="append" if option.repeatable else "store",
            metavar=option.metavar,
            help=shown,
        )
