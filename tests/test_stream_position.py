"""Where a subscriber begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.log.interface import Bounds
from loki_twisted.stream.position import (
    FROM_NOW,
    Behind,
    LastEvents,
    ResetReason,
    Resumption,
    number_in,
    resumption,
    start_of,
)
from tests.fakes_stream import calm

BOUNDS = Bounds(oldest=4, newest=20, complete_from=10, kept=3)


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
        ("evt_9_777", 777, 9, None),
        ("earliest", None, 3, None),
        ("evt_9_777", 778, 3, ResetReason.UNKNOWN),
        ("evt_8_777", None, 3, ResetReason.EXPIRED),
        ("evt_5_777", None, 3, ResetReason.EXPIRED),
        ("evt_1_777", None, 3, ResetReason.EXPIRED),
        ("evt_21_777", None, 3, ResetReason.FUTURE),
        ("evt_" + "9" * 200 + "_1", None, 3, ResetReason.FUTURE),
        ("evt_15_778", 777, 3, ResetReason.UNKNOWN),
        ("evt_15_" + "7" * 200, 777, 3, ResetReason.UNKNOWN),
        ("evt_15_777", None, 3, ResetReason.EXPIRED),  # dropped while it was looked up
        ("evt_0_0", None, 3, ResetReason.EXPIRED),
        ("evt_0_777", None, 3, ResetReason.UNKNOWN),
        ("evt_015_777", None, 3, ResetReason.UNKNOWN),
        ("hb_1763900000000", None, 3, ResetReason.UNKNOWN),
        ("Earliest", None, 3, ResetReason.UNKNOWN),
        (" evt_15_777", 777, 3, ResetReason.UNKNOWN),
        ("evt_15_777\n", 777, 3, ResetReason.UNKNOWN),
        ("evt_" + "9" * 5000 + "_1", None, 3, ResetReason.UNKNOWN),
        ("\0\xff" * 128, None, 3, ResetReason.UNKNOWN),
    ],
)
def test_resumption(
    asked: str, known_ms: int | None, cursor: int, reset: ResetReason | None
) -> None:
    """A client goes on behind its event, or is told why it begins with the oldest."""
    assert resumption(asked, BOUNDS, known_ms) == Resumption(cursor, reset)


def test_resumption_from_an_empty_log() -> None:
    """A log that has dropped all still knows its last id; one that never had any knows none."""
    assert resumption("evt_20_5", Bounds(21, 20), 5) == Resumption(20)
    assert resumption("evt_19_5", Bounds(21, 20), None).reset is ResetReason.EXPIRED
    assert resumption("evt_1_5", Bounds(1, 0), None) == Resumption(0, ResetReason.FUTURE)
    assert resumption("earliest", Bounds(1, 0), None) == Resumption(0)
    assert resumption("evt_0_0", Bounds(1, 0), None) == Resumption(0)


@calm
@given(
    st.integers(0, 40),
    st.integers(1, 30),
    st.integers(0, 10),
    st.integers(0, 30),
    st.integers(0, 2),
)
def test_resumption_never_skips(seq: int, oldest: int, hole: int, length: int, known: int) -> None:
    """Without a reset a client goes on behind its own event, and everything behind it is there."""
    bounds = Bounds(oldest, oldest + hole + length - 1, oldest + hole)
    resumed = resumption(f"evt_{seq}_1", bounds, known or None)
    if resumed.reset is None:
        assert bounds.complete_from - 1 <= resumed.cursor == seq <= bounds.newest
    elif known == 1 and bounds.oldest <= seq <= bounds.newest:
        assert resumed.cursor == seq < bounds.complete_from - 1
        assert resumed.reset is ResetReason.EXPIRED
    else:
        assert resumed.cursor == bounds.oldest - 1


def test_number_in() -> None:
    """Only an event that the log can know is looked up."""
    assert number_in("evt_10_1", BOUNDS) == 10
    assert number_in("evt_20_1", BOUNDS) == 20
    assert number_in("evt_9_1", BOUNDS) == 9
    assert number_in("evt_4_1", BOUNDS) == 4
    assert number_in("evt_3_1", BOUNDS) is None
    assert number_in("evt_21_1", BOUNDS) is None
    assert number_in("earliest", BOUNDS) is None
