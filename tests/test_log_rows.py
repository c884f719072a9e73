"""Blocks as rows, and back."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.log.faults import Damaged
from loki_twisted.log.rows import (
    MAX_BLOCK_BYTES,
    Head,
    NewBlock,
    blocks_from_columns,
    join_neighbours,
    new_block,
)
from tests.log_support import MS, block, columns_of, histories, remembered


@given(histories())
def test_rows_give_back_what_was_put_in(history: list[NewBlock]) -> None:
    """Rows hold the same events with the same numbers as the blocks that they were made of."""
    blocks = list(blocks_from_columns(*columns_of(history)))

    assert remembered(blocks) == remembered([new.block for new in history])


@given(histories())
def test_joining_changes_no_event(history: list[NewBlock]) -> None:
    """Joined blocks hold the same events; no neighbours are left that could be joined."""
    joined = join_neighbours(history)

    assert remembered([new.block for new in joined]) == remembered([n.block for n in history])
    keys = [(new.at_ms, new.block.session_id) for new in joined]
    assert all(one != other for one, other in itertools.pairwise(keys))
    assert columns_of(joined)[3] == columns_of(history)[3]


def test_large_blocks_stay_apart() -> None:
    """Blocks are not joined to more than a reader can take at once."""
    large = new_block(block(1, ["x" * MAX_BLOCK_BYTES]), MS)
    small = new_block(block(2, ["x"]), MS)
    third = new_block(block(3, ["x"]), MS)

    joined = join_neighbours([large, small, third])

    assert [len(new.block) for new in joined] == [1, 2]


def test_only_what_follows_is_joined_when_read() -> None:
    """Blocks of one session with events of another between them stay apart."""
    first = new_block(block(1, ["a", "b"]), MS)
    third = new_block(block(4, ["d"]), MS)

    blocks = list(blocks_from_columns(*columns_of([first, third])))

    assert [each.first_seq for each in blocks] == [1, 4]


@pytest.mark.promise("R16")
@given(st.data())
def test_no_wrong_byte_is_told(data: st.DataObject) -> None:
    """Whichever bit of the events of a row is turned, reading it fails."""
    heads, kinds, ends, body = columns_of([new_block(block(7, ["one", "two"]), MS)])
    columns = [bytearray(kinds), bytearray(ends), bytearray(body)]
    column = data.draw(st.sampled_from(columns))
    column[data.draw(st.integers(0, len(column) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(Damaged, match="from number 7 on"):
        list(blocks_from_columns(heads, *(bytes(each) for each in columns)))


@pytest.mark.parametrize(("first_seq", "session_id"), [(8, "session_1"), (7, "session_2")])
def test_events_stay_where_they_belong(first_seq: int, session_id: str) -> None:
    """A row that says another number or another session than was written fails too."""
    [head], kinds, ends, body = columns_of([new_block(block(7, ["one"]), MS)])
    moved = Head(first_seq, session_id, head.count, head.size, head.sum)

    with pytest.raises(Damaged):
        list(blocks_from_columns([moved], kinds, ends, body))
