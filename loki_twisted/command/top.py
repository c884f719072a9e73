"""``lokictl top``: all sessions, live."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
import tty
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.live import Live
from twisted.internet.defer import Deferred, FirstError, gatherResults

from loki_twisted.client import ClientError, LokiClient, ServerUnreachable
from loki_twisted.client.reconnecting import is_final
from loki_twisted.command.alarm import Alarm
from loki_twisted.command.calling import call, columns, palette
from loki_twisted.command.colours import can_be_steered
from loki_twisted.command.exits import Exit
from loki_twisted.command.keyboard import maybe_keyboard, terminal_kept
from loki_twisted.command.overview import Overview, overview
from loki_twisted.command.tables import as_text
from loki_twisted.model.filters import EventFilter

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

    async def talk(client: LokiClient) -> int:
        await client.live()
        if given.json and not given.once:
            return await _lines(client, given)
        if given.json or not is_live:
            _print(given, await _take(client, given))
            return Exit.DONE
        return await _screen(client, given)

    if not is_live or given.json or not sys.stdin.isatty():
        return call(given, talk)
    with terminal_kept(sys.stdin.fileno()):
        tty.setcbreak(sys.stdin.fileno())
        return call(given, talk)


async def _take(client: LokiClient, given: argparse.Namespace) -> Overview:
    """Look at the server."""
    status = None if given.all else ACTIVE
    looking: list[Deferred[Any]] = [
        client.list_sessions(status=status, limit=MOST_SESSIONS),
        client.status(),
        client.event_stats(),
        client.open_inputs(),
    ]
    try:
        sessions, server, stream, asked = await gatherResults(looking, consumeErrors=True)
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
        print(msgspec.json.encode(taken).decode(), flush=True)
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


async def _screen(client: LokiClient, given: argparse.Namespace) -> int:
    """Show it on a screen of its own, which is gone afterwards."""
    console = Console(highlight=False, markup=False, emoji=False)
    taken: Overview | None = None
    async with _Watch(client, given) as watch:
        # Without a thread of its own: we have a reactor.
        with Live(console=console, screen=True, auto_refresh=False) as live:
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
        self._client = client
        self._given = given
        self._alarm = Alarm(reactor, LEAST_SECONDS)
        self._keyboard = maybe_keyboard(reactor)
        self._watching: list[Deferred[Any]] = []

    async def __aenter__(self) -> _Watch:
        watching = [self._listen()] if self._keyboard is None else [self._listen(), self._type()]
        self._watching = [Deferred.fromCoroutine(each) for each in watching]
        for each in self._watching:
            each.addErrback(lambda _: None)  # what fails to be heard is looked at all the same
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in self._watching:
            each.cancel()
        self._alarm.stop()

    async def look(self) -> Overview | None:
        """Look at the server; None if it is away."""
        try:
            return await _take(self._client, self._given)
        except (ClientError, ServerUnreachable) as error:
            if is_final(error):
                raise
            return None

    async def wait(self) -> None:
        """Wait until it is time to look again."""
        if not self.is_left:
            await self._alarm.wait(self._given.interval)

    async def _listen(self) -> None:
        async for _ in self._client.events(EventFilter.of(None, _TELLING)):
            self._alarm.ring()

    async def _type(self) -> None:
        while self._keyboard is not None:
            keys = await self._keyboard()
            self.is_left = "q" in keys.lower()
            self._alarm.ring(is_urgent=True)
