"""Where a subscriber begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.log.interface import Bounds, Page
from loki_twisted.model.blocks import block_of_facts
from loki_twisted.model.events import EVENT_TYPES, Fact
from loki_twisted.model.filters import EventFilter, mask_of_types
from loki_twisted.stream.position import (
    FROM_NOW,
    Behind,
    LastEvents,
    ResetReason,
    Resumption,
    behind_last,
    number_in,
    resumption,
    start_of,
)
from tests.fakes_stream import SESSION, calm

BOUNDS = Bounds(10, 20)


def test_start() -> None:
    """The last event id decides; without one, history does; without both, a stream begins now."""
    assert start_of(None, None) is FROM_NOW
    assert start_of(0, "") is FROM_NOW
    assert start_of(5, None) == LastEvents(5)
    assert start_of(5, "evt_1_1") == Behind("evt_1_1")
    assert start_of(None, "earliest") == Behind("earliest")


@pytest.mark.parametrize(
    ("asked", "known_ms", "cursor", "reset"),
    [
        ("evt_15_777", 777, 15, None),
        ("evt_10_777", 777, 10, None),
        ("evt_20_777", 777, 20, None),
        ("evt_9_777", None, 9, None),
        ("earliest", None, 9, None),
        ("evt_8_777", None, 9, ResetReason.EXPIRED),
        ("evt_21_777", None, 9, ResetReason.FUTURE),
        ("evt_15_777", 778, 9, ResetReason.UNKNOWN),
        ("evt_15_777", None, 9, ResetReason.UNKNOWN),
        ("evt_0_777", None, 9, ResetReason.UNKNOWN),
        ("evt_015_777", None, 9, ResetReason.UNKNOWN),
        ("hb_1763900000000", None, 9, ResetReason.UNKNOWN),
        ("Earliest", None, 9, ResetReason.UNKNOWN),
        (" evt_15_777", 777, 9, ResetReason.UNKNOWN),
        ("evt_15_777\n", 777, 9, ResetReason.UNKNOWN),
        ("evt_" + "9" * 5000 + "_1", None, 9, ResetReason.UNKNOWN),
    ],
)
def test_resumption(
    asked: str, known_ms: int | None, cursor: int, reset: ResetReason | None
) -> None:
    """A client goes on behind its event, or is told why it begins with the oldest."""
    assert resumption(asked, BOUNDS, known_ms) == Resumption(cursor, reset)


def test_resumption_from_an_empty_log() -> None:
    """A log that has dropped all still knows its last id; one that never had any knows none."""
    assert resumption("evt_20_5", Bounds(21, 20), None) == Resumption(20)
    assert resumption("evt_19_5", Bounds(21, 20), None).reset is ResetReason.EXPIRED
    assert resumption("evt_1_5", Bounds(1, 0), None) == Resumption(0, ResetReason.FUTURE)
    assert resumption("earliest", Bounds(1, 0), None) == Resumption(0)


@calm
@given(st.integers(0, 40), st.integers(1, 30), st.integers(0, 30), st.integers(0, 2))
def test_resumption_never_skips(seq: int, oldest: int, length: int, known: int) -> None:
    """Without a reset a client goes on behind its own event, and everything behind it is there."""
    bounds = Bounds(oldest, oldest + length - 1)
    resumed = resumption(f"evt_{seq}_1", bounds, known or None)
    assert bounds.oldest - 1 <= resumed.cursor <= bounds.newest
    assert resumed.reset is not None or resumed.cursor == seq


def test_number_in() -> None:
    """Only an event that the log can hold is looked up."""
    assert number_in("evt_10_1", BOUNDS) == 10
    assert number_in("evt_20_1", BOUNDS) == 20
    assert number_in("evt_9_1", BOUNDS) is None
    assert number_in("evt_21_1", BOUNDS) is None
    assert number_in("earliest", BOUNDS) is None


@calm
@given(
    st.lists(st.lists(st.sampled_from(EVENT_TYPES[6:12]), min_size=1, max_size=5), max_size=5),
    st.integers(1, 12),
)
def test_behind_last(types: list[list[str]], count: int) -> None:
    """Behind the number that is found, exactly the last wanted events follow."""
    wanted = EventFilter(mask=mask_of_types(["task:created", "phase:failed"]))
    blocks, numbers, seq = [], [], 0
    for names in types:
        blocks.append(block_of_facts(seq + 1, 5, SESSION, [Fact(name, {}) for name in names]))
        for name in names:
            seq += 1
            numbers += [seq] * (name in ("task:created", "phase:failed"))
    behind = behind_last(Page(blocks, seq), wanted, count)
    assert [number for number in numbers if number > behind] == numbers[-count:]
    assert behind <= seq
