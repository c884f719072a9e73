"""Waking up when something happens, but not too often, and after a while in any case."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Alarm:
    """
    Wakes one who waits.

    :param least_seconds: How long he sleeps at least, from the beginning of his last sleep.
    """

    def __init__(self, reactor: IReactorTime, least_seconds: float) -> None:
        self._reactor = reactor
        self._least_seconds = least_seconds
        self._earliest = 0.0
        self._has_rung = False
        self._sleep: Deferred[None] | None = None
        self._waking: IDelayedCall | None = None

    def wait(self, most_seconds: float) -> Deferred[None]:
        """Sleep until it rings, or for so long; what has rung since the last time counts."""
        now = self._reactor.seconds()
        self._earliest = now + self._least_seconds
        seconds = self._least_seconds if self._has_rung else most_seconds
        self._has_rung = False
        sleep = self._sleep = Deferred(lambda _: self.stop())
        self._waking = self._reactor.callLater(seconds, self._wake)
        return sleep

    def ring(self, *, is_urgent: bool = False) -> None:
        """Something has happened."""
        if self._sleep is None or self._waking is None:
            self._has_rung = True
            return
        now = self._reactor.seconds()
        at = now if is_urgent else max(now, self._earliest)
        if at < self._waking.getTime():
            self._waking.reset(at - now)

    def stop(self) -> None:
        """Wake nobody any more."""
        self._sleep = None
        if self._waking is not None and self._waking.active():
            self._waking.cancel()

    def _wake(self) -> None:
        sleep, self._sleep = self._sleep, None
        if sleep is not None:
            sleep.callback(None)
