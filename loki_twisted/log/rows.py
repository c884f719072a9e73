"""Blocks as the database keeps them, and back."""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

import attrs
import msgspec

from loki_twisted.log.faults import Damaged
from loki_twisted.model.blocks import Block

BlockRow = tuple[int, int, int, str, int, int, bytes, bytes, bytes]
"""A row of ``blocks``, in the order of its columns."""

MAX_BLOCK_BYTES: Final = 65_536
"""A block that is written has no more than this, unless it is a single event."""


@attrs.frozen(slots=True)
class NewBlock:
    """
    A block that is to be written.

    :ivar row: The same as a row.
    """

    block: Block
    row: BlockRow

    @property
    def at_ms(self) -> int:
        """The time of its events, since the Unix epoch."""
        return self.row[2]


def new_block(block: Block, at_ms: int) -> NewBlock:
    """
    Make the row of a block.

    :param at_ms: The time of its events, since the Unix epoch.
    """
    ends = _little_endian(array("I", block.ends)).tobytes()
    row = (
        block.first_seq,
        block.last_seq,
        at_ms,
        block.session_id,
        block.mask,
        checksum(block.first_seq, block.session_id, block.kinds, ends, block.body),
        block.kinds,
        ends,
        block.body,
    )
    return NewBlock(block, row)


def join_neighbours(blocks: Iterable[NewBlock]) -> list[NewBlock]:
    """
    Join neighbours of the same session and millisecond, so that there are fewer rows to write.

    :param blocks: Ascending and without a gap.
    """
    runs: list[list[NewBlock]] = []
    size = 0
    for new in blocks:
        last = runs[-1][-1] if runs else None
        size += len(new.block.body)
        if (
            last is not None
            and size <= MAX_BLOCK_BYTES
            and (last.at_ms, last.block.session_id) == (new.at_ms, new.block.session_id)
        ):
            runs[-1].append(new)
        else:
            runs.append([new])
            size = len(new.block.body)
    return [
        run[0] if len(run) == 1 else new_block(_join([new.block for new in run]), run[0].at_ms)
        for run in runs
    ]


def _join(blocks: Sequence[Block]) -> Block:
    starts = accumulate((len(block.body) for block in blocks), initial=0)
    return Block(
        blocks[0].first_seq,
        blocks[0].session_id,
        b"".join(block.kinds for block in blocks),
        [
            start + end
            for start, block in zip(starts, blocks, strict=False)  # one start more than blocks
            for end in block.ends
        ],
        b"".join(block.body for block in blocks),
    )


def checksum(first_seq: int, session_id: str, kinds: bytes, ends: bytes, body: bytes) -> int:
    """CRC-32 over all of a block, so that what the disk made of it is never told as history."""
    head = zlib.crc32(kinds + ends + session_id.encode(), first_seq & 0xFFFFFFFF)
    return zlib.crc32(body, head)


class Head(msgspec.Struct, frozen=True, array_like=True):
    """
    What is known of a stored block without its bytes.

    :ivar count: How many events it has.
    :ivar size: Length of its frames in bytes.
    :ivar sum: Its :func:`checksum`.
    """

    first_seq: int
    session_id: str
    count: int
    size: int
    sum: int


heads_from_json: Final = msgspec.json.Decoder(list[Head]).decode


def blocks_from_columns(
    heads: Iterable[Head], kinds: bytes, ends: bytes, body: bytes
) -> Iterator[Block]:
    """
    Take apart what several rows hold, each column in one piece.

    Neighbours of the same session become one block: what reads them has less to do.

    :raises Damaged: if a block is not what was written.
    """
    event = byte = 0
    first_seq, session_id, first_event, first_byte = 0, "", 0, 0
    joined_ends = array("I")
    for head in heads:
        next_event, next_byte = event + head.count, byte + head.size
        own_ends = ends[4 * event : 4 * next_event]
        own_kinds, own_body = kinds[event:next_event], body[byte:next_byte]
        if head.sum != checksum(head.first_seq, head.session_id, own_kinds, own_ends, own_body):
            msg = f"the events from number {head.first_seq} on are not what was written"
            raise Damaged(msg)
        if head.first_seq != first_seq + event - first_event or head.session_id != session_id:
            if joined_ends:
                own = kinds[first_event:event]
                yield Block(first_seq, session_id, own, joined_ends, body[first_byte:byte])
            first_seq, session_id, first_event, first_byte = (
                head.first_seq,
                head.session_id,
                event,
                byte,
            )
            joined_ends = array("I")
        if head.count == 1:  # as in a log of single events, which should not take longer
            joined_ends.append(next_byte - first_byte)
        else:
            shift = byte - first_byte
            numbers = _little_endian(array("I", own_ends))
            joined_ends.extend([shift + end for end in numbers])
        event, byte = next_event, next_byte
    if joined_ends:
        yield Block(first_seq, session_id, kinds[first_event:], joined_ends, body[first_byte:])


def _little_endian(numbers: array[int]) -> array[int]:
    """Turn the numbers round (in place) where the machine has the high byte first."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
