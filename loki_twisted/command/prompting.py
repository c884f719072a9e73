"""A line to type on, below what is printed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.formatted_text import FormattedText
from twisted.internet.defer import CancelledError, Deferred

_T = TypeVar("_T")


def prepare() -> None:
    """Install the reactor that it needs. To be called before any other is there."""
    from twisted.internet import asyncioreactor

    asyncioreactor.install(asyncio.new_event_loop())


class Interrupted(Exception):
    """Ctrl-C was pressed. No KeyboardInterrupt, which would end the reactor where it stands."""


class TypedLines:
    """
    Lines that are typed, one after the other, while others are printed above.

    :param invitation: What stands before the cursor, asked for anew each time.
    :param footing: What stands below the line, likewise.
    """

    def __init__(self, invitation: Callable[[], str], footing: Callable[[], str]) -> None:
        self._session: PromptSession[str] = PromptSession(
            lambda: FormattedText([("bold", invitation())]),
            bottom_toolbar=lambda: FormattedText([("", footing())]),
            enable_suspend=True,
            interrupt_exception=Interrupted,
        )
        # Terminals that do not tell where the cursor is are no matter for a warning.
        self._session.app.renderer.cpr_not_supported_callback = None
        self._unprinted: list[str] = []
        self._printing: asyncio.Future[None] | None = None

    async def line(self) -> str:
        """
        Wait for the next line.

        :raises EOFError: for Ctrl-D.
        :raises Interrupted: for Ctrl-C.
        """
        typing = self._session.prompt_async(set_exception_handler=False, handle_sigint=False)
        return await _done(asyncio.ensure_future(typing))

    def show(self, *lines: str) -> None:
        """Print lines above."""
        self._unprinted.extend(lines)
        if lines and (self._printing is None or self._printing.done()):
            self._printing = asyncio.ensure_future(self._print())

    def refresh(self) -> None:
        """Look anew at what stands before the cursor and below the line."""
        self._session.app.invalidate()

    async def end(self) -> None:
        """Wait until all is printed."""
        if self._printing is not None:
            await _done(self._printing)

    async def _print(self) -> None:
        while self._unprinted:
            # All at once: the line that is typed on is wiped away and drawn again for it.
            await run_in_terminal(self._flush)

    def _flush(self) -> None:
        lines, self._unprinted = self._unprinted, []
        print("\n".join(lines), flush=True)


async def _done(future: asyncio.Future[_T]) -> _T:
    """Wait for a future of asyncio; one that is cancelled is waited for all the same."""
    try:
        return await Deferred.fromFuture(future)
    except asyncio.CancelledError:
        raise CancelledError from None
