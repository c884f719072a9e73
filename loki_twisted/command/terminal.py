"""The terminal of this process: left as it was found, however a program ends or is halted."""

from __future__ import annotations

import os
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import attrs

from loki_twisted.command.colours import can_be_steered

SHOW_CURSOR: Final = "\x1b[?25h"
ENTER_SCREEN: Final = "\x1b[?1049h\x1b[?25l"
LEAVE_SCREEN: Final = "\x1b[?1049l" + SHOW_CURSOR


@attrs.frozen
class Terminal:
    """
    A terminal as it was found.

    :ivar descriptor: Of what is typed.
    :ivar settings: As ``termios`` has them; None if it is no terminal.
    :ivar entering: What is to be written to it where a program begins to draw, ...
    :ivar leaving: ... and where it does so no more.
    """

    descriptor: int
    settings: list[Any] | None
    entering: str = ""
    leaving: str = ""

    def give_back(self) -> None:
        """Leave it as it was found. May be called by a signal's handler, and be repeated."""
        if self.settings is not None:
            termios.tcsetattr(self.descriptor, termios.TCSANOW, self.settings)
        _draw(self.leaving)

    def halt(self) -> None:
        """Halt this process as Ctrl-Z does, and give the terminal back meanwhile."""
        taken = settings_of(self.descriptor)
        self.give_back()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        # From here on it goes on again.
        signal.signal(signal.SIGTSTP, handler)
        if taken is not None:
            termios.tcsetattr(self.descriptor, termios.TCSANOW, taken)
        _draw(self.entering)


def settings_of(descriptor: int) -> list[Any] | None:
    """Read a terminal's settings; None if it is none."""
    try:
        return termios.tcgetattr(descriptor)
    except termios.error:
        return None


def _draw(text: str) -> None:
    """Write at once what steers a terminal, where it can be steered."""
    if text and can_be_steered(sys.stdout, os.environ):
        os.write(sys.stdout.fileno(), text.encode())


@contextmanager
def terminal_kept(descriptor: int, entering: str = "", leaving: str = "") -> Iterator[Terminal]:
    """
    Leave the terminal as it was found, whatever happens in between.

    :returns: What to give it back by if there is no time for the end of this.
    """
    found = Terminal(descriptor, settings_of(descriptor), entering, leaving)
    try:
        yield found
    finally:
        if found.settings is not None:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, found.settings)


@contextmanager
def terminal_heeded(terminal: Terminal, changed: Callable[[], object]) -> Iterator[None]:
    """
    Meanwhile give the terminal back where this process is halted, and tell what happens to it.

    :param changed: Called by the handlers of signals when it has another size, or is to be drawn
        on again.
    """

    def signalled(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTSTP:
            terminal.halt()
        changed()

    numbers = (signal.SIGTSTP, signal.SIGWINCH)
    before = [signal.signal(number, signalled) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
