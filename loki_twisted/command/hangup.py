"""
SIGHUP, which means two things: to take up what has changed, and that the terminal is gone.

Service managers and people send it to a server that shall read its files again. The kernel sends
it to the programs of a terminal that was closed. Which of the two it was is seen by the
terminal, a moment later: the kernel sends the signal first, and takes the terminal away then.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any, Final

import attrs

_MOMENT: Final = 0.2
_TERMINAL: Final = "/dev/tty"


def has_terminal() -> bool:
    """Whether this process belongs to a terminal that is there."""
    try:
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _ignore() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@attrs.define
class Hangup:
    """
    Takes SIGHUP.

    :ivar reload: Called in the reactor's thread for a signal that did not come of a terminal's
        end. That one becomes SIGTERM.
    """

    reactor: Any
    reload: Callable[[], None]
    _has_terminal: bool = attrs.field(init=False, factory=has_terminal)

    def take(self) -> None:
        """Take it from now on, unless it was to be ignored (nohup)."""
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._signalled)
            # Python gives it back its usual meaning while it ends: a server that has ended in
            # order would have been killed.
            self.reactor.addSystemEventTrigger("after", "shutdown", _ignore)

    def _signalled(self, *_: object) -> None:
        self.reactor.callFromThread(self.reactor.callLater, _MOMENT, self._decide)

    def _decide(self) -> None:
        if self._has_terminal and not has_terminal():
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            self.reload()
