"""Cutting the log: what stays is what must, what goes is no more than may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from loki_twisted.log.interface import Batch, Bounds
from loki_twisted.log.schema import SESSION_SPAN, SPAN
from loki_twisted.model.sessions import SessionStatus
from tests.cutting_desk import Desks, fill
from tests.log_support import (
    MS,
    connect,
    fact,
    facts,
)


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[Desks]:
    with closing(Desks(tmp_path / "log.db")) as desks:
        yield desks


def test_nothing_goes_without_a_limit(desks: Desks) -> None:
    """Where all is kept, nothing is dropped, whatever its age."""
    desk = desks()
    fill(desk, 30)
    desk.now_ms += 10**12
    desk.ledger.look()

    assert desk.settle() == 1
    assert desk.bounds == Bounds(1, 30)


def test_by_age(desks: Desks) -> None:
    """What has become too old goes when it is looked at, and nothing younger."""
    desk = desks(age_ms=1_000)
    for _ in range(10):
        desk.say(fact())
        desk.now_ms += 200
    desk.settle()
    assert desk.bounds.oldest == 1

    desk.ledger.look()
    desk.settle()

    assert desk.bounds.oldest == 6
    desk.now_ms += 10**6
    desk.ledger.look()
    desk.settle()
    assert desk.bounds == Bounds(10, 10)


def test_at_once_after_a_start(desks: Desks) -> None:
    """What is too much when the log is opened goes without a commit."""
    fill(desks(), 50)
    desk = desks(events=10)

    desk.settle()

    assert desk.bounds == Bounds(41, 50)


def test_by_size(desks: Desks) -> None:
    """The pages in use are no more than may be, and the file follows, when there is time."""
    desk = desks(size=2_000_000)
    sizes = []
    for _ in range(150):
        desk.say(*facts(100, 200))
        sizes.append(Path(desk.path).stat().st_size)
    assert max(sizes) <= 2_400_000
    desk.ledger.close()

    desk = desks(size=400_000)
    desk.settle()
    desk.ledger.close()

    spare = 33 * 4_096  # a few free pages are kept for what comes next
    assert 320_000 <= Path(desk.path).stat().st_size <= 400_000 + spare


def test_a_file_that_cannot_shrink(tmp_path: Path, desks: Desks) -> None:
    """A file that was made without the means for it is shortened too, and keeps its size."""
    desk = desks()
    fill(desk, 40, events=100)
    desk.ledger.close()
    connection = connect(desk.path)
    connection.pragma("auto_vacuum", 0)
    connection.execute("VACUUM")
    connection.close()
    size = Path(desk.path).stat().st_size

    desk = desks(events=100)
    desk.settle()

    assert len(desk.bounds) == 100
    desk.ledger.close()
    assert Path(desk.path).stat().st_size == size


@pytest.mark.promise("R28")
def test_running_sessions_keep_their_last(desks: Desks) -> None:
    """A quiet session keeps what it said last as long as it runs, and no longer."""
    desk = desks(events=20, running_events=5)
    desk.run("quiet")
    for _ in range(8):
        desk.say(fact(), session_id="quiet")
    fill(desk, 100)
    desk.settle()

    assert [e.seq for e in desk.held() if e.session_id == "quiet"] == [4, 5, 6, 7, 8]
    assert desk.bounds.kept == 5
    assert len(desk.bounds) <= 20

    desk.run("quiet", SessionStatus.COMPLETED)
    desk.settle()

    assert desk.bounds.kept == 0
    assert desk.bounds.oldest == desk.bounds.complete_from


def test_a_deleted_session_keeps_nothing(desks: Desks) -> None:
    """What it kept goes with its record."""
    desk = desks(events=20, running_events=5)
    desk.run("quiet")
    desk.say(*facts(3), session_id="quiet")
    fill(desk, 50)
    assert desk.bounds.kept == 3

    desk.commit(Batch(session_id="quiet", at_ms=MS, forget=True))
    desk.settle()

    assert desk.bounds.kept == 0


def test_a_running_session_that_says_more_keeps_less_of_its_past(desks: Desks) -> None:
    """What a session kept behind a hole goes when it has said enough since."""
    desk = desks(events=30, running_events=10)
    desk.run("quiet")
    fill(desk, 10, session_id="quiet")
    for _ in range(20):
        fill(desk, 10)
        fill(desk, 1, session_id="quiet")
        desk.settle()

    seqs = [event.seq for event in desk.held() if event.session_id == "quiet"]
    assert seqs[0] > 10
    assert 10 <= len(seqs) <= 15


def test_spans_go_with_their_blocks(desks: Desks) -> None:
    """There are spans for what is there and no others, also between what running sessions keep."""
    desk = desks(events=200, running_events=3)
    desk.run("quiet")
    fill(desk, 3, session_id="quiet")
    for _ in range(25):
        desk.say(*facts(100))
        desk.say(fact(), session_id="other")
    fill(desk, 90)
    desk.settle()

    firsts = desk.log.connection.execute("SELECT session_id, first_seq FROM blocks").fetchall()
    assert ("quiet", 1) in firsts
    spans = desk.log.connection.execute("SELECT number FROM spans").fetchall()
    assert sorted(spans) == sorted({(seq // SPAN,) for _, seq in firsts})
    of_sessions = desk.log.connection.execute("SELECT session, number FROM session_spans")
    assert sorted(of_sessions) == sorted({(name, seq // SESSION_SPAN) for name, seq in firsts})


@pytest.mark.parametrize("has_rests", [False, True])
def test_a_session_that_goes_on_and_on_does_not_make_the_log_grow(
    desks: Desks, *, has_rests: bool
) -> None:
    """While a session runs the log has what it keeps and half of that beside it, however long."""
    desk = desks(events=10, running_events=40)
    desk.run("busy")
    lengths = []
    for _ in range(400):
        fill(desk, 1, session_id="busy")
        lengths.append(len(desk.bounds))
        if has_rests:
            desk.settle()

    assert min(lengths[40:]) >= 40
    assert max(lengths) <= 40 + 20 + 10  # and what a floor is old


def test_a_session_with_long_lines_does_not_make_the_log_grow(desks: Desks) -> None:
    """So it is where the limit is one of bytes, and the session keeps more than it allows."""
    desk = desks(size=100_000, running_events=40)
    desk.run("busy")
    line = fact("x" * 8_000)
    for _ in range(400):
        desk.say(line, session_id="busy")

    assert 40 <= len(desk.bounds) <= 40 + 20 + 10
    assert desk.bytes_in_use() < 700_000
