"""
Where the consumer of an event stream is in the server's log.

Events lead to their own place, wherever that is. What a stream says of a place besides (a frame of
an ``id`` alone, or its parting) is that there is nothing before it that the consumer
wants and has not got. So that leads on, but never back before an event that the
consumer has: it would come again.
"""

from __future__ import annotations

import attrs

from loki_twisted.client.frames import Meaning, StreamBye, StreamReset
from loki_twisted.model.events import Event
from loki_twisted.model.identifiers import EARLIEST, ORIGIN, maybe_event_id


@attrs.frozen
class Place:
    """
    What to go on after.

    :ivar after: An event id, ``EARLIEST``, ``ORIGIN``, or None while it is not known.
    :ivar is_reached: Whether the consumer has the event of that id, or one before it, and must not
        be led back; else the place may change in both directions.
    :ivar last_id: The last id of the stream that was heeded: frames without an ``id`` repeat it.
    """

    after: str | None
    is_reached: bool = False
    last_id: str = ""

    def led_to(self, after: str | None) -> Place:
        """Give the place after what the stream says that there is nothing before."""
        number = _number(after)
        if number is None or (self.is_reached and number < (_number(self.after) or 0)):
            return self
        return attrs.evolve(self, after=after)

    def heard(self, last_id: str) -> Place:
        """
        Give the place that follows from the last id of the stream.

        :param last_id: Empty if there is none.
        """
        if last_id == self.last_id:
            return self
        return attrs.evolve(self.led_to(last_id), last_id=last_id)

    def follow(self, meaning: Meaning, last_id: str) -> Place:
        """
        Give the place of a consumer that takes a frame.

        :param last_id: The last id of the stream up to this frame.
        """
        if isinstance(meaning, Event) and meaning.id == last_id:
            return Place(last_id, is_reached=True, last_id=last_id)
        place = self
        if isinstance(meaning, StreamReset) and meaning.asked is not None:
            # The log may be another one, where numbers mean something else.
            place = attrs.evolve(self, is_reached=False, last_id="")
        place = place.heard(last_id)
        return place.led_to(meaning.last_event_id) if isinstance(meaning, StreamBye) else place


def place_of(after: str | None) -> Place:
    """Begin where the consumer says that it is: after an event that it has, or anywhere else."""
    return Place(after, is_reached=bool(_number(after)))


def _number(after: str | None) -> int | None:
    """The number of the event that a place is behind; None if it is no place."""
    if after in (EARLIEST, ORIGIN):
        return 0
    named = maybe_event_id(after or "")
    return named[0] if named else None
