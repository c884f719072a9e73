"""One call of the reactor that lies ahead, at most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime

RETRY_SECONDS: Final = 1.0
"""After how long what could not be stored is tried again."""


@attrs.define(eq=False)
class Timer:
    """
    Fires once, at the time that it was last set to.

    :ivar fire: Called then. It may set the timer again.
    """

    _reactor: IReactorTime
    _fire: Callable[[], None]
    _call: IDelayedCall | None = attrs.field(default=None, init=False)
    is_closed: bool = attrs.field(default=False, init=False)

    @property
    def is_set(self) -> bool:
        """Whether it will fire."""
        return self._call is not None

    def set(self, seconds: float | None) -> None:
        """
        Set it anew, whatever it was set to. Does nothing once it is closed.

        :param seconds: From now on; None for never.
        """
        self._clear()
        if seconds is not None and not self.is_closed:
            self._call = self._reactor.callLater(max(0.0, seconds), self._fires)

    def close(self) -> None:
        """Never fire again."""
        self.is_closed = True
        self._clear()

    def _clear(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _fires(self) -> None:
        self._call = None
        self._fire()
