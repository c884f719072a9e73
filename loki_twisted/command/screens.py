"""Where a conversation with an agent is shown, and typed."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred


class Screen(Protocol):
    """Where lines are shown, and typed."""

    async def line(self) -> str:
        """Wait for the next line that is typed."""

    def show(self, *lines: str) -> None:
        """Print lines."""

    def refresh(self) -> None:
        """Look anew at what stands around the line that is typed."""

    async def end(self) -> None:
        """Wait until all is printed."""


class Printed:
    """Lines that are printed, where none can be typed."""

    async def line(self) -> str:
        """Wait for ever."""
        return await Deferred[str]()

    def show(self, *lines: str) -> None:
        """Print lines."""
        for line in lines:
            print(line, flush=True)

    def refresh(self) -> None:
        """There is nothing around a line."""

    async def end(self) -> None:
        """All is printed."""
