"""
What the routes of tasks cost, over 1,000 sessions of 50 tasks each, idle and while tasks change.

``python -m benchmarks.tasks`` writes a state directory into a temporary one (20 MB), serves it and
prints what it measures; ``--json FILE`` writes it too, and ``--rst FILE`` for the documentation.

Each question is asked of a server over loopback, many times on one connection, by another process
that only counts what comes: first while nothing happens, then while a third process changes tasks
in the files of one session after another, which the server reads, logs and tells to a stream. The
time of an answer is that of its last byte. On another machine it is the ratios that stay:
each row has that of its time to that of ``/health/live``, which costs the same whatever there is.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from benchmarks.beat import Beat
from benchmarks.history import with_server
from benchmarks.history_logs import REACTOR
from benchmarks.history_tables import Row, Table, publish
from benchmarks.tasks_files import CHANGER, session_name, task_name, write_sessions
from benchmarks.tasks_questions import ASKER, QUESTIONS

FLOOR: Final = "/health/live"


@attrs.frozen
class Size:
    """How much there is, and how much is asked and changed."""

    sessions: int
    tasks: int
    asks: int
    changes: int


class Worker:
    """A program that is told one thing at a time, as JSON in a line, and answers so."""

    def __init__(self, program: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, *what: object) -> Any:
        """Tell it, and wait for its answer."""
        process = self._process
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(json.dumps(what) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.communicate()


@contextmanager
def changing(directory: Path, size: Size) -> Iterator[None]:
    """Have tasks change meanwhile."""
    about = [str(directory), size.sessions, size.changes]
    with subprocess.Popen(
        [sys.executable, "-c", CHANGER, *map(str, about)], stdin=subprocess.PIPE
    ) as process:
        try:
            yield
        finally:
            process.communicate()  # it ends with its input


def percentile(values: list[float], share: float) -> float:
    """The value that so large a share of all does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def asked(port: int, asker: Worker, targets: dict[str, str], asks: int) -> dict[str, Any]:
    """Ask each question so many times; by name, what came."""
    found = {}
    for name, target in targets.items():
        beat = Beat()
        seconds, size = await deferToThread(asker.do, port, target, asks)
        beat.stop()
        found[name] = {
            "KB": size / 1000,
            "p50": percentile(seconds, 0.5) * 1000,
            "p99": percentile(seconds, 0.99) * 1000,
            "held": beat.busy * 1000,
        }
    return found


async def ready(port: int, asker: Worker, size: Size) -> None:
    """Wait until all that is on the disk is known."""
    wanted = size.sessions * size.tasks
    while (await deferToThread(asker.do, port, "/api/tasks?limit=1", None))["pagination"][
        "total"
    ] < wanted:
        await deferLater(REACTOR, 0.5)


async def measured(directory: Path, size: Size) -> Table:
    """Measure everything."""
    await deferToThread(write_sessions, directory, size.sessions, size.tasks)

    async def work(port: int) -> Table:
        with ExitStack() as stack:
            asker, listener = Worker(ASKER), Worker(ASKER)
            stack.callback(asker.close)
            stack.callback(listener.close)
            await ready(port, asker, size)
            half = size.sessions * size.tasks // 2
            middle = await deferToThread(
                asker.do, port, f"/api/tasks?limit=1&offset={half - 1}", None
            )
            targets = {
                name: target.format(
                    session=session_name(size.sessions // 2),
                    task=task_name(size.tasks // 2),
                    half=half,
                    last=max(0, 2 * half - 100),
                    cursor=middle["pagination"]["nextCursor"],
                )
                for name, target in QUESTIONS.items()
            }
            idle = await asked(port, asker, targets, size.asks)
            listener.do(port, "/api/events", 0)
            with changing(directory, size):
                busy = await asked(port, asker, targets, size.asks)
            return rows_of(idle, busy)

    return await with_server(directory, lambda port: ensureDeferred(work(port)))


def rows_of(idle: dict[str, Any], busy: dict[str, Any]) -> Table:
    """Put side by side what was measured while nothing happened and while tasks changed."""
    return [
        Row(
            name,
            {
                "KB": idle[name]["KB"],
                "p50": idle[name]["p50"],
                "p99": idle[name]["p99"],
                "changing p50": busy[name]["p50"],
                "changing p99": busy[name]["p99"],
                "reactor busy": max(idle[name]["held"], busy[name]["held"]),
                "p50 / live": idle[name]["p50"] / idle[FLOOR]["p50"],
            },
        )
        for name in idle
    ]


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=1_000, metavar="N")
    parser.add_argument("--tasks", type=int, default=50, metavar="N", help="of each session")
    parser.add_argument("--asks", type=int, default=300, metavar="N", help="of each question")
    parser.add_argument("--changes", type=int, default=50, metavar="N", help="files a second")

    async def run(options: argparse.Namespace) -> dict[str, Table]:
        size = Size(options.sessions, options.tasks, options.asks, options.changes)
        with tempfile.TemporaryDirectory(prefix="tasks-") as directory:
            table = await measured(Path(directory), size)
        title = (
            f"{size.sessions:,} sessions of {size.tasks} tasks, ms; "
            f"{size.changes} files changed a second"
        )
        return {title: table}

    publish(parser, run)


if __name__ == "__main__":
    main()
