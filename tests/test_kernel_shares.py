"""Many agents that print at once share the turns of the reactor."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock

from loki_twisted.agents.lines import Cursor
from loki_twisted.agents.pieces import (
    FORMED_LINES,
    PIECE_LINES,
    TURN_WORK,
    portion_of,
    work_of,
)
from loki_twisted.agents.spool import Spool, Tail
from loki_twisted.kernel.shares import Shares
from tests.agents_support import Recorder
from tests.test_agents_long_lines import take_a_turn

AGENTS = 50


def pieces_by_turn(directory: Path, data: bytes) -> list[int]:
    """Have agents print at once; how many pieces were given in each turn, until all were."""
    clock, recorder = Clock(), Recorder()
    shares = Shares(clock, TURN_WORK)
    tails = []
    for number in range(AGENTS):
        path = directory / str(number)
        spool = Spool(str(path), Cursor(), is_growing=True)
        tail = Tail(shares, spool, "stdout", f"{number}/stdout", recorder)
        tail.read()
        tails.append(tail)
        path.write_bytes(data)
    counts, before = [], 0
    for tail in tails:
        tail.look()  # the bell rings for all of them in one turn
    while recorder.pieces < AGENTS:
        counts.append(recorder.pieces - before)
        before = recorder.pieces
        take_a_turn(clock)
    counts.append(recorder.pieces - before)
    for tail in tails:
        tail.stop()
    assert len(recorder.stdout) == AGENTS * data.count(b"\n")
    return counts


@pytest.mark.promise("R27")
@pytest.mark.parametrize(
    "data",
    [
        b"x\n" * PIECE_LINES,
        b"x" * 899 + b"\n" + b"x" * 200_000 + b"\n",
        b'{"type":"log:info"}\n' * FORMED_LINES,
    ],
    ids=["many lines", "long lines", "JSON"],
)
def test_many_that_print_much_take_turns(tmp_path: Path, data: bytes) -> None:
    """However many print at once, a turn of the reactor takes little more than one's piece."""
    counts = pieces_by_turn(tmp_path, data)
    assert max(counts) <= 1 + TURN_WORK // work_of(portion_of(data))
    assert len(counts) >= AGENTS // 2


def test_those_that_print_little_have_one_turn_together(tmp_path: Path) -> None:
    """Fifty agents that print a line each are read in one turn: nobody waits for nothing."""
    assert pieces_by_turn(tmp_path, b"a line\n") == [AGENTS]


def test_first_come_first_served() -> None:
    """Who waits longest goes on first, and nobody new before those."""
    clock, went = Clock(), []
    shares = Shares(clock, work=10)

    def work(name: str) -> None:
        went.append(name)
        shares.spend(10)

    for name in "abcd":
        shares.mine().addCallback(lambda _, name=name: work(name))
    assert went == ["a"]
    take_a_turn(clock)
    shares.mine().addCallback(lambda _: work("e"))
    assert went == ["a", "b"]
    while clock.calls:
        take_a_turn(clock)
    assert went == ["a", "b", "c", "d", "e"]


def test_who_leaves_holds_up_nobody() -> None:
    """One that waits no more is passed over."""
    clock, went = Clock(), []
    shares = Shares(clock, work=1)
    shares.mine()
    shares.spend(1)
    first, second = shares.mine(), shares.mine()
    second.addCallback(went.append)
    first.addErrback(lambda failure: failure.trap(CancelledError) and None)
    first.cancel()
    take_a_turn(clock)
    assert went == [None]
