"""Whether a server is there, while a stream waits for it to come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from loki_twisted.client import LokiClient
from loki_twisted.model.errors import LokiError

LOOK_SECONDS: Final = 2.0
"""How often it is looked."""


class Presence:
    """
    Looks again and again whether a server answers.

    A stream goes on by itself where it was cut off. That it waits is for people to know.

    :ivar is_away: Whether it did not answer the last time.

    :param changed: Called when that has changed.
    """

    def __init__(
        self, client: LokiClient, changed: Callable[[bool], object], reactor: Any = None
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self.is_away = False
        self._client = client
        self._changed = changed
        self._looking = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._looking.clock = reactor

    def __enter__(self) -> Presence:
        self._looking.start(LOOK_SECONDS, now=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._looking.stop()

    async def _look(self) -> None:
        was_away, self.is_away = self.is_away, not await self._answers()
        if self.is_away != was_away:
            self._changed(self.is_away)

    async def _answers(self) -> bool:
        try:
            await self._client.live()
        except LokiError:
            return False
        return True
