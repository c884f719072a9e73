"""Heartbeats: every few seconds, the clients are told which sessions run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from loki_twisted.kernel.repeating import repeating
from loki_twisted.model.events import KIND_OF_TYPE
from loki_twisted.stream.hub import Hub
from loki_twisted.stream.sse import heartbeat

HEARTBEAT_SECONDS: Final = 10.0
"""How often."""

Beats = Callable[[], Iterable[tuple[str, Mapping[str, Any]]]]
"""Gives the id of each running session and its ``uptime``, ``activeAgents`` and ``queuedTasks``."""

_KIND: Final = KIND_OF_TYPE["heartbeat"]

_log = Logger()


class Heartbeats:
    """
    Sends one ``heartbeat`` for each running session to the live subscribers.

    :param reactor: For its clock.
    :param hub: Who listens.
    :param now_ms: Gives the time, in milliseconds since the Unix epoch.
    :param beats: Asked each time, unless nobody listens. What it raises is logged, and
        it is asked again the next time.
    :param every: Seconds between two heartbeats.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        hub: Hub,
        now_ms: Callable[[], int],
        beats: Beats,
        every: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._hub = hub
        self._now_ms = now_ms
        self._beats = beats
        self._every = every
        self._timer = repeating(reactor, self._beat, "The heartbeats could not be told")

    def start(self) -> None:
        """Begin; the first one is due after one period. Do nothing if it has begun."""
        if not self._timer.running:
            self._timer.start(self._every, now=False)

    def stop(self) -> None:
        """End. Do nothing if it has not begun."""
        if self._timer.running:
            self._timer.stop()

    def _beat(self) -> None:
        if not self._hub.subscriber_count:
            return
        now = self._now_ms()
        with _log.failuresHandled("The heartbeats could not be told"):
            for session_id, data in self._beats():
                self._hub.announce(session_id, _KIND, heartbeat(session_id, now, data))
