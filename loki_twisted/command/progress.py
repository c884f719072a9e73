"""Saying that something takes long, while it does."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from loki_twisted.command.colours import can_be_steered
from loki_twisted.command.formatting import duration, plain

LONG_SECONDS: Final = 0.5
"""What takes no longer is not worth a word."""

ASKING: Final = "Asking the server"
"""What takes long where a server is slow to answer."""

_TURN_SECONDS: Final = 0.1
_T = TypeVar("_T")


async def progress(
    text: str,
    awaited: Awaitable[_T],
    reactor: Any = None,
    *,
    told: Callable[[], str] | None = None,
) -> _T:
    """
    Wait for something; where it takes long, say so on stderr, and wipe that away afterwards.

    :param text: What is being done.
    :param told: Says how far it has come.
    :param reactor: The global one if None.
    """
    if not can_be_steered(sys.stderr, os.environ):
        return await awaited
    if reactor is None:
        from twisted.internet import reactor
    waiting = Deferred.fromCoroutine(_awaiting(awaited))
    sign = _Sign(reactor, text, told)
    begin = reactor.callLater(LONG_SECONDS, sign.begin)
    try:
        return await waiting
    finally:
        if begin.active():
            begin.cancel()
        sign.end()


async def _awaiting(awaited: Awaitable[_T]) -> _T:
    return await awaited


class _Sign:
    """What is shown meanwhile."""

    def __init__(self, reactor: Any, text: str, told: Callable[[], str] | None) -> None:
        self._reactor = reactor
        self._text = plain(text)
        self._told = told
        self._spinner = Spinner("dots", Text(self._text))
        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        # Without a thread of its own: we have a reactor.
        self._live = Live(self._spinner, console=console, auto_refresh=False, transient=True)
        self._turning = LoopingCall(self._turn)
        self._turning.clock = reactor
        self._begun = 0.0

    def begin(self) -> None:
        self._begun = self._reactor.seconds()
        self._live.start()
        self._turning.start(_TURN_SECONDS)

    def end(self) -> None:
        if self._turning.running:
            self._turning.stop()
            self._live.stop()

    def _turn(self) -> None:
        passed = duration(round((self._reactor.seconds() - self._begun + LONG_SECONDS) * 1000))
        told = f": {plain(self._told())}" if self._told is not None else ""
        self._spinner.update(text=Text(f"{self._text}{told} ({passed})"))
        self._live.refresh()
