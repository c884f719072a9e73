"""Finding a time in the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.log.moments import last_before
from loki_twisted.log.opening import Opened
from loki_twisted.log.rows import new_block
from tests.log_support import MS, block, opened, put_blocks
from tests.test_log_history import steps_of


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Opened]:
    """An open log."""
    with opened(tmp_path / "log.db") as log:
        yield log


def fill(log: Opened, first: int, sizes: Sequence[int], times: Sequence[int]) -> dict[int, int]:
    """Have nothing but these blocks in the log; gives the time of each event."""
    log.connection.execute("DELETE FROM blocks")
    times_of, blocks = {}, []
    for size, at_ms in zip(sizes, times, strict=True):
        number = first + len(times_of)
        blocks.append(new_block(block(number, ["x"] * size), at_ms))
        times_of |= dict.fromkeys(range(number, number + size), at_ms)
    put_blocks(log, blocks)
    return times_of


def test_a_time_is_found(log: Opened) -> None:
    """What lies up to there is earlier and what is behind is not, also where a clock went back."""
    some = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 9)), min_size=1, max_size=9)

    @given(some, st.integers(1, 5), st.integers(0, 10), st.booleans())
    def law(drawn: list[tuple[int, int]], first: int, at: int, went_back: bool) -> None:
        times = [MS + each for _, each in drawn]
        times = times if went_back else sorted(times)
        held = fill(log, first, [size for size, _ in drawn], times)
        newest = max(held)
        found = last_before(log.readers[0], MS + at, newest)

        assert first - 1 <= found <= newest
        assert held.get(found, 0) < MS + at <= held.get(found + 1, MS + at)
        if all(one <= two for one, two in pairwise(times)):
            assert found == max((n for n in held if held[n] < MS + at), default=first - 1)

    law()


def test_an_empty_log(log: Opened) -> None:
    """Where there never was anything the place is before the first event."""
    assert last_before(log.readers[0], MS, 0) == 0


def test_no_further_than_was_told(log: Opened) -> None:
    """Of what is on disk and was told to nobody yet it knows nothing."""
    fill(log, 1, [2, 2], [MS, MS])
    assert last_before(log.readers[0], MS + 1, 3) == 3


def test_the_cost_of_a_long_log(log: Opened) -> None:
    """A log of 64 times the events takes six looks more."""
    reader = log.readers[0]
    costs = []
    for count in (64, 4096):
        fill(log, 1, [1] * count, range(MS, MS + count))
        at_ms = MS + count // 3
        assert last_before(reader, at_ms, count) == count // 3
        costs.append(steps_of(reader, lambda n=count, at=at_ms: last_before(reader, at, n)))

    assert 0 < costs[1] < 3 * costs[0]
