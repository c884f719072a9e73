"""
``lokictl``: the demo, and the API on the command line.

This module only parses the words. What a verb does is in the module that the table of
:mod:`loki_twisted.command.verbs` names, which is imported when the verb is used.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from loki_twisted import __version__
from loki_twisted.command.arguments import LineParser
from loki_twisted.command.exits import Exit
from loki_twisted.command.readers import read_port, read_token, read_token_file
from loki_twisted.command.streams import discard_output, have_streams
from loki_twisted.command.verbs import SERVER, VERBS
from loki_twisted.command.words import add_arguments
from loki_twisted.settings import DEFAULT_PORT


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command.

    :param arguments: Without the program's name; those of this process by default.
    :returns: The exit code, see :class:`~loki_twisted.command.exits.Exit`.
    """
    have_streams()
    try:
        return _written(lambda: _run(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:  # before the reactor runs, which takes it from then on
        return 128 + signal.SIGINT


def _run(arguments: Sequence[str]) -> int:
    given = make_parser().parse_args(arguments)
    try:
        complete(given, os.environ)
    except ValueError as error:
        print(f"lokictl: {error}", file=sys.stderr)
        return Exit.USAGE
    module, _, function = VERBS[given.verb].home.partition(":")
    exit_code: int = getattr(import_module(module), function)(given)
    return exit_code


def _written(run: Callable[[], int]) -> int:
    """Run, and see to it that all is written that was printed."""
    try:
        try:
            return run()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
        return Exit.UNHEARD
    except OSError as error:
        # Whatever else may fail has been dealt with where it is known what it means.
        discard_output()
        print(f"lokictl: cannot write: {error.strerror}", file=sys.stderr)
        return Exit.NOT_WRITTEN


def make_parser() -> LineParser:
    """Make the parser out of the table of verbs."""
    parser = LineParser(
        prog="lokictl",
        description="Start, steer and watch coding agents.",
        epilog="The server is that of --url, LOKI_URL, or the one on this machine; its token "
        "that of --token-file or LOKI_API_TOKEN. Each verb has a --help of its own.",
    )
    parser.add_argument("--version", action="version", version=f"lokictl {__version__}")
    add_arguments(parser, SERVER)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, verb in VERBS.items():
        child = verbs.add_parser(
            name, help=verb.help, description=f"{verb.help} {verb.more}".rstrip()
        )
        for argument in verb.arguments:
            add_arguments(child, [argument], is_again=argument in SERVER)
    return parser


def complete(given: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """
    Fill in what the environment says: ``url`` and ``token``.

    :raises ValueError: if that is wrong, with a line.
    """
    port_text = environ.get("LOKI_DASHBOARD_PORT") or str(DEFAULT_PORT)
    try:
        port = read_port(port_text)
    except ValueError as error:
        raise ValueError(f"LOKI_DASHBOARD_PORT: {port_text!r} {error}") from None
    given.url = given.url or environ.get("LOKI_URL") or f"http://localhost:{port}"
    given.token = _token(given.token_file, environ.get("LOKI_API_TOKEN"))


def _token(file: str | None, variable: str | None) -> str | None:
    if file is not None:
        try:
            return read_token_file(file)[0]
        except ValueError as error:
            raise ValueError(f"--token-file: {file!r} {error}") from None
    if not variable:
        return None
    try:
        return read_token(variable)
    except ValueError as error:
        raise ValueError(f"LOKI_API_TOKEN {error}") from None
