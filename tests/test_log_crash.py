"""What a kill, a limit of the system, and the like leave behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.filters import EventFilter
from tests.log_support import TIMEOUT, ThreadedClock, connect, read_all

WRITER = """
import sys
from twisted.internet import reactor, task
from twisted.internet.defer import ensureDeferred, gatherResults
from loki_twisted.log.interface import Batch
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.events import Fact

async def source(log, name):
    number = 0
    while True:
        number += 1
        facts = [Fact("log:info", {"message": f"{name} {number} {i}"}) for i in range(number % 9)]
        batch = Batch(session_id=name, at_ms=number, facts=facts, cursors={name: str(number)})
        bounds = await log.append(batch)
        sys.stdout.write(f"{bounds.newest} {name} {number}\\n")
        sys.stdout.flush()

async def main(reactor):
    log = SQLiteEventLog(reactor, sys.argv[1])
    await log.start()
    await gatherResults([ensureDeferred(source(log, f"s{n}")) for n in range(8)])

task.react(lambda reactor: ensureDeferred(main(reactor)))
"""

CUTTER = """
import sys
from twisted.internet import reactor, task
from twisted.internet.defer import ensureDeferred
from loki_twisted.log.interface import Batch
from loki_twisted.log.retention import Retention
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.events import Fact
from loki_twisted.model.sessions import Session, SessionStatus

async def main(reactor):
    retention = Retention(events=int(sys.argv[2]), running_events=10)
    log = SQLiteEventLog(reactor, sys.argv[1], retention=retention)
    await log.start()
    session = Session(id="quiet", status=SessionStatus.RUNNING, provider="demo",
                      project_dir="/", started_at="a", updated_at="a")
    said = [Fact("log:info", {"message": str(number)}) for number in range(10)]
    await log.append(Batch(session_id="quiet", at_ms=1, facts=said, session=session))
    number = 0
    while True:
        number += 1
        facts = [Fact("log:info", {"message": f"{number} {i}"}) for i in range(number % 9)]
        bounds = await log.append(Batch(session_id=f"s{number % 4}", at_ms=number, facts=facts))
        sys.stdout.write(f"{bounds.newest} {len(bounds)}\\n")
        sys.stdout.flush()

task.react(lambda reactor: ensureDeferred(main(reactor)))
"""

FULL = """
import resource, sys
from twisted.internet import reactor, task
from twisted.internet.defer import ensureDeferred
from loki_twisted.log.limits import Limits
from loki_twisted.log.interface import Batch
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.errors import StorageFull
from loki_twisted.model.events import Fact

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def main(reactor):
    log = SQLiteEventLog(reactor, sys.argv[1], limits=Limits(probe_seconds=0.01))
    await log.start()
    batch = Batch(session_id="s", at_ms=1, facts=[Fact("log:info", {"message": "x" * 50_000})])
    for cycle in range(3):
        limit(log.bounds.newest * 50_000 + 500_000)
        try:
            while True:
                await log.append(batch)
        except StorageFull:
            print("full", log.bounds.newest, log.failure is not None, flush=True)
        limit(resource.RLIM_INFINITY)
        while log.failure is not None:
            await task.deferLater(reactor, 0.01)
        await log.append(batch)
        print("again", log.bounds.newest, flush=True)
    await log.stop()

task.react(lambda reactor: ensureDeferred(main(reactor)))
"""

HASTY = """
import sys
from twisted.internet import task
from twisted.internet.defer import ensureDeferred
from loki_twisted.log.interface import Batch
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.events import Fact

async def main(reactor):
    log = SQLiteEventLog(reactor, sys.argv[1])
    await log.start()
    await log.append(Batch(session_id="s", at_ms=1, facts=[Fact("log:info", {})]))
    print(await log.time_of(1), await log.sessions(10, 0))

task.react(lambda reactor: ensureDeferred(main(reactor)))
"""


def integrity_of(path: Path) -> object:
    with closing(connect(path)) as connection:
        return connection.pragma("integrity_check")


def run_until_killed(path: Path, lines: int, program: str = WRITER, *more: str) -> list[str]:
    """Let a child append as fast as it can, and kill it; gives what it told."""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path), *more], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        guard = threading.Timer(TIMEOUT, child.kill)
        guard.start()
        told = [child.stdout.readline() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        told += child.stdout.readlines()
        guard.cancel()
    return [line for line in told if line.endswith("\n")]


@pytest.mark.promise("R1")
@pytest.mark.timeout(1200)
def test_a_kill_loses_nothing_that_was_told(tmp_path: Path, is_full: bool) -> None:
    """After kill -9 at any moment the log has every event that was acknowledged, without a hole."""
    path = tmp_path / "log.db"
    for kill in range(200 if is_full else 8):
        told = run_until_killed(path, 1 + 97 * kill % 1500)
        assert told

        clock = ThreadedClock()
        log = SQLiteEventLog(clock, str(path))
        clock.result(log.start())
        cursors = clock.result(log.cursors(""))
        numbers = [int(frame.split(b"_")[1]) for frame in read_all(clock, log)]
        bounds = log.bounds
        clock.result(log.stop())

        assert log.notices == []
        assert bounds.newest >= max(int(line.split()[0]) for line in told)
        assert numbers == list(range(1, bounds.newest + 1))
        for name, number in (line.split()[1:] for line in told):
            assert int(cursors[name]) >= int(number)
    assert integrity_of(path) == "ok"


@pytest.mark.promise("R1")
@pytest.mark.timeout(1200)
def test_a_kill_while_the_log_is_cut(tmp_path: Path, is_full: bool) -> None:
    """
    After kill -9 while events are dropped the log is whole: nothing is missing behind the hole,
    and running sessions have what they keep.
    """
    path = tmp_path / "log.db"
    for kill in range(100 if is_full else 6):
        # Every other time there is much too much from the start.
        limit = 3_000 if kill % 2 else 100
        told = run_until_killed(path, 1 + 61 * kill % 700, CUTTER, str(limit))
        assert told
        newest, held = map(int, told[-1].split())

        clock = ThreadedClock()
        log = SQLiteEventLog(clock, str(path))
        clock.result(log.start())
        bounds = log.bounds
        numbers = [int(frame.split(b"_")[1]) for frame in read_all(clock, log)]
        quiet = read_all(clock, log, EventFilter("quiet"))
        clock.result(log.stop())

        assert log.notices == []
        assert bounds.newest >= newest
        assert len(bounds) == len(numbers) <= held + bounds.newest - newest + 3_000
        assert numbers[bounds.kept :] == list(range(bounds.complete_from, bounds.newest + 1))
        assert len(quiet) >= 10
    assert bounds.complete_from > 1
    assert integrity_of(path) == "ok"


@pytest.mark.promise("R15")
def test_no_room_and_room_again(tmp_path: Path) -> None:
    """Where files may not grow appending fails as a full disk; when they may, it works again."""
    path = tmp_path / "log.db"
    ran = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )

    told = [line.split() for line in ran.stdout.splitlines()]
    assert [line[0] for line in told] == ["full", "again"] * 3
    for full, again in zip(told[::2], told[1::2], strict=True):
        assert full[2] == "True"
        assert int(again[1]) == int(full[1]) + 1
    clock = ThreadedClock()
    log = SQLiteEventLog(clock, str(path))
    clock.result(log.start())
    assert len(read_all(clock, log)) == log.bounds.newest == int(told[-1][1])
    clock.result(log.stop())
    assert integrity_of(path) == "ok"


def test_nobody_waits_for_a_log_that_was_not_stopped(tmp_path: Path) -> None:
    """A process that ends without stopping its log ends, and what was told is there."""
    path = tmp_path / "log.db"
    ran = subprocess.run(
        [sys.executable, "-c", HASTY, str(path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )

    assert ran.stdout == "1 []\n"
    clock = ThreadedClock()
    log = SQLiteEventLog(clock, str(path))
    clock.result(log.start())
    assert log.bounds.newest == 1
    clock.result(log.stop())
