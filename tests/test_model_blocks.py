"""Blocks cut into smaller ones: the events stay what they are."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.blocks import Block, block_of_facts
from tests.log_support import MS, remembered, some_facts


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """A block that begins somewhere."""
    return block_of_facts(draw(st.integers(1, 10**9)), MS, "session_1", draw(some_facts))


@given(blocks(), st.data())
def test_until(whole: Block, data: st.DataObject) -> None:
    """A block that is cut off before a number holds the events before it, and no byte more."""
    before = data.draw(st.integers(whole.first_seq + 1, whole.last_seq + 3))

    part = whole.until(before)

    kept = [event for event in remembered([whole]) if event.seq < before]
    assert remembered([part]) == kept
    assert part.last_seq == min(whole.last_seq, before - 1)
    assert (part is whole) == (before > whole.last_seq)
    assert part.body == b"".join(event.frame for event in kept)


@given(blocks(), st.integers(0, 2_000))
def test_cut(whole: Block, max_bytes: int) -> None:
    """The parts hold the same events; none is too large or could have taken one more event."""
    parts = list(whole.cut(max_bytes))

    assert remembered(parts) == remembered([whole])
    assert all(len(part) == 1 or len(part.body) <= max_bytes for part in parts)
    for part, following in itertools.pairwise(parts):
        assert len(part.body) + len(following.frame(0)) > max_bytes
