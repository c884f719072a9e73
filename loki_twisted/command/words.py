"""
The words of a command line, as values.

From them are made the parsers, the completions for shells and a page of the documentation.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final

import attrs

from loki_twisted.command.readers import read_port


class Holds(Enum):
    """What a value stands for, for the completions of shells."""

    WORDS = "words"
    FILE = "file"
    DIRECTORY = "directory"
    SESSION = "session"
    QUESTION = "question"


@attrs.frozen(slots=True, kw_only=True)
class Argument:
    """
    One argument of a verb.

    :ivar names: Of an option, with their dashes; of a positional one, what it is called in
        ``given``.
    :ivar metavar: What its value is called in help; None for a flag.
    :ivar many: ``?``, ``*`` or ``+`` as argparse has it, or None for exactly one.
    :ivar read: Turns the text into the value; raises ``argparse.ArgumentTypeError``.
    :ivar choices: All values there are; empty for any.
    :ivar suggested: Values that shells offer, where others are right too.
    :ivar listed: Values of which several may be given, with commas between them.
    """

    names: tuple[str, ...]
    help: str
    metavar: str | None = None
    many: str | None = None
    read: Callable[[str], Any] = str
    choices: Sequence[str] = ()
    suggested: Sequence[str] = ()
    listed: Sequence[str] = ()
    default: Any = None
    holds: Holds = Holds.WORDS

    @property
    def is_option(self) -> bool:
        """Whether it has a name on the command line."""
        return self.names[0].startswith("-")

    @property
    def is_flag(self) -> bool:
        """Whether it is an option without a value."""
        return self.is_option and self.metavar is None


@attrs.frozen(slots=True)
class Verb:
    """
    One verb.

    :ivar help: What it does, in a sentence.
    :ivar home: Module and function that carry it out: given the parsed arguments, it returns
        the exit code.
    :ivar more: What else is to be said of it.
    """

    help: str
    home: str
    arguments: tuple[Argument, ...] = ()
    more: str = ""


def flag(name: str, text: str, *, short: str | None = None) -> Argument:
    """Declare an option without a value."""
    return Argument(names=(name, short) if short else (name,), help=text, default=False)


def option(name: str, metavar: str, text: str, **more: Any) -> Argument:
    """Declare an option with a value."""
    return Argument(names=(name,), metavar=metavar, help=text, **more)


def positional(name: str, metavar: str, text: str, **more: Any) -> Argument:
    """Declare an argument without a name on the command line."""
    return Argument(names=(name,), metavar=metavar, help=text, **more)


def add_arguments(
    parser: argparse.ArgumentParser, arguments: Sequence[Argument], *, is_again: bool = False
) -> None:
    """
    Have a parser know arguments.

    :param is_again: Whether a parser around this one knows them too. Then what is not given here
        is what was given there.
    """
    for argument in arguments:
        default = argparse.SUPPRESS if is_again else argument.default
        shown = argument.help.replace("%", "%%")
        if argument.is_flag:
            parser.add_argument(*argument.names, action="store_true", default=default, help=shown)
        else:
            _add_value(parser, argument, default, shown)


def _add_value(
    parser: argparse.ArgumentParser, argument: Argument, default: Any, shown: str
) -> None:
    more: dict[str, Any] = {}
    if argument.many is not None:
        more["nargs"] = argument.many
    if argument.choices:
        more["choices"] = tuple(argument.choices)
    parser.add_argument(
        *argument.names,
        metavar=argument.metavar,
        type=argument.read,
        default=default,
        help=shown,
        **more,
    )


# What values are


def positive(text: str) -> float:
    """Read a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number


def count(text: str) -> int:
    """Read a number of things, 0 to 999999."""
    if not (text.isascii() and text.isdigit() and len(text) < len("1000000")):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return int(text)


def page(text: str) -> int:
    """Read how many lines of a list are wanted, 1 to 1000."""
    number = count(text)
    if not 0 < number <= _MOST_LINES:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {_MOST_LINES}")
    return number


def port(text: str) -> int:
    """Read a TCP port."""
    try:
        return read_port(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None


_MOST_LINES: Final = 1000  # of the server's pages

Verbs = Mapping[str, Verb]
