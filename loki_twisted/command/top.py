"""``lokictl top``: all sessions, live."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
import tty
from collections.abc import Coroutine
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from twisted.internet.defer import Deferred, FirstError, gatherResults

from loki_twisted.client import ClientError, LokiClient, ServerUnreachable
from loki_twisted.client.reconnecting import is_final
from loki_twisted.command.alarm import Alarm
from loki_twisted.command.calling import call, columns, palette
from loki_twisted.command.colours import can_be_steered
from loki_twisted.command.exits import Exit
from loki_twisted.command.formatting import json_line
from loki_twisted.command.keyboard import maybe_keyboard
from loki_twisted.command.overview import Overview, overview
from loki_twisted.command.tables import as_text
from loki_twisted.command.terminal import (
    ENTER_SCREEN,
    LEAVE_SCREEN,
    Terminal,
    terminal_heeded,
    terminal_kept,
)
from loki_twisted.model.filters import EventFilter
from loki_twisted.model.identifiers import ORIGIN

ACTIVE: Final = "queued,starting,running,paused,stopping"
"""The sessions that are shown if not all are wanted."""

LEAST_SECONDS: Final = 0.5
"""It looks no more often than this, however much happens."""

MOST_SESSIONS: Final = 500

_TELLING: Final = ("session:*", "phase:*", "task:*", "input:*", "metrics:*")
_USUAL: Final = (80, 24)


def top(given: argparse.Namespace) -> int:
    """Show it until it is ended, or once."""
    is_live = not given.once and can_be_steered(sys.stdout, os.environ)

    if is_live and not given.json:
        return _show_screen(given)

    async def talk(client: LokiClient) -> int:
        await client.live()
        if given.json and not given.once:
            return await _lines(client, given)
        _print(given, await _take(client, given))
        return Exit.DONE

    return call(given, talk)


def _show_screen(given: argparse.Namespace) -> int:
    """Show it on a screen of its own, which is gone afterwards."""
    descriptor = sys.stdin.fileno()
    with terminal_kept(descriptor, ENTER_SCREEN, LEAVE_SCREEN) as terminal:

        async def talk(client: LokiClient) -> int:
            await client.live()
            return await _screen(client, given, terminal)

        if sys.stdin.isatty():
            tty.setcbreak(descriptor)
        return call(given, talk, terminal)


async def _take(client: LokiClient, given: argparse.Namespace) -> Overview:
    """Look at the server."""
    status = None if given.all else ACTIVE
    # First, so that whatever happens behind the newest event makes us look again.
    stream = await client.event_stats()
    looking: list[Deferred[Any]] = [
        client.list_sessions(status=status, limit=MOST_SESSIONS),
        client.status(),
        client.open_inputs(),
    ]
    try:
        sessions, server, asked = await gatherResults(looking, consumeErrors=True)
    except FirstError as first:
        first.subFailure.raiseException()
    return Overview(
        at_ms=time.time_ns() // 1_000_000,
        sessions=sessions.sessions,
        total=sessions.total,
        server=server,
        stream=stream,
        open_inputs=asked.count,
    )


def _print(given: argparse.Namespace, taken: Overview) -> None:
    if given.json:
        print(json_line(taken), flush=True)
    else:
        room = columns()
        print(as_text(overview(taken, given.url, taken.at_ms, room, None), palette(), room))


async def _lines(client: LokiClient, given: argparse.Namespace) -> int:
    """Print a line of JSON whenever it looks; gaps where the server is away."""
    async with _Watch(client, given) as watch:
        while True:
            taken = await watch.look()
            if taken is not None:
                _print(given, taken)
            await watch.wait()


async def _screen(client: LokiClient, given: argparse.Namespace, terminal: Terminal) -> int:
    console = Console(highlight=False, markup=False, emoji=False)
    taken: Overview | None = None
    async with _Watch(client, given) as watch:
        # Without a thread of its own: we have a reactor.
        with (
            Live(console=console, screen=True, auto_refresh=False) as live,
            terminal_heeded(terminal, watch.hurry),
        ):
            while not watch.is_left:
                newest = await watch.look()
                taken = newest or taken
                if taken is not None:
                    size = shutil.get_terminal_size(_USUAL)
                    now_ms = time.time_ns() // 1_000_000
                    shown = overview(
                        taken, given.url, now_ms, size.columns, size.lines, is_old=newest is None
                    )
                    live.update(shown, refresh=True)
                await watch.wait()
    return Exit.DONE


class _Watch:
    """
    Knows when it is time to look again: something happened, a while has passed, a key was pressed.

    :ivar is_left: Whether ``q`` was pressed.
    """

    def __init__(self, client: LokiClient, given: argparse.Namespace) -> None:
        from twisted.internet import reactor

        self.is_left = False
        self._is_listening = False
        self._reactor: Any = reactor
        self._client = client
        self._given = given
        self._alarm = Alarm(reactor, LEAST_SECONDS)
        self._keyboard = maybe_keyboard(reactor)
        self._watching: list[Deferred[Any]] = []

    async def __aenter__(self) -> _Watch:
        if self._keyboard is not None:
            self._begin(self._type())
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in self._watching:
            each.cancel()
        self._alarm.stop()

    async def look(self) -> Overview | None:
        """Look at the server; None if it is away."""
        try:
            taken = await _take(self._client, self._given)
        except (ClientError, ServerUnreachable) as error:
            if is_final(error):
                raise
            return None
        if not self._is_listening:
            self._is_listening = True
            self._begin(self._listen(taken.stream.newest_event_id or ORIGIN))
        return taken

    async def wait(self) -> None:
        """Wait until it is time to look again."""
        if not self.is_left:
            await self._alarm.wait(self._given.interval)

    def hurry(self) -> None:
        """Look again at once. May be called by a signal's handler."""
        self._reactor.callFromThread(self._alarm.ring, is_urgent=True)

    def _begin(self, watching: Coroutine[Any, Any, None]) -> None:
        begun = Deferred.fromCoroutine(watching)
        begun.addErrback(lambda _: None)  # what is not heard of is looked at all the same
        self._watching.append(begun)

    async def _listen(self, after: str) -> None:
        wanted = EventFilter.of(None, _TELLING)
        async for _ in self._client.events(wanted, after, on_reset=lambda _: None):
            self._alarm.ring()

    async def _type(self) -> None:
        while self._keyboard is not None:
            keys = await self._keyboard()
            self.is_left = "q" in keys.lower()
            self._alarm.ring(is_urgent=True)
