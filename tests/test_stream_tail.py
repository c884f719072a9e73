"""The newest blocks in memory."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.blocks import Block, block_of_facts
from loki_twisted.model.events import Fact
from loki_twisted.stream.tail import Tail, pieces
from tests.fakes_stream import SESSION, calm


def row(lengths: list[int]) -> list[Block]:
    """Consecutive blocks of so many events."""
    blocks, seq = [], 100
    for length in lengths:
        blocks.append(block_of_facts(seq + 1, 5, SESSION, [Fact("log:info", {})] * length))
        seq += length
    return blocks


FRAME = len(row([1])[0].body)


def filled(lengths: list[int], max_frames: int = 1000) -> Tail:
    """A tail with such blocks."""
    tail = Tail(max_frames * FRAME)
    for block in row(lengths):
        tail.add(block)
    return tail


def test_empty() -> None:
    """An empty tail has nothing to give."""
    tail = Tail(1000)
    assert tail.newest is None
    assert tail.page(0, 1000) is None


def test_it_forgets_the_oldest() -> None:
    """What exceeds its size goes, oldest first, and a reader that needs it is told so."""
    tail = filled([2, 2, 2], max_frames=4)
    assert tail.page(101, 10**6) is None
    page = tail.page(102, 10**6)
    assert page is not None
    assert [block.first_seq for block in page.blocks] == [103, 105]
    assert page.reached == 106


def test_a_block_that_is_too_big() -> None:
    """A block bigger than the whole window is not kept in it, nor what came before."""
    tail = filled([1, 9], max_frames=2)
    assert tail.page(100, 10) is None
    assert tail.page(101, 10) is None
    assert tail.newest is not None
    assert tail.newest.first_seq == 102


@calm
@given(st.lists(st.integers(1, 6), max_size=9), st.integers(95, 160), st.integers(1, 20))
def test_page_continues(lengths: list[int], after: int, frames: int) -> None:
    """A page begins where the reader stands, has no hole, and ends when it is big enough."""
    tail = filled(lengths, max_frames=12)
    newest = 100 + sum(lengths)
    page = tail.page(after, frames * FRAME)
    if page is None:
        oldest = tail._blocks[0].first_seq if tail._blocks else newest + 1
        assert after >= newest or after + 1 < oldest
        return
    blocks = page.blocks
    assert blocks[0].first_seq <= after + 1 <= blocks[0].last_seq
    assert all(b.first_seq == a.last_seq + 1 for a, b in itertools.pairwise(blocks))
    assert page.reached == blocks[-1].last_seq
    assert sum(map(len, blocks)) <= frames
    # It might end where a block is cut, but is never so small that reading it is in vain.
    assert page.reached in (newest, after + 1) or sum(map(len, blocks)) > frames - 6


@calm
@given(st.lists(st.integers(1, 6), max_size=9), st.integers(1, 12))
def test_pieces(lengths: list[int], frames: int) -> None:
    """Pieces together are the whole row, none is too big, and no two could have been one."""
    blocks = row(lengths)
    cut = list(pieces(blocks, frames * FRAME))
    whole = [block for piece in cut for block in piece]
    assert b"".join(block.body for block in whole) == b"".join(block.body for block in blocks)
    assert [block.first_seq for block in whole] == [
        101 + sum(map(len, whole[:index])) for index in range(len(whole))
    ]
    assert all(sum(map(len, piece)) <= frames for piece in cut)
    assert all(sum(map(len, a)) + len(b[0]) > frames for a, b in itertools.pairwise(cut))


def test_pieces_of_single_events() -> None:
    """An event that is too big for a piece is one by itself."""
    facts = [Fact("log:info", {"message": "x" * size}) for size in (1, 500, 1, 1, 500)]
    block = block_of_facts(7, 5, SESSION, facts)
    cut = list(pieces([block], 400))
    assert [[each.first_seq for each in piece] for piece in cut] == [[7], [8], [9], [11]]
    assert [len(each) for piece in cut for each in piece] == [1, 1, 2, 1]
    assert [block.frame(i) for i in range(5)] == [
        each.frame(i) for piece in cut for each in piece for i in range(len(each))
    ]
    assert {each.kinds for piece in cut for each in piece} == {block.kinds[:1], block.kinds[:2]}
