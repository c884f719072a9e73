"""
Blocks: the unit in which events are stored, cached and sent.

A block is some events of one session that entered the log together, each
encoded once. A reader that wants all of them is given the bytes as they are;
one with a filter is given the slices that it wants; nobody parses JSON again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate

import attrs

from loki_twisted.model.events import (
    KIND_OF_TYPE,
    Event,
    Fact,
    FrameWriter,
    event_from_frame,
)
from loki_twisted.model.filters import EventFilter


@attrs.frozen(slots=False)  # a slot-less class, for the cached property
class Block:
    """
    Consecutive events of one session.

    :ivar first_seq: Number of the first event.
    :ivar session_id: The session of all of them.
    :ivar kinds: A byte for each event: the position of its type in ``EVENT_TYPES``.
    :ivar ends: For each event, where its frame ends in ``body``.
    :ivar body: The frames, one after the other.
    """

    first_seq: int
    session_id: str
    kinds: bytes
    ends: Sequence[int]
    body: bytes

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def last_seq(self) -> int:
        """Number of the last event."""
        return self.first_seq + len(self.kinds) - 1

    @cached_property
    def mask(self) -> int:
        """One bit for each kind that occurs."""
        mask = 0
        for kind in set(self.kinds):
            mask |= 1 << kind
        return mask

    def frame(self, index: int) -> bytes:
        """The frame of the event at a position, from 0."""
        start = self.ends[index - 1] if index else 0
        return self.body[start : self.ends[index]]

    def wanted(self, wanted: EventFilter, after: int = 0) -> Iterator[int]:
        """The positions of events that a filter wants and whose number is above ``after``."""
        if wanted.session_id is not None and wanted.session_id != self.session_id:
            return
        for index in range(max(0, after + 1 - self.first_seq), len(self.kinds)):
            if wanted.mask >> self.kinds[index] & 1:
                yield index

    def select(self, wanted: EventFilter, after: int = 0) -> bytes:
        """
        The frames that a filter wants, as one piece of the stream.

        :param after: Leave out events up to this number.
        :returns: Empty if there are none.
        """
        if wanted.session_id is not None and wanted.session_id != self.session_id:
            return b""
        present = self.mask
        if not present & wanted.mask or after >= self.last_seq:
            return b""
        if not present & ~wanted.mask:
            skipped = max(0, after + 1 - self.first_seq)
            return self.body[self.ends[skipped - 1] :] if skipped else self.body
        return b"".join(self.frame(index) for index in self.wanted(wanted, after))

    def cut(self, max_bytes: int) -> Iterator[Block]:
        """
        Cut it into blocks.

        :param max_bytes: None has more, unless it is a single event.
        """
        if len(self.body) <= max_bytes:
            yield self
            return
        first, start = 0, 0
        while first < len(self):
            behind = max(first + 1, bisect_right(self.ends, start + max_bytes, first))
            end = self.ends[behind - 1]
            yield Block(
                self.first_seq + first,
                self.session_id,
                self.kinds[first:behind],
                [each - start for each in self.ends[first:behind]],
                self.body[start:end],
            )
            first, start = behind, end

    def until(self, before: int) -> Block:
        """
        Cut off the events from a number on.

        :param before: A number behind the first event's.
        """
        count = before - self.first_seq
        if count >= len(self):
            return self
        ends = self.ends[:count]
        return Block(
            self.first_seq, self.session_id, self.kinds[:count], ends, self.body[: ends[-1]]
        )

    def events(self, wanted: EventFilter, after: int = 0) -> Iterator[Event]:
        """Decode the events that a filter wants."""
        return (event_from_frame(self.frame(index)) for index in self.wanted(wanted, after))


def block_of_facts(
    first_seq: int, milliseconds: int, session_id: str, facts: Sequence[Fact]
) -> Block:
    """
    Number and encode facts.

    :param first_seq: The number of the first.
    :param milliseconds: The time of all of them, since the Unix epoch.
    :param facts: At least one.
    """
    frame = FrameWriter(milliseconds, session_id).frame
    frames = [frame(seq, fact) for seq, fact in enumerate(facts, first_seq)]
    ends = list(accumulate(map(len, frames)))
    kinds = bytes(KIND_OF_TYPE[fact.type] for fact in facts)
    return Block(first_seq, session_id, kinds, ends, b"".join(frames))
