"""Files of earlier versions are brought up to this one, with all that they hold."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from loki_twisted.log import history, holdings, schema, upgrading
from loki_twisted.log.rows import NewBlock, new_block
from loki_twisted.model.blocks import block_of_facts
from loki_twisted.model.filters import EVERYTHING, EventFilter, mask_of_types
from tests.log_support import MS, fact, frames, opened, remembered, wanted_of

VERSION_1 = [text for text in schema.STATEMENTS if not text.startswith("CREATE TABLE spans")]


def old_blocks(count: int) -> list[NewBlock]:
    """Blocks of many kinds."""
    blocks, seq = [], 1
    for number in range(count):
        kinds = ["log:info", "task:created"] if number % 7 == 0 else ["log:info"]
        made = block_of_facts(seq, MS, f"s{number % 3}", [fact(kind=kind) for kind in kinds])
        blocks.append(new_block(made, MS))
        seq += len(kinds)
    return blocks


def make_version_1(path: Path, blocks: list[NewBlock]) -> None:
    """A file as version 1 left it."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("application_id", schema.APPLICATION_ID)
        connection.pragma("user_version", 1)
        for statement in VERSION_1:
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES ('log_id', 'abc')")
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO blocks VALUES (?,?,?,?,?,?,?,?,?)", [new.row for new in blocks]
        )
        connection.execute("COMMIT")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.mark.parametrize("count", [0, 1, 500])
def test_version_1(path: Path, count: int) -> None:
    """It holds what it held, is of this version then, and is found by each kind."""
    blocks = old_blocks(count)
    make_version_1(path, blocks)
    events = remembered([new.block for new in blocks])

    with opened(path) as log:
        assert (log.log_id, log.notices) == ("abc", ())
        assert log.connection.pragma("user_version") == schema.VERSION
        assert log.bounds.newest == len(events)
        assert holdings.spans_are_whole(log.connection)
        for wanted in (EVERYTHING, EventFilter(None, mask_of_types(["task:created"]))):
            page = history.read(log.readers[0], 0, len(events), wanted, 10**9)
            assert frames(page.blocks, wanted) == wanted_of(events, wanted)


def test_what_is_cut_short_is_done_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose upgrade failed is of its old version still, and the next start does it."""
    make_version_1(path, old_blocks(50))

    def fail(connection: apsw.Connection) -> None:
        upgrading._add_spans(connection)
        raise apsw.FullError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(upgrading, "_STEPS", {1: fail})
        with pytest.raises(apsw.FullError), opened(path):
            pass
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.pragma("user_version") == 1

    with opened(path) as log:
        assert log.bounds.newest == 58
        assert holdings.spans_are_whole(log.connection)


def test_tables_that_are_none_of_ours(path: Path) -> None:
    """A file of an earlier version that has not its tables is damaged, and is put aside."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("application_id", schema.APPLICATION_ID)
        connection.pragma("user_version", 1)
        connection.execute("CREATE TABLE other(x)")

    with opened(path) as log:
        assert "no such table" in log.notices[0]


def test_each_version_has_its_step() -> None:
    """From the first version on, one step leads to the next, and the last to this one."""
    assert list(upgrading._STEPS) == list(range(1, schema.VERSION))
