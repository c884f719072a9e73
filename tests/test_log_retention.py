"""What retention decides, without a log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.log.retention import (
    ALL,
    Choice,
    Excess,
    Floors,
    Held,
    Retention,
    Stored,
    choose,
    excess_of,
    seconds_between_looks,
)

HOUR_MS = 3_600_000


def stored(first_seq: int, count: int = 1, **fields: object) -> Stored:
    given = {"at_ms": 0, "session_id": "s", "size": 100, "is_running": False, **fields}
    return Stored(first_seq=first_seq, last_seq=first_seq + count - 1, **given)  # type: ignore[arg-type]


def row(*counts: int, **fields: object) -> list[Stored]:
    """Blocks that follow one another."""
    blocks, seq = [], 1
    for count in counts:
        blocks.append(stored(seq, count, **fields))
        seq += count
    return blocks


def spare_none(_: Stored) -> bool:
    return False


@pytest.mark.parametrize(
    ("have", "limit", "excess"),
    [(5, None, 0), (5, 5, 0), (4, 5, 0), (6, 5, 1), (1001, 1000, 11), (0, 0, 0), (3, 0, 3)],
)
def test_excess(have: int, limit: int | None, excess: int) -> None:
    """Within the limit nothing has to go; beyond it a hundredth goes with it."""
    assert excess_of(have, limit) == excess


@pytest.mark.parametrize(
    ("excess", "dropped"),
    [
        (Excess(), 0),
        (Excess(events=1), 1),
        (Excess(events=3), 1),
        (Excess(events=4), 2),
        (Excess(size=100), 1),
        (Excess(size=101), 2),
        (Excess(events=-5, size=1), 1),
        (Excess(before_ms=1), 4),
        (ALL, 4),
    ],
)
def test_as_much_goes_as_is_too_much(excess: Excess, dropped: int) -> None:
    """Whole blocks go until no limit is exceeded, and not one more."""
    blocks = row(3, 3, 3, 3)
    choice = choose(blocks, excess, 10**9, spare_none)

    assert (choice.dropped, choice.passed) == (blocks[:dropped], dropped)
    assert choice.next_seq == (3 * dropped + 1 if dropped else None)
    assert choice.undecided == (blocks[dropped] if dropped < 4 else None)
    assert bool(excess) == bool(dropped)


def test_a_young_block_ends_it() -> None:
    """By age go those before the first that is young enough."""
    ages = [stored(1, at_ms=1), stored(2, at_ms=2), stored(3, at_ms=9), stored(4, at_ms=1)]

    assert choose(ages, Excess(before_ms=5), 10**9, spare_none).dropped == ages[:2]


@pytest.mark.promise("R24")
def test_a_block_of_a_far_future_ends_nothing() -> None:
    """What was written while a clock was wrong does not keep what lies behind it."""
    ages = [stored(1, at_ms=99), stored(2, at_ms=2), stored(3, at_ms=9), stored(4, at_ms=1)]
    excess = Excess(before_ms=5, beyond_ms=15)

    assert choose(ages, excess, 10**9, spare_none).dropped == ages[:2]


def test_no_more_is_looked_at_than_needed() -> None:
    """Behind the first block that stays no other is asked for."""
    asked = iter(row(1, 1, 1, 1))
    choose(asked, Excess(events=2), 10**9, spare_none)

    assert [block.first_seq for block in asked] == [4]


def test_bytes_at_once_are_bounded() -> None:
    """What goes at once ends with the block with which it is too much, and is at least one."""
    blocks = row(1, 1, 1, 1)

    assert len(choose(blocks, ALL, 150, spare_none).dropped) == 2
    assert len(choose(blocks, ALL, 0, spare_none).dropped) == 1


def test_what_is_spared_is_passed() -> None:
    """Blocks that stay do not count, and nothing is decided behind one of which it is not known."""
    blocks = row(2, 2, 2, 2)
    spared = {1: True, 3: False, 5: True, 7: None}
    choice = choose(blocks, Excess(events=9), 10**9, lambda block: spared[block.first_seq])

    assert choice == Choice([blocks[1]], 3, 7, blocks[3])


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=15))
def test_what_is_held(blocks: list[tuple[int, int]]) -> None:
    """Whatever goes in whatever order of rounds, what is held is what a look at all would find."""
    there = row(*(count for count, _ in blocks))
    rounds = [number for _, number in blocks]
    held, left = Held(1), list(there)
    for now in range(3):
        gone = [each for each, number in zip(there, rounds, strict=True) if number == now]
        held = held.without(gone)
        left = [each for each in left if each not in gone]
        dropped = [e for e, n in zip(there, rounds, strict=True) if n <= now]
        complete_from = dropped[-1].last_seq + 1 if dropped else 1
        assert held.complete_from == complete_from
        assert held.kept == sum(len(each) for each in left if each.first_seq < complete_from)


def test_the_time_before_the_hole() -> None:
    """The time of the event before the complete part is known, though it is gone."""
    assert Held(1).without([stored(1, 2, at_ms=7)]) == Held(3, 0, 7)
    assert Held(3, 1, 7).without([stored(1, 1, at_ms=6)]) == Held(3, 0, 7)


class Sessions:
    """Floors, and how often they were looked up."""

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self.asked = 0
        self.floors = Floors(80, self._look_up)
        self.floors.allow(1)

    def _look_up(self, session_id: str, events: int) -> int:
        self.asked += 1
        assert (session_id, events) == ("s", 80)
        return self.floor

    def spares(self, first_seq: int, count: int = 1, *, is_running: bool = True) -> bool | None:
        return self.floors.spares(stored(first_seq, count, is_running=is_running))


def test_floors() -> None:
    """A running session keeps what reaches to its floor, and no other session keeps anything."""
    here = Sessions(50)

    assert here.spares(40, is_running=False) is False
    assert here.asked == 0
    assert [here.spares(49), here.spares(48, 3), here.spares(50), here.spares(99)] == [
        False,
        True,
        True,
        True,
    ]
    assert here.asked == 1


def test_floors_are_looked_up_now_and_then() -> None:
    """A floor is looked up again when much was said since; and not more often than is allowed."""
    here = Sessions(50)
    assert here.spares(50)
    here.floor = 60
    here.floors.said("s", 9)
    assert here.spares(50)
    here.floors.said("s", 1)
    assert here.spares(50) is None
    assert here.spares(49) is False
    here.floors.allow(1)
    assert here.spares(50) is False
    assert here.asked == 2


def test_a_session_that_ended_is_forgotten() -> None:
    """If one of the same id runs later, its floor is looked up anew."""
    here = Sessions(50)
    assert here.spares(50)
    here.floors.ended("s")
    here.floors.said("s", 1)
    assert here.spares(50) is None


def test_how_often_to_look() -> None:
    """Each minute; more often where little age is allowed, so that it is not exceeded by much."""
    assert seconds_between_looks(Retention()) == 60
    assert seconds_between_looks(Retention(age_ms=24 * HOUR_MS)) == 60
    assert seconds_between_looks(Retention(age_ms=HOUR_MS)) == 36
    assert seconds_between_looks(Retention(age_ms=1)) == 1
