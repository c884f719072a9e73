"""
The newest blocks, kept in memory for all subscribers together.

A subscriber that is only a little behind, because its transport was full for a
moment or because events were committed while it read, goes on from here
and needs no read. Without it, a log that is written to more often than it can be read
would never let a reader catch up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from loki_twisted.log.interface import Page
from loki_twisted.model.blocks import Block

PAGE_BYTES: Final = 256 * 1024
"""How much is read from the log at a time, in bytes; a page may exceed it by one block."""

PIECE_BYTES: Final = 160 * 1024
"""
How much is written at a time, in bytes; a single event may exceed it.

A transport of Twisted's that has 64 KiB to send is full, and is given no more. So with one piece
on top of that it never holds 256 KiB for a client that takes nothing.
"""


class Tail:
    """
    A window on the end of the log.

    :param max_bytes: The most that it keeps; 0 to keep nothing.
    :ivar newest: The newest block, kept whatever its size; None before the first.
    """

    __slots__ = ("_blocks", "_held", "_max_bytes", "newest")

    def __init__(self, max_bytes: int) -> None:
        self.newest: Block | None = None
        self._max_bytes = max_bytes
        self._blocks: deque[Block] = deque()
        self._held = 0

    def add(self, block: Block) -> None:
        """Add the block that follows the newest."""
        self.newest = block
        self._blocks.append(block)
        self._held += len(block.body)
        while self._held > self._max_bytes:
            self._held -= len(self._blocks.popleft().body)

    def page(self, after: int, max_bytes: int) -> Page | None:
        """
        Give what follows a number, as a read of the log would.

        :param max_bytes: It has no more, unless it is a single event.
        :returns: None if the window does not reach back so far, or there is nothing.
        """
        blocks: list[Block] = []
        for block in reversed(self._blocks):
            if block.last_seq <= after:
                break
            blocks.append(block)
        if not blocks or blocks[-1].first_seq > after + 1:
            return None
        cut = pieces(reversed(blocks), max_bytes)
        first = next(piece for piece in cut if piece[-1].last_seq > after)
        return Page(first, first[-1].last_seq)


def pieces(blocks: Iterable[Block], max_bytes: int) -> Iterator[Sequence[Block]]:
    """
    Cut a row of blocks into shorter ones, and blocks where they are too long themselves.

    :param max_bytes: No piece has more, unless it is a single event.
    """
    piece: list[Block] = []
    held = 0
    for block in chain.from_iterable(each.cut(max_bytes) for each in blocks):
        held += len(block.body)
        if piece and held > max_bytes:
            yield piece
            piece, held = [], len(block.body)
        piece.append(block)
    if piece:
        yield piece
