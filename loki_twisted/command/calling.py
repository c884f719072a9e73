"""What the verbs that talk to a server have in common."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from loki_twisted.client import ClientError, LokiClient, ServerNotTrusted, ServerUnreachable
from loki_twisted.command.arguments import USAGE_EXIT
from loki_twisted.command.colours import Palette, palette_for
from loki_twisted.command.formatting import plain
from loki_twisted.command.logs import begin_logging
from loki_twisted.command.running import run
from loki_twisted.model.errors import InvalidRequest

REFUSED_EXIT: Final = 1
"""The exit code when the server says no, or there is none."""

UNHEARD_EXIT: Final = 128 + signal.SIGPIPE
"""The exit code when what is printed is no longer read; shells know it."""

Talk = Callable[[LokiClient], Awaitable[int]]
"""A conversation with a server; gives the exit code."""


def call(given: argparse.Namespace, talk: Talk) -> int:
    """
    Talk to the server that the arguments name.

    :returns: The exit code; what goes wrong is one line on stderr.
    """
    begin_logging(sys.stderr)

    async def main(reactor: Any) -> int:
        try:
            client = LokiClient(given.url, token=given.token, reactor=reactor)
        except ValueError as error:
            return complain(str(error), USAGE_EXIT)
        return await converse(client, talk)

    return run(main)


async def converse(client: LokiClient, talk: Talk) -> int:
    """Talk by a client, and close it; returns as :func:`call` does."""
    try:
        return await talk(client)
    except (ClientError, ServerUnreachable) as error:
        return complain(complaint(error), REFUSED_EXIT)
    except InvalidRequest as error:
        return complain(plain(error), USAGE_EXIT)
    except BrokenPipeError:
        return _unheard()
    finally:
        await client.close()


def complaint(error: ClientError | ServerUnreachable) -> str:
    """Say what went wrong, and what to do about it where that is known."""
    text = plain(error)
    if isinstance(error, ServerNotTrusted):
        return text
    if isinstance(error, ServerUnreachable):
        return f"{text.rstrip('.')}; start a server with: loki serve"
    if error.status == 401:  # noqa: PLR2004  # unauthorized
        return f"{text.rstrip('.')}; set LOKI_API_TOKEN to the server's token"
    return text


def show(given: argparse.Namespace, answer: msgspec.Struct, text: str) -> int:
    """Print an answer, as JSON if that is asked for; gives the exit code 0."""
    print(msgspec.json.encode(answer).decode() if given.json else text, flush=True)
    return 0


def palette() -> Palette:
    """The colours for what is printed."""
    return palette_for(sys.stdout, os.environ)


def complain(text: str, exit_code: int) -> int:
    """Print what is wrong as one line on stderr; gives the exit code."""
    print(f"lokictl: {text}", file=sys.stderr)
    return exit_code


def _unheard() -> int:
    """End because nobody reads what is printed any more, as with ``| head``."""
    # What is still buffered for it would raise again at the interpreter's end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return UNHEARD_EXIT
