"""Whose turn it is to read."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.log.lanes import Lane, Lanes


def taken(lanes: Lanes[str]) -> str:
    """The question that is next."""
    found = lanes.take()
    assert found is not None
    return found[1]


def test_nothing_waits() -> None:
    """Then there is none to take."""
    assert Lanes[str]().take() is None


def test_those_of_one_lane_come_in_order() -> None:
    """Whoever asked first is first, and whoever asks on stands behind all others."""
    lanes = Lanes[str]()
    for name in "abc":
        lanes.add(Lane.SCANS, name)
    order = []
    for _ in range(6):
        name = taken(lanes)
        lanes.done(Lane.SCANS, 0.01)
        lanes.add(Lane.SCANS, name)
        order.append(name)

    assert order == list("abcabc")


@pytest.mark.parametrize("lane", [Lane.SHORT, Lane.PAGES])
def test_what_is_short_goes_between_the_stretches_of_scans(lane: Lane) -> None:
    """However many scans wait, and however long they have been at it, it is next."""
    lanes = Lanes[str]()
    for _ in range(1_000):
        lanes.add(Lane.SCANS, "scan")
    for _ in range(100):
        taken(lanes)
        lanes.done(Lane.SCANS, 0.012)
    assert taken(lanes) == "scan"
    lanes.add(lane, "mine")
    lanes.done(Lane.SCANS, 0.012)

    assert taken(lanes) == "mine"


def test_no_lane_owes_for_time_that_nobody_wanted() -> None:
    """One that had the threads for itself does not wait for the others when it asks again."""
    lanes = Lanes[str]()
    for _ in range(1_000):
        lanes.add(Lane.SHORT, "mine")
        taken(lanes)
        lanes.done(Lane.SHORT, 0.01)
    lanes.add(Lane.SCANS, "scan")
    lanes.add(Lane.SCANS, "scan")
    taken(lanes)
    lanes.add(Lane.SHORT, "mine")
    lanes.done(Lane.SCANS, 0.01)

    assert taken(lanes) == "mine"


def test_no_lane_is_owed_time_in_which_it_asked_nothing() -> None:
    """One that comes late does not have the threads for itself until it has caught up."""
    lanes = Lanes[str]()
    for _ in range(1_000):
        lanes.add(Lane.PAGES, "page")
    for _ in range(500):
        taken(lanes)
        lanes.done(Lane.PAGES, 0.01)
    for _ in range(10):
        lanes.add(Lane.SCANS, "scan")
    order = []
    for _ in range(10):
        found = lanes.take()
        assert found is not None
        lanes.done(found[0], 0.01)
        order.append(found[1])

    assert order.count("scan") == 5


def test_a_clock_that_does_not_tell_gives_no_lane_everything() -> None:
    """Questions that seem to take no time at all are still paid for: all lanes have their turn."""
    lanes = Lanes[str]()
    for lane in Lane:
        for _ in range(4):
            lanes.add(lane, lane.name)
    order = []
    for _ in range(6):
        found = lanes.take()
        assert found is not None
        lanes.done(found[0], 0.0)
        order.append(found[1])

    assert sorted(order) == sorted(2 * [lane.name for lane in Lane])


seconds = st.floats(0.0001, 1)


@given(st.lists(st.tuples(seconds, seconds, seconds), min_size=1, max_size=100))
def test_lanes_that_always_ask_have_equal_shares(costs: Sequence[tuple[float, ...]]) -> None:
    """Whatever each question takes, none is ahead of another by more than one question."""
    lanes = Lanes[int]()
    spent = dict.fromkeys(Lane, 0.0)
    for lane in Lane:
        for number in range(3 * len(costs)):
            lanes.add(lane, number)
    for number, _ in enumerate(costs):
        found = lanes.take()
        assert found is not None
        lane = found[0]
        cost = costs[number][list(Lane).index(lane)]
        lanes.done(lane, cost)
        spent[lane] += cost

    most = max(max(each) for each in costs)
    assert max(spent.values()) - min(spent.values()) <= most + 1e-9


steps = st.lists(st.sampled_from([*Lane, None]), max_size=100)


@given(steps)
def test_every_question_is_taken_once_and_in_order(asked: Sequence[Lane | None]) -> None:
    """Whenever it was asked, it has its turn, and never before one that its lane had earlier."""
    lanes = Lanes[int]()
    order: list[tuple[Lane, int]] = []

    def take() -> bool:
        found = lanes.take()
        if found is not None:
            order.append(found)
            lanes.done(found[0], 0.01)
        return found is not None

    for number, lane in enumerate(asked):
        if lane is None:
            take()
        else:
            lanes.add(lane, number)
    while take():
        pass

    for lane in Lane:
        mine = [number for number, each in enumerate(asked) if each is lane]
        assert [number for each, number in order if each is lane] == mine
