"""Events as long lists of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.interfaces import IReactorTime

from loki_twisted.stream.patience import PATIENCE, Patience
from loki_twisted.web.answers import JSON, Headers
from loki_twisted.web.event_pages import EventPages, Overtaken
from loki_twisted.web.long_answers import CutShort, LongAnswers

MOST_LISTS: Final = 64
"""So many are sent at once."""


class EventLists(LongAnswers):
    """All lists under way. Parameters are those of :class:`LongAnswers`."""

    def __init__(
        self,
        clock: IReactorTime,
        most: int = MOST_LISTS,
        patience: Patience = PATIENCE,
    ) -> None:
        super().__init__(clock, most, "long lists of events are being sent", patience)


class EventListBody:
    """
    An ``EventHistory`` of many events, as JSON.

    :param pages: Where its events come from.
    :param begun: Those that were read already: one at least.
    """

    headers: Headers = ((b"Content-Type", JSON),)
    is_live = False

    def __init__(self, pages: EventPages, begun: Sequence[bytes]) -> None:
        self.is_over = False
        self._pages = pages
        self._events = begun
        self._before = b'{"events":['

    async def some(self) -> bytes:
        """
        Read on.

        :raises CutShort: if the list would have a gap.
        :raises LokiError: if the log cannot be read.
        """
        events, self._events = self._events, ()
        if not events:
            events = await self._more()
        piece = self._before + b",".join(events) if events else b""
        self._before = b"," if events else self._before
        self.is_over = self._pages.is_over
        if self.is_over:
            piece += b'],"count":%d,"completeFrom":%d}' % (
                self._pages.count,
                self._pages.complete_from,
            )
        return piece

    async def _more(self) -> Sequence[bytes]:
        try:
            return await self._pages.some()
        except Overtaken as overtaken:
            msg = "the next events were dropped before it came to them"
            raise CutShort(msg) from overtaken

    def close(self) -> None:
        """Nothing is held."""
        self._events = ()
