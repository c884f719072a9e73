"""
``lokictl``: the demo, and the API on the command line.

This module only knows the words. What a verb does is in the module that the table
names, which is imported when the verb is used.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Final

import attrs

from loki_twisted import __version__
from loki_twisted.command.arguments import USAGE_EXIT, LineParser
from loki_twisted.command.readers import read_port, read_token
from loki_twisted.settings import DEFAULT_PORT

Adder = Callable[[argparse.ArgumentParser], object]


@attrs.frozen(slots=True)
class Verb:
    """
    One verb.

    :ivar home: Module and function that carry it out: given the parsed arguments, it returns
        the exit code.
    :ivar add: Adds its own arguments.
    """

    help: str
    home: str
    add: Adder


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command.

    :param arguments: Without the program's name; those of this process by default.
    :returns: The exit code.
    """
    parser = make_parser()
    given = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    try:
        complete(given, os.environ)
    except ValueError as error:
        print(f"lokictl: {error}", file=sys.stderr)
        return USAGE_EXIT
    module, _, function = VERBS[given.verb].home.partition(":")
    try:
        exit_code: int = getattr(import_module(module), function)(given)
    except KeyboardInterrupt:  # before the reactor runs, which takes it from then on
        return 128 + signal.SIGINT
    return exit_code


def make_parser() -> LineParser:
    """Make the parser out of the table of verbs."""
    parser = LineParser(
        prog="lokictl",
        description="Start, steer and watch coding agents.",
        epilog="The server is that of --url, LOKI_URL, or the one on this machine; "
        "LOKI_API_TOKEN is its token.",
    )
    parser.add_argument("--version", action="version", version=f"lokictl {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, verb in VERBS.items():
        child = verbs.add_parser(name, help=verb.help, description=verb.help)
        verb.add(child)
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
    url = getattr(given, "url", None) or environ.get("LOKI_URL")
    given.url = url or f"http://localhost:{port}"
    given.token = environ.get("LOKI_API_TOKEN") or None
    if given.token is not None:
        try:
            read_token(given.token)
        except ValueError as error:
            raise ValueError(f"LOKI_API_TOKEN {error}") from None


# The words


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < len("1000000")):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return int(text)


def _port(text: str) -> int:
    try:
        return read_port(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None


def _remote(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--url", help="the server, like http://host:57374 or unix:/path")
    parser.add_argument("--json", action="store_true", help="print the server's answer as JSON")
    return parser


def _one_session(parser: argparse.ArgumentParser) -> None:
    _remote(parser).add_argument("session_id", metavar="ID", help="the session")


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--once", action="store_true", help="end when the session has ended")
    parser.add_argument("--port", type=_port, default=0, help="port to listen on; else any")
    parser.add_argument("--data-dir", metavar="DIR", help="directory to work in; else a new one")
    parser.add_argument("--speed", type=_positive, metavar="N", help="how many times as fast")


def _ps(parser: argparse.ArgumentParser) -> None:
    _remote(parser).add_argument("--status", help="only sessions of this status")
    parser.add_argument("--limit", type=_count, default=50, help="at most so many; 50 by default")


def _start(parser: argparse.ArgumentParser) -> None:
    _remote(parser).add_argument("prd", nargs="?", help="what to build; a file in the project")
    parser.add_argument("--provider", help="demo, claude, codex, cline, aider, opencode, ...")
    parser.add_argument("--prompt", help="what to do, in words")
    parser.add_argument("--project-dir", metavar="DIR", help="where; else the server's project")
    parser.add_argument("--model", help="the provider's name of a model")
    parser.add_argument("--timeout", type=_positive, metavar="SECONDS", help="stop it after this")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--verbose", action="store_true", help="let it say more")
    parser.add_argument("--queue", action="store_true", help="wait for a place if there is none")
    parser.add_argument("--priority", type=int, default=0, help="-100 to 100; higher goes first")
    parser.add_argument("--direct", action="store_true", help="its own program, not Loki Mode")
    parser.add_argument("--follow", "-f", action="store_true", help="show its events to its end")


def _input(parser: argparse.ArgumentParser) -> None:
    _one_session(parser)
    parser.add_argument("text", nargs="+", help="what to say to the agent")


def _tail(parser: argparse.ArgumentParser) -> None:
    _remote(parser).add_argument("session_id", metavar="ID", nargs="?", help="only this session")
    parser.add_argument("--types", help="only these, like task:*,log:error")
    parser.add_argument("--min-level", help="of log events: debug, info, warn or error")
    parser.add_argument("--history", type=_count, default=20, help="begin so far back; else 20")
    parser.add_argument("--after", metavar="EVENT", help="begin after an event id, or: earliest")


def _record(parser: argparse.ArgumentParser) -> None:
    _one_session(parser)
    parser.add_argument("file", metavar="FILE", help="where to write; - for the standard output")


def _tasks(parser: argparse.ArgumentParser) -> None:
    _remote(parser).add_argument("session_id", metavar="ID", nargs="?", help="only this session")
    parser.add_argument("--status", help="only tasks of this status")
    parser.add_argument("--limit", type=_count, default=100, help="at most so many; else 100")


def _token(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("create", "list", "revoke"), help="what to do")
    parser.add_argument("name", metavar="NAME", nargs="?", help="of a token to create or revoke")
    parser.add_argument("--token-file", metavar="FILE", help="that of loki serve --token-file")
    parser.add_argument("--scopes", help="some of read,write,admin; read,write by default")
    parser.add_argument(
        "--expires",
        help="30d, 12h or 15m from now, a time in UTC (2027-01-31), or never; else never",
    )


_SESSIONS: Final = "loki_twisted.command.verbs_sessions"
_RECORDING: Final = "loki_twisted.command.verbs_recording"
_TOKENS: Final = "loki_twisted.command.verbs_tokens"
_WATCHING: Final = "loki_twisted.command.verbs_watching"

VERBS: Final[Mapping[str, Verb]] = {
    "demo": Verb(
        "See it work: a server, an agent, its events.", "loki_twisted.command.demo:demo", _demo
    ),
    "ps": Verb("List sessions.", f"{_SESSIONS}:ps", _ps),
    "start": Verb("Start a session.", f"{_SESSIONS}:start", _start),
    "stop": Verb("Stop a session.", f"{_SESSIONS}:stop", _one_session),
    "pause": Verb("Halt a session.", f"{_SESSIONS}:pause", _one_session),
    "resume": Verb("Let a paused session go on.", f"{_SESSIONS}:resume", _one_session),
    "input": Verb("Say something to an agent.", f"{_SESSIONS}:give_input", _input),
    "answer": Verb("Answer an agent's question; as input.", f"{_SESSIONS}:give_input", _input),
    "rm": Verb("Remove the record of a session.", f"{_SESSIONS}:remove", _one_session),
    "tail": Verb("Show events as they happen.", f"{_WATCHING}:tail", _tail),
    "record": Verb("Keep what an agent prints.", f"{_RECORDING}:record", _record),
    "tasks": Verb("List tasks.", f"{_WATCHING}:tasks", _tasks),
    "token": Verb("Create, list or revoke tokens of a server.", f"{_TOKENS}:manage_tokens", _token),
    "health": Verb("Say how the server is.", f"{_WATCHING}:health", _remote),
}
"""All verbs."""
