"""Events as bytes."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.model.blocks import block_of_facts
from loki_twisted.model.events import (
    EVENT_TYPES,
    Event,
    Fact,
    FrameWriter,
    event_from_frame,
    json_of_frame,
)
from loki_twisted.model.filters import EVERYTHING
from loki_twisted.model.identifiers import event_id
from loki_twisted.model.timestamps import iso_from_ms

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MOMENTS = st.integers(0, 253_402_300_799_999)
FACTS = st.builds(
    Fact,
    st.sampled_from(EVENT_TYPES),
    st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers(-9, 9) | TEXTS, max_size=4),
)


@given(MOMENTS, TEXTS, st.integers(1, 10**18), FACTS)
def test_a_frame_holds_the_whole_event(ms: int, session: str, seq: int, fact: Fact) -> None:
    """What is put together from parts is, byte for byte, what encoding the whole event gives."""
    whole = Event(
        id=event_id(seq, ms),
        type=fact.type,
        timestamp=iso_from_ms(ms),
        session_id=session,
        data=dict(fact.data),
    )
    frame = FrameWriter(ms, session).frame(seq, fact)
    assert json_of_frame(frame) == msgspec.json.encode(whole)
    assert event_from_frame(frame) == whole
    assert frame.split(b"\n")[:2] == [b"id: " + whole.id.encode(), b"event: " + fact.type.encode()]
    assert frame.endswith(b"}\n\n")
    assert frame.count(b"\n") == 4


@given(MOMENTS, TEXTS, st.lists(FACTS, min_size=1, max_size=8))
def test_a_block_is_its_frames(ms: int, session: str, facts: list[Fact]) -> None:
    """Facts of one moment are numbered in their order, and each is found again."""
    block = block_of_facts(7, ms, session, facts)
    events = list(block.events(EVERYTHING))
    assert [(event.type, event.data) for event in events] == [(f.type, f.data) for f in facts]
    assert [event.id for event in events] == [event_id(7 + n, ms) for n in range(len(facts))]
    assert block.ends[-1] == len(block.body)
