"""Cutting the log where it fails: what comes is written all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from loki_twisted.log import cutting, holdings
from loki_twisted.log.interface import Bounds
from loki_twisted.log.messages import (
    Committed,
    Failed,
    Recovered,
    Unshortened,
)
from tests.cutting_desk import Desk, Desks, fill


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[Desks]:
    with closing(Desks(tmp_path / "log.db")) as desks:
        yield desks


def break_block(desk: Desk, seq: int) -> None:
    """Have a block say of itself what cannot be."""
    desk.log.connection.execute(
        "UPDATE blocks SET session_id = CAST(x'ff' AS TEXT) WHERE first_seq = ?", (seq,)
    )


def test_damage_is_met_in_a_commit(desks: Desks) -> None:
    """A damaged old block stays, with all the others; what comes is written; it is told once."""
    desk = desks(events=10)
    fill(desk, 9)
    break_block(desk, 1)

    fill(desk, 6)
    assert not desk.ledger.tidy()

    assert [type(each) for each in desk.reports].count(Unshortened) == 1
    assert [type(each) for each in desk.reports].count(Committed) == 15
    assert desk.bounds == Bounds(1, 15)
    assert Path(desk.path + ".suspect").exists()


def test_damage_is_met_in_a_slice(desks: Desks) -> None:
    """The same when there was time to drop what is too much."""
    desk = desks()
    fill(desk, 15)
    break_block(desk, 1)
    desk.ledger.close()

    desk = desks(events=10)
    assert not desk.ledger.tidy()
    fill(desk, 1)

    assert [type(each) for each in desk.reports] == [Unshortened, Committed]
    assert desk.bounds == Bounds(1, 16)
    assert Path(desk.path + ".suspect").exists()


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("with_commit", [True, False])
def test_no_room_to_drop(desks: Desks, monkeypatch: pytest.MonkeyPatch, with_commit: bool) -> None:
    """Where there is no room for dropping, commits go on; it is tried again at the next look."""
    fill(desks(), 20)
    desk = desks(events=10)
    with monkeypatch.context() as patch:
        patch.setattr(holdings, "drop", failing(apsw.FullError("database or disk is full")))
        if with_commit:
            fill(desk, 1)
        assert not desk.ledger.tidy()
        fill(desk, 2)
    assert {type(report) for report in desk.reports} == {Committed}
    assert not desk.ledger.tidy()
    assert desk.bounds.oldest == 1

    desk.ledger.look()
    desk.settle()

    assert len(desk.bounds) == 10
    assert len(desk.held()) == 2 + with_commit  # of those that were told here


@pytest.mark.parametrize("with_commit", [True, False])
def test_a_disk_that_fails(
    desks: Desks, monkeypatch: pytest.MonkeyPatch, with_commit: bool
) -> None:
    """An error of the disk is reported as one of a commit's, and the log comes back like then."""
    fill(desks(), 20)
    desk = desks(events=10)
    with monkeypatch.context() as patch:
        patch.setattr(holdings, "drop", failing(apsw.IOError("disk I/O error")))
        if with_commit:
            fill(desk, 1)
        else:
            assert not desk.ledger.tidy()
    failed = desk.reports[-1]
    assert isinstance(failed, Failed)
    assert failed.is_passing
    assert len(failed.entries) == with_commit

    desk.ledger.probe()

    recovered = desk.reports[-1]
    assert isinstance(recovered, Recovered)
    assert recovered.bounds == Bounds(1, 20)
    desk.settle()
    assert desk.bounds == Bounds(11, 20)


def test_a_fault_of_ours_ends_nothing_but_the_dropping(
    desks: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong in it, the log is written to."""
    fill(desks(), 20)
    desk = desks(events=10)
    monkeypatch.setattr(cutting, "choose", failing(ZeroDivisionError()))

    assert not desk.ledger.tidy()
    fill(desk, 1)

    assert [type(report) for report in desk.reports] == [Unshortened, Committed]


def test_what_is_written_of_holes_is_checked(tmp_path: Path, desks: Desks) -> None:
    """A log that says of its holes what cannot be is damaged, and is put aside."""
    desk = desks(events=10)
    fill(desk, 20)
    desk.log.connection.execute("UPDATE meta SET value = '[17]' WHERE name = 'held'")
    desk.ledger.close()

    desk = desks()

    assert desk.bounds == Bounds(1, 0)
    assert "a row is not what was written" in desk.log.notices[0]
