"""
``loki serve``; every other word is Loki Mode's own and handed on.

Nothing but the standard library and the table of options is imported before
it is known that a server is wanted.
"""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
from collections.abc import Sequence

from loki_twisted import __version__

_HELP = """\
usage: loki serve [options]     serve the API (see: loki serve --help)
       loki --version
       loki WORD ...            any other word is handed to Loki Mode's own loki

To start, steer and watch sessions of a server: lokictl --help
"""

_LAST_PLACE = 2
_CANNOT_RUN_EXIT = 126
_NOT_FOUND_EXIT = 127


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command.

    :param arguments: Without the program's name; those of this process by default.
    :returns: The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(given)
    except KeyboardInterrupt:  # before the reactor runs, which takes it from then on
        return 128 + signal.SIGINT


def _dispatch(given: list[str]) -> int:
    match given:
        case [] | ["-h" | "--help", *_]:
            print(_HELP, end="")
            return 0
        case ["-V" | "--version", *_]:
            print(f"loki {__version__} (loki_twisted)")
            return 0
        case ["serve", *rest]:
            return _serve(rest)
        case _:
            return _hand_over(given)


def _hold_places() -> None:
    """Have something stand where input, output and error are to be, if they were closed."""
    # A file of ours would be there else, and somebody print into it.
    while (place := os.open(os.devnull, os.O_RDWR)) <= _LAST_PLACE:
        os.set_inheritable(place, True)
    os.close(place)
    if sys.stderr is None:
        nowhere = io.FileIO(_LAST_PLACE, "w", closefd=False)
        sys.stderr = io.TextIOWrapper(nowhere, errors="backslashreplace", write_through=True)


def _serve(arguments: list[str]) -> int:
    _hold_places()
    from loki_twisted.command.arguments import USAGE_EXIT, LineParser, add_server_options
    from loki_twisted.command.given import settings_from
    from loki_twisted.command.options import GENERATE_HELP, RELOAD_HELP, new_token
    from loki_twisted.settings import InvalidSettings

    parser = LineParser(prog="loki serve", description="Serve the API over HTTP and SSE.")
    add_server_options(parser)
    parser.add_argument("--reload", action="store_true", help=RELOAD_HELP)
    parser.add_argument("--generate-token", action="store_true", help=GENERATE_HELP)
    given = vars(parser.parse_args(arguments))
    if given["generate_token"]:
        print(new_token())
        return 0
    try:
        settings = settings_from(given, os.environ, os.getcwd())
    except InvalidSettings as error:
        print(f"loki serve: {error}", file=sys.stderr)
        return USAGE_EXIT
    if given["reload"]:
        from loki_twisted.command.reload import supervise_server

        return supervise_server([word for word in arguments if word != "--reload"])
    gc.disable()  # hardly anything of what is imported is garbage
    from loki_twisted.command.serve import serve

    return serve(settings)


def _hand_over(arguments: list[str]) -> int:
    from loki_twisted.command.handover import hand_over

    try:
        print(hand_over(arguments), file=sys.stderr)
    except OSError as error:
        print(f"loki: {error.filename}: {error.strerror}", file=sys.stderr)
        return _CANNOT_RUN_EXIT
    return _NOT_FOUND_EXIT
