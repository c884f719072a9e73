"""Each line once, though logs are moved about between any two steps of reading them."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.fakes_state import open_below
from tests.moving_logs import Mover, Reader

ROUNDS = 40


def settle(reader: Reader) -> None:
    """Read until there is nothing left."""
    reader.between = lambda: None
    for _ in range(50):
        reader.round(steady=True)
        if not reader.backlog and not reader.tree.look():
            return
    pytest.fail("it never comes to an end")


def move_away(state: Path) -> None:
    """Move a directory of logs out of sight, if it is in sight."""
    if (state / "logs").exists():
        (state / "logs").rename(state / "away")


@pytest.mark.promise("R21")
def test_no_line_is_told_twice_however_logs_move(
    tmp_path: Path, is_full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Logs and whole directories are renamed, moved out and back before any look at the disk, the
    server ends in the middle: no line is told twice, and none that is there is missed.
    """
    for seed in range(1000 if is_full else 60):
        state = tmp_path / str(seed) / ".loki"
        state.mkdir(parents=True)
        rng = random.Random(seed)
        reader, mover = Reader(state, rng), Mover(state, rng)
        chance = rng.choice((0.05, 0.2, 0.5))

        def between(mover: Mover = mover, chance: float = chance) -> None:
            if mover.rng.random() < chance:
                mover.step()

        with monkeypatch.context() as patch:
            reader.disturb(patch)
            for _ in range(ROUNDS):
                for _ in range(rng.randint(0, 3)):
                    mover.step()
                reader.between = between
                reader.round()
            settle(reader)
        told = Counter(reader.told)
        assert [line for line, count in told.items() if count > 1] == [], seed
        on_disk = {line for path in state.rglob("*.log") for line in path.read_text().splitlines()}
        assert on_disk - told.keys() == set(), seed
        reader.held.drop(str(state))
    assert open_below(tmp_path) == []


def test_a_log_that_is_away_just_when_it_is_read_is_read_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that is moved out and back between two looks hides nothing that is in it."""
    state = tmp_path / ".loki"
    (state / "logs").mkdir(parents=True)
    (state / "logs/a.log").write_text("line 1\n")
    reader = Reader(state, random.Random(1))
    reader.disturb(monkeypatch)
    reader.between = lambda: move_away(state)
    reader.round(steady=True)
    (state / "away").rename(state / "logs")
    settle(reader)
    assert reader.told == ["line 1"]
    reader.held.drop(str(state))
