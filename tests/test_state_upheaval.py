"""Whatever happens to a state directory, sessions, tasks and agents come to be what it says."""

from __future__ import annotations

import errno
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from loki_twisted.state import tree as tree_module
from tests.fakes_state import nothing_fails, refusing, turn
from tests.upheaval import Upheaval, Watched

PROMISED_SECONDS = 3.0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Many seeds with ``--full``, else a few."""
    count = 30 if metafunc.config.getoption("--full") else 3
    metafunc.parametrize("seed", range(count))


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A project, and a server of it that is ended afterwards."""
    watched = Watched(tmp_path)
    with nothing_fails():
        yield watched
        pytest_twisted.blockon(Deferred.fromCoroutine(watched.stop()))


async def longest_wait(watched: Watched, seed: int, steps: int, **more: Any) -> float:
    """Do random things; gives the seconds after which what was known was true again, at most."""
    rng = random.Random(seed)
    upheaval = Upheaval(watched.state, rng)
    longest = 0.0
    await watched.start(**more)
    for step in range(1, steps + 1):
        upheaval.step()
        if rng.random() < 0.2:
            await turn(rng.choice((0, 0, 0.002, 0.015)))
        if step % 200 == 0:
            began = time.monotonic()
            assert await watched.untrue_in_the_end() == {}, step
            longest = max(longest, time.monotonic() - began)
        if step % 500 == 0:
            await watched.stop()
            for _ in range(rng.randint(0, 20)):
                upheaval.step()
            await watched.start(**more)
    await watched.watcher.settle(str(watched.project))
    assert await watched.untrue() == {}
    return longest


@pytest.mark.promise("R20")
@pytest.mark.timeout(600)
@pytest_twisted.ensureDeferred
async def test_sessions_come_to_be_what_the_disk_says(
    watched: Watched, seed: int, is_full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After hundreds of random operations the rows are those of a cold look, by notices alone."""
    monkeypatch.setattr(tree_module, "FULL_LOOK_PERIOD", 3600.0)
    longest = await longest_wait(watched, seed, 4000 if is_full else 600)
    if is_full:
        assert longest <= PROMISED_SECONDS
    check(await watched.events(), watched.state)


@pytest.mark.promise("R19")
@pytest.mark.timeout(600)
@pytest_twisted.ensureDeferred
async def test_without_notices_they_come_to_be_that_too(
    watched: Watched, seed: int, is_full: bool
) -> None:
    """Where inotify cannot be had, looking again and again leads to the same."""
    refused = refusing(errno.ENOSPC if seed % 2 else errno.EMFILE)
    steps = 4000 if is_full else 200
    longest = await longest_wait(watched, seed, steps, open_inotify=refused)
    if is_full:
        assert longest <= PROMISED_SECONDS


def check(events: list[tuple[str, str, Any]], state: Path) -> None:
    """No line was told twice, none that is still there was missed; no agent came or left twice."""
    lines = [data["message"] for _, kind, data in events if kind == "log:info"]
    told = Counter(int(line.split()[1]) for line in lines)
    assert [line for line, count in told.items() if count > 1] == []
    on_disk = {
        int(line.split()[1])
        for path in state.rglob("*.log")
        if path.is_file()
        for line in path.read_text().splitlines()
    }
    assert on_disk - told.keys() == set()
    at_work: dict[tuple[str, str], bool] = {}
    for session_id, kind, data in events:
        if kind.startswith("agent:"):
            agent = session_id, data["agentId"]
            assert at_work.get(agent, False) == (kind == "agent:completed")
            at_work[agent] = kind == "agent:spawned"
