"""
What it costs to watch a state directory: 1,000 sessions with 50 tasks each, and long lists.

``python -m benchmarks.state`` makes its directories in a temporary one (a few minutes) and prints
what it measures; ``--json FILE`` writes it too, and ``--rst FILE`` for the documentation.

Files are changed by another process, which also reads the stream: the time of a change is from the
renaming of the file to the arrival of its event. How long the reactor was held meanwhile is seen
by a timer of its own: how late it was, which on a busy machine is the fault of others too, and how
much processor time the reactor's thread took before.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from benchmarks.beat import Beat
from benchmarks.history_logs import REACTOR
from benchmarks.history_tables import Row, Table, publish
from benchmarks.state_changer import session_name, tasks_of
from loki_twisted.command.running import set_what_is_there_aside
from loki_twisted.service import Service
from loki_twisted.settings import Settings

SESSIONS: Final = 1_000
TASKS: Final = 50
RATES: Final = (20, 100, 300)
SECONDS: Final = 20
LARGE: Final = (1_000, 5_000, 15_000)
LARGE_CHANGES: Final = 20


class Changer:
    """The process that changes files."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.state_changer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def change(self, *order: Any) -> list[float]:
        """Have files changed, and wait for the milliseconds that each took."""
        process = self._process
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        return [float(each) for each in json.loads(process.stdout.readline())]

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def make_project(directory: Path, sessions: int, tasks: int) -> Path:
    """Write the state directory of a project, as an agent leaves it that has begun to work."""
    root = directory / ".loki"
    for number in range(sessions):
        place = root / "sessions" / session_name(number)
        place.mkdir(parents=True)
        for name, value in {
            "session.json": {"status": "running", "provider": "claude"},
            "phase.json": {"current": "development"},
            "agents.json": {"active": [{"id": "a1", "type": "developer"}]},
            "tasks.json": {"tasks": tasks_of(number, tasks)},
        }.items():
            (place / name).write_text(json.dumps(value), encoding="utf-8")
    return directory


class Served:
    """A server of a project, and how long it held the reactor."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.service = Service(
            Settings(
                loki_dir=str(project),
                data_dir=str(project / ".loki" / "server"),
                host="127.0.0.1",
                port=0,
            ),
            REACTOR,
        )

    async def start(self) -> dict[str, float]:
        """Start it, and wait until all that is there has been told."""
        set_what_is_there_aside()  # as ``loki serve`` does, whose process would be a new one
        beat, began = Beat(), time.perf_counter()
        self.service.startService()
        [address] = await self.service.ready
        self.port = int(address.rpartition(":")[2])
        ready = time.perf_counter() - began
        await self.service.rooms.watcher.watch(str(self.project), {})
        told = time.perf_counter() - began
        return {"ready": ready * 1000, "all told": told * 1000, **held(beat)}

    def stop(self) -> Deferred[None]:
        """End it."""
        return self.service.stopService()

    async def changed(
        self, changer: Changer, sessions: int, tasks: int, rate: float, count: int
    ) -> dict[str, float]:
        """Have files changed at a steady rate."""
        beat = Beat()
        root = str(self.project / ".loki")
        times = await deferToThread(changer.change, self.port, root, sessions, tasks, rate, count)
        missing = {"missing": count - len(times)} if len(times) < count else {}
        return {**missing, **spread(times), **held(beat)}


def held(beat: Beat) -> dict[str, float]:
    """How long the reactor was held, in milliseconds."""
    beat.stop()
    return {"reactor late": beat.late * 1000, "reactor busy": beat.busy * 1000}


def spread(times: list[float]) -> dict[str, float]:
    """The middle, the worst of 99 in 100, and the worst."""
    if not times:
        return {}
    return {
        "p50": statistics.median(times),
        "p99": sorted(times)[(len(times) * 99 - 1) // 100],
        "max": max(times),
    }


async def many_sessions(directory: Path, changer: Changer, scale: float) -> tuple[Table, Table]:
    """Start with many sessions that nobody knew, change them, and start again."""
    sessions = max(2, int(SESSIONS * scale))
    project = make_project(directory / "many", sessions, TASKS)
    starts, changes = [], []
    server = Served(project)
    starts.append(Row("nothing known", await server.start()))
    for rate in RATES:
        await deferLater(REACTOR, scale)
        count = max(2, int(rate * SECONDS * scale))
        figures = await server.changed(changer, sessions, TASKS, rate, count)
        changes.append(Row(f"{rate} files a second", figures))
    await server.stop()
    server = Served(project)
    starts.append(Row("all known", await server.start()))
    await server.stop()
    return starts, changes


async def large_lists(directory: Path, changer: Changer, scale: float) -> tuple[Table, Table]:
    """Start with one session that has many tasks, change one task at a time, and start again."""
    starts, changes = [], []
    for tasks in (max(2, int(each * scale)) for each in LARGE):
        project = make_project(directory / f"large-{tasks}", 1, tasks)
        server = Served(project)
        starts.append(Row(f"{tasks:,} tasks, nothing known", await server.start()))
        figures = await server.changed(changer, 1, tasks, 4, LARGE_CHANGES)
        changes.append(Row(f"{tasks:,} tasks", figures))
        await server.stop()
        server = Served(project)
        starts.append(Row(f"{tasks:,} tasks, all known", await server.start()))
        await server.stop()
    return starts, changes


async def measured(directory: Path, scale: float) -> dict[str, Table]:
    """Measure everything."""
    changer = Changer()
    starts, changes = await many_sessions(directory, changer, scale)
    large_starts, large_changes = await large_lists(directory, changer, scale)
    changer.close()
    many = f"{max(2, int(SESSIONS * scale)):,} sessions with {TASKS} tasks each"
    return {
        f"Start with {many}, ms": starts,
        f"Change to event, {many}, ms": changes,
        "Start with one long list of tasks, ms": large_starts,
        "Change of one task to event, in one long list, ms": large_changes,
    }


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="do so much of it")

    async def run(options: argparse.Namespace) -> dict[str, Table]:
        with tempfile.TemporaryDirectory(prefix="state-") as directory:
            return await measured(Path(directory), options.scale)

    publish(parser, run)


if __name__ == "__main__":
    main()
