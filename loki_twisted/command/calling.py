"""What the verbs that talk to a server have in common."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import msgspec

from loki_twisted.client import LokiClient, StreamReset
from loki_twisted.client.callbacks import undisturbed
from loki_twisted.command.colours import Palette, can_be_steered, palette_for
from loki_twisted.command.complaints import complaint, exit_code_of
from loki_twisted.command.exits import Exit
from loki_twisted.command.formatting import json_line, plain
from loki_twisted.command.hearing import Audience
from loki_twisted.command.logs import begin_logging
from loki_twisted.command.running import run
from loki_twisted.command.terminal import SHOW_CURSOR, Terminal
from loki_twisted.model.errors import LokiError

Talk = Callable[[LokiClient], Awaitable[int]]
"""A conversation with a server; gives the exit code."""

_USUAL_COLUMNS: Final = 80


def call(given: argparse.Namespace, talk: Talk, terminal: Terminal | None = None) -> int:
    """
    Talk to the server that the arguments name.

    :param terminal: What is to be given back if there is no time to end in order.
    :returns: The exit code; what goes wrong is one line on stderr.
    """
    begin_logging(sys.stderr)

    async def main(reactor: Any) -> int:
        try:
            client = LokiClient(given.url, token=given.token, reactor=reactor)
        except ValueError as error:
            return complain(str(error), Exit.USAGE)
        return await Audience(reactor, sys.stdout).listens_to(converse(client, talk))

    return run(main, tells_signal=True, cut_short=partial(_give_back, terminal))


def _give_back(terminal: Terminal | None) -> None:
    if terminal is not None:
        terminal.give_back()
    if can_be_steered(sys.stderr, os.environ):
        # Where something took long there is none meanwhile.
        os.write(sys.stderr.fileno(), SHOW_CURSOR.encode())


async def converse(client: LokiClient, talk: Talk) -> int:
    """Talk by a client, and close it; returns as :func:`call` does."""
    try:
        return await talk(client)
    except LokiError as error:
        return complain(complaint(error), exit_code_of(error))
    except BrokenPipeError:
        return Exit.UNHEARD
    except OSError as error:
        # Of what is printed: what goes wrong with a server is told as errors of ours.
        return complain(f"cannot write: {error.strerror}", Exit.NOT_WRITTEN)
    finally:
        # Also if whoever reads what is printed leaves in the middle of that.
        await undisturbed(client.close())


def show(given: argparse.Namespace, answer: msgspec.Struct, text: str) -> int:
    """Print an answer, as JSON if that is asked for; gives the exit code 0."""
    print(json_line(answer) if given.json else text, flush=True)
    return Exit.DONE


def palette() -> Palette:
    """The colours for what is printed."""
    return palette_for(sys.stdout, os.environ)


def columns() -> int | None:
    """How wide what is printed may be; None for any width, where that is no terminal."""
    if not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size((_USUAL_COLUMNS, 0)).columns


def note(text: str) -> None:
    """Say something beside what is printed, on stderr."""
    print(palette_for(sys.stderr, os.environ).paint("dim", f"-- {text} --"), file=sys.stderr)


def note_more(shown: int, total: int) -> None:
    """Say to people that a list is longer than what is shown of it."""
    if shown < total and columns() is not None:
        note(f"{shown} of {total}; more with --limit")


def note_reset(reset: StreamReset) -> None:
    """Say that events are missing in a stream."""
    note(f"events are missing here: {plain(reset.reason)}")


def note_presence(is_away: bool) -> None:
    """Say that the server is away, or there again."""
    note("cut off: trying again" if is_away else "back")


def complain(text: str, exit_code: int) -> int:
    """Print what is wrong as one line on stderr; gives the exit code."""
    print(f"lokictl: {text}", file=sys.stderr)
    return exit_code
