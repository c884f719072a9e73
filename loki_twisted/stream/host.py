"""What a subscriber needs of the hub that it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from loki_twisted.log.interface import IEventLog, Page
from loki_twisted.stream.patience import Patience
from loki_twisted.stream.times import Times

if TYPE_CHECKING:
    from loki_twisted.stream.subscriber import Subscriber


class Host(Protocol):
    """
    What a subscriber needs of its hub.

    :ivar position: Number of the last event that was published.
    :ivar times: Of the events of the log.
    :ivar piece_bytes: How much is written at a time.
    """

    log: IEventLog
    position: int
    times: Times
    piece_bytes: int
    patience: Patience

    @property
    def closing(self) -> bool:
        """Whether those who have all shall be told that the stream ends."""

    def recent(self, after: int) -> Page | None:
        """What follows a number, if it is in memory."""

    def farewell(self) -> bytes:
        """What to say when the stream ends."""

    def forget(self, subscriber: Subscriber) -> None:
        """The subscriber is gone."""
