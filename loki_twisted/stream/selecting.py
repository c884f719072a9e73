"""What one subscriber is sent of blocks that were read for it."""

from __future__ import annotations

from collections.abc import Sequence

from loki_twisted.model.blocks import Block
from loki_twisted.model.filters import EventFilter
from loki_twisted.stream.sse import HISTORY_END


def selected(
    blocks: Sequence[Block], wanted: EventFilter, after: int, history_end: int | None = None
) -> bytes:
    """
    Join what is wanted of blocks.

    :param after: Only events behind this number.
    :param history_end: Number of the last event of the history that ends in or before these blocks,
        to be followed by the comment that says so; None if none does.
    """
    if history_end is None:
        return b"".join([block.select(wanted, after) for block in blocks])
    # A block may lie on both sides: neighbours are joined when they are read.
    past = [block.until(history_end + 1) for block in blocks if block.first_seq <= history_end]
    return b"".join(
        [
            *(block.select(wanted, after) for block in past),
            HISTORY_END,
            *(block.select(wanted, max(after, history_end)) for block in blocks),
        ]
    )
