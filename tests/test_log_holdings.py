"""What the log holds, as the writer looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from loki_twisted.log import holdings
from loki_twisted.log.opening import Opened
from loki_twisted.log.rows import new_block
from tests.log_support import MS, block, counted_queries, opened, put_blocks

BLOCKS = 3_000


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    with opened(Path(tmp_path_factory.mktemp("log"), "log.db")) as log:
        names = ("session_1", "session_2")
        rows = [new_block(block(1 + 2 * n, ["x", "y"], names[n % 2]), MS) for n in range(BLOCKS)]
        put_blocks(log, rows)
        yield log


def test_blocks_are_looked_at_in_larger_and_larger_portions(log: Opened) -> None:
    """Who takes one has a few looked at, and who takes all has it done in few queries."""
    with counted_queries(log.connection) as queries:
        [first] = islice(holdings.stored(log.connection, 1, 10**9, BLOCKS), 1)
    assert (first.first_seq, first.last_seq, first.session_id) == (1, 2, "session_1")
    assert queries == [16]

    with counted_queries(log.connection) as queries:
        found = list(holdings.stored(log.connection, 1, 10**9, BLOCKS))
    assert [each.first_seq for each in found] == [1 + 2 * n for n in range(BLOCKS)]
    assert queries == [16, 128, 1024, BLOCKS - 16 - 128 - 1024]


def test_a_floor_is_looked_for_in_larger_and_larger_portions(log: Opened) -> None:
    """Few of a session's last blocks are looked at for few events, and many in few queries."""
    for events, first_seq, rows in (
        (1, 2 * BLOCKS - 1, [1]),
        (20, 2 * BLOCKS - 1 - 4 * 9, [16]),
        (2_500, 2 * BLOCKS - 1 - 4 * 1_249, [16, 128, 1024, 2_500]),
        (BLOCKS, 3, [16, 128, 1024, BLOCKS]),
        (BLOCKS + 1, 0, [16, 128, 1024, BLOCKS + 1]),
    ):
        with counted_queries(log.connection) as queries:
            assert holdings.floor_of(log.connection, "session_2", events) == first_seq
        assert queries == rows
