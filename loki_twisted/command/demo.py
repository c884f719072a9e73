"""
``lokictl demo``: a server, an agent that plays, and its events, in one program.

Everything is real but the agent: the server listens on loopback and writes its log, the agent is
a process under its keeper, and what is printed comes through the client.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import attrs
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    TimeoutError,  # noqa: A004  # Twisted's own, which the builtin does not catch
    gatherResults,
    maybeDeferred,
)
from twisted.internet.task import deferLater
from twisted.logger import LogLevel

from loki_twisted.client import ClientError, EventStream, LokiClient, ServerUnreachable
from loki_twisted.command.calling import palette
from loki_twisted.command.exits import Exit
from loki_twisted.command.formatting import plain
from loki_twisted.command.keyboard import maybe_keyboard
from loki_twisted.command.logs import begin_logging
from loki_twisted.command.running import run
from loki_twisted.command.serve import CANNOT_START_EXIT, NOT_STARTED, reason_not_started
from loki_twisted.command.streams import discard_output
from loki_twisted.command.verbs_watching import ENDS, exit_code_of, show_event
from loki_twisted.model.events import Event
from loki_twisted.model.filters import EventFilter
from loki_twisted.settings import Settings

PATIENCE_SECONDS: Final = 3.0
"""How long the keyboard has to answer before the demo answers itself, at normal speed."""

STOP_SECONDS: Final = 15.0
"""How long the session may take to end after Ctrl-C."""

_SPEED: Final = "LOKI_DEMO_SPEED"

ReadLine = Callable[[], Deferred[str]]


def demo(given: argparse.Namespace) -> int:
    """Show it; see :mod:`loki_twisted.command.demo`."""
    if given.speed is not None:
        os.environ[_SPEED] = f"{given.speed:g}"  # the agent inherits it
    else:
        given.speed = _speed_of(os.environ.get(_SPEED))
    begin_logging(sys.stderr, LogLevel.warn)
    try:
        with _directory(given.data_dir) as directory:
            return run(lambda reactor: _main(reactor, given, directory), tells_signal=True)
    except OSError as error:
        print(f"lokictl demo: {reason_not_started(error)}", file=sys.stderr)
        return CANNOT_START_EXIT


def _speed_of(text: str | None) -> float:
    """Read the variable as the agent does, which refuses what is no speed by itself."""
    try:
        return float(text or 1) or 1.0
    except ValueError:
        return 1.0


def _directory(wanted: str | None) -> Any:
    if wanted is None:
        return TemporaryDirectory(prefix="loki-demo-", ignore_cleanup_errors=True)
    Path(wanted).mkdir(parents=True, exist_ok=True)
    return _Given(os.path.abspath(wanted))


@attrs.frozen
class _Given:
    """A directory that stays."""

    path: str

    def __enter__(self) -> str:
        return self.path

    def __exit__(self, *_: object) -> None:
        return None


async def _main(reactor: Any, given: argparse.Namespace, directory: str) -> int:
    settings = Settings(loki_dir=directory, host="127.0.0.1", port=given.port)
    try:
        async with _server(reactor, settings) as address:
            client = LokiClient(address, reactor=reactor)
            try:
                show = _Show(reactor, client, address, given)
                return await show.play(is_all=given.once)
            finally:
                await client.close()
    except (*NOT_STARTED, ClientError, ServerUnreachable) as error:
        print(f"lokictl demo: {reason_not_started(error)}", file=sys.stderr)
        return CANNOT_START_EXIT


@asynccontextmanager
async def _server(reactor: Any, settings: Settings) -> AsyncIterator[str]:
    """Serve; gives the address."""
    # Late, because it installs the reactor.
    from loki_twisted.service import Service

    service = Service(settings, reactor)
    service.startService()
    try:
        yield (await service.ready)[0]
    finally:
        await maybeDeferred(service.stopService)


@attrs.define
class _Show:
    """
    One run of the demo.

    :ivar given: The arguments.
    :ivar answering: The answer that is being given, or None.
    """

    reactor: Any
    client: LokiClient
    address: str
    given: argparse.Namespace
    answering: Deferred[None] | None = None

    async def play(self, *, is_all: bool) -> int:
        """
        Start the session and show it to its end.

        :param is_all: Whether that is all; else the server stays until this is cancelled.
        :returns: The exit code that fits the end of the session.
        """
        end: Event | None = None
        try:
            self._say(f"The page and the API are at {self.address}, in another terminal try:")
            self._say(f"  curl -N '{self.address}/api/events?history=10'")
            self._say(f"  lokictl --url {self.address} top\n")
            end = await self._run_session()
            if not is_all:
                self._say("\nThe server stays until you press Ctrl-C.")
                await Deferred[None]()
        except CancelledError:
            await self._stop_everything()
            if end is None:
                raise
        except BrokenPipeError:
            discard_output()
            await self._stop_everything()
            return Exit.UNHEARD
        return exit_code_of(end)

    def _say(self, text: str) -> None:
        """Print what is no event; not among those that a program reads."""
        print(text, file=sys.stderr if self.given.json else sys.stdout, flush=True)

    async def _run_session(self) -> Event:
        order = await self.client.start_session(provider="demo")
        wanted = EventFilter(order.session_id)
        async with self.client.events(wanted, after="earliest") as stream:
            try:
                return await self._show(order.session_id, stream)
            finally:
                self._answered()

    async def _show(self, session_id: str, stream: EventStream) -> Event:
        """Print events to the end of the session, and answer questions on the way."""
        while True:
            event = await anext(stream)
            if event.type == "heartbeat":
                continue
            show_event(self.given, event)
            if event.type == "input:requested":
                self._answered()
                self.answering = Deferred.fromCoroutine(self._answer(session_id, event))
            elif event.type in ENDS:
                return event

    async def _answer(self, session_id: str, question: Event) -> None:
        """Answer from the keyboard, or when that is silent, by ourselves."""
        own = own_answer(question)
        keyboard = maybe_keyboard(self.reactor)
        try:
            if keyboard is None:
                await deferLater(self.reactor, self.patience)
                answer = own
            else:
                self._say(f"> type an answer, or wait: {own}")
                answer = await _in_time(self.reactor, keyboard, self.patience) or own
            self._say(palette().paint("magenta", f"> {plain(answer)}"))
            await self.client.give_input(session_id, answer)
        except (BrokenPipeError, CancelledError):
            return  # who shows the events is told so too; answered otherwise, or at the end
        except (ClientError, ServerUnreachable) as error:
            print(f"lokictl demo: {plain(error)}", file=sys.stderr)

    @property
    def patience(self) -> float:
        """How long the keyboard has to answer, in seconds."""
        return float(PATIENCE_SECONDS / self.given.speed)

    def _answered(self) -> None:
        if self.answering is not None:
            self.answering.cancel()

    async def _stop_everything(self) -> None:
        """Stop every session: agents outlive their server, but not this one and its directory."""
        sessions = (await self.client.list_sessions()).sessions
        stopping = [self._stop(each.id) for each in sessions if not each.status.is_final]
        stopped = gatherResults([Deferred.fromCoroutine(each) for each in stopping])
        try:
            await stopped.addTimeout(STOP_SECONDS, self.reactor)
        except TimeoutError:
            print("lokictl demo: a session has not ended in time", file=sys.stderr)

    async def _stop(self, session_id: str) -> None:
        """Stop a session, and show how it ends."""
        self._say(f"\nStopping {session_id}")
        ends = EventFilter.of(session_id, ENDS)
        async with self.client.events(ends, after="earliest") as stream:
            try:
                await self.client.stop_session(session_id)
            except ClientError as error:
                print(f"lokictl demo: {plain(error)}", file=sys.stderr)
                return
            show_event(self.given, await anext(stream))


def own_answer(question: Event) -> str:
    """Choose an answer: not the default where there is another, to show that it counts."""
    options = question.data.get("options")
    choices = [str(option) for option in options] if isinstance(options, list) else []
    default = str(question.data.get("default"))
    other = next((choice for choice in choices if choice != default), None)
    return other or next(iter(choices), None) or "yes"


async def _in_time(reactor: Any, read_line: ReadLine, seconds: float) -> str | None:
    """Read a line, or None if there is none in time or an empty one."""
    line = read_line()
    line.addTimeout(seconds, reactor)
    try:
        return (await line).strip() or None
    except TimeoutError:
        return None
