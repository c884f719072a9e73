"""Cutting the log: how much is done at once, and how durable it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from loki_twisted.log.cutting import SLICE
from loki_twisted.log.interface import Batch, Bounds
from loki_twisted.log.messages import (
    Committed,
    Shortened,
)
from tests.cutting_desk import Desks, fill
from tests.log_support import (
    MS,
    fact,
    facts,
)


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[Desks]:
    with closing(Desks(tmp_path / "log.db")) as desks:
        yield desks


def test_commits_keep_to_the_limit(desks: Desks) -> None:
    """Without a moment's rest the log has no more than it may, but for the commit of the moment."""
    desk = desks(events=1_000)
    sizes = []
    for _ in range(120):
        desk.say(*facts(20))
        sizes.append(len(desk.bounds))

    assert max(sizes) <= 1_000 + 20
    assert min(sizes[60:]) >= 1_000 - 1_000 // 100 - 20
    assert all(isinstance(report, Committed) for report in desk.reports)
    assert len(desk.held()) == len(desk.bounds)


def test_a_commit_does_not_do_much_more_than_its_own(desks: Desks) -> None:
    """However much there is too much, a commit drops a bounded part of it."""
    fill(desks(), 2_000)
    desk = desks(events=10)

    desk.say(*facts(100))
    assert 2_000 - 2 * 100 - 64 <= len(desk.bounds) - 100 < 2_000 - 100
    desk.say(fact())
    assert 2_100 - len(desk.bounds) >= 64


def test_the_commit_itself_stays(desks: Desks) -> None:
    """Who waits for a commit finds it in the log, even if it is more than the limit."""
    desk = desks(events=5)
    desk.commit(*(Batch(session_id=f"s{n}", at_ms=MS, facts=facts(4)) for n in range(4)))
    assert desk.bounds == Bounds(1, 16)

    desk.settle()

    assert desk.bounds == Bounds(13, 16)


def test_slices_are_bounded(desks: Desks) -> None:
    """When there is time, all that is too much goes, and in many small transactions."""
    fill(desks(), 900)
    fill(desks(), 60, events=700)
    desk = desks(events=10)

    slices = desk.settle()

    counts = [len(report.bounds) for report in desk.reports if isinstance(report, Shortened)]
    steps = [before - after for before, after in zip([42_900, *counts], counts, strict=False)]
    assert slices > 5
    assert counts[-1] <= 700
    assert max(steps[:2]) <= SLICE.rows
    assert max(steps) * 200 <= SLICE.size + 200_000
    assert desk.log.connection.pragma("synchronous") == 2
