"""What a log costs beside its use: opening it, appending to it, and keeping it to a limit."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from twisted.internet import task
from twisted.internet.defer import ensureDeferred, gatherResults

from benchmarks.history_logs import (
    MS,
    REACTOR,
    SHAPES,
    drop_from_cache,
    fact_of,
    place_of,
)
from benchmarks.history_tables import Row, Table
from loki_twisted.log.interface import Batch
from loki_twisted.log.ledger import Ledger
from loki_twisted.log.opening import open_log
from loki_twisted.log.retention import KEEP_ALL, Retention
from loki_twisted.log.store import SQLiteEventLog

STARTS: Final = 5
ROUNDS: Final = 3
REST_SECONDS: Final = 0.5
LEFT: Final = 50_000
"""How many events are left when most are dropped."""

# Opening


def opening(directory: Path) -> Table:
    """Open the logs, by itself and with the whole server in a new process."""
    table = []
    for shape, per_block in SHAPES.items():
        place = place_of(directory, per_block)
        figures = {}
        for temperature in ("cold", "warm"):
            if temperature == "cold":
                drop_from_cache(place / "log.db")
            began = time.perf_counter()
            log = open_log(str(place / "log.db"), lambda: MS)
            figures[f"log, {temperature}"] = (time.perf_counter() - began) * 1000
            for connection in (*log.readers, log.connection):
                connection.close()
        figures["server ready"] = quickest_start(place)
        table.append(Row(shape, figures))
    empty = directory / "empty"
    empty.mkdir(mode=0o700)
    table.append(Row("no log yet", {"server ready": quickest_start(empty)}))
    return table


def quickest_start(place: Path) -> float:
    """The milliseconds of the quickest of some starts, each with a cold log."""
    times = []
    for _ in range(STARTS):
        if (place / "log.db").exists():
            drop_from_cache(place / "log.db")
        times.append(server_start(place) * 1000)
    return min(times)


def server_start(place: Path) -> float:
    """Start a server, and say after how many seconds it serves."""
    command = [sys.executable, "-m", "loki_twisted", "serve", "--port", "0"]
    began = time.perf_counter()
    with subprocess.Popen(
        [*command, "--loki-dir", str(place), "--data-dir", str(place), "--retain-events", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None  # noqa: S101
        for line in process.stderr:
            if "http://127.0.0.1:" in line:
                break
        seconds = time.perf_counter() - began
        process.terminate()
        process.stderr.read()
    return seconds


# Keeping to a limit


async def appending(directory: Path, events: int) -> Table:
    """Append to the logs while all is kept, and at their limit; the best of some rounds counts."""
    table = []
    for shape, per_batch, sources in (("blocks of 150", 500, 4), ("blocks of 1", 1, 64)):
        path = place_of(directory, SHAPES[shape]) / "log.db"
        batches = max(1, events // (4 * per_batch if per_batch > 1 else 40))
        limits = (
            ("all is kept", KEEP_ALL),
            ("at a limit of events", Retention(events=events)),
            ("at a limit of bytes", Retention(size=path.stat().st_size)),
        )
        for name, retention in limits:
            log = SQLiteEventLog(REACTOR, str(path), retention=retention)
            await log.start()
            await append(log, sources, per_batch, max(1, batches // 5))
            times, spent = [], []
            for _ in range(ROUNDS):
                await rest(log)
                began, processor = time.perf_counter(), time.process_time()
                await append(log, sources, per_batch, batches)
                times.append(time.perf_counter() - began)
                spent.append(time.process_time() - processor)
            figures = {
                "events/s": batches * per_batch / min(times),
                "CPU us/event": min(spent) / (batches * per_batch) * 1e6,
                "events held": len(log.bounds),
            }
            await log.stop()
            figures["MB"] = path.stat().st_size / 1e6
            table.append(Row(f"batches of {per_batch} from {sources} sources; {name}", figures))
    return table


async def rest(log: SQLiteEventLog) -> None:
    """Wait until nothing is dropped any more."""
    before = None
    while log.bounds != before:
        before = log.bounds
        await task.deferLater(REACTOR, REST_SECONDS)


async def append(log: SQLiteEventLog, sources: int, per_batch: int, batches: int) -> None:
    """Append batches from sources that each wait for their last one."""
    facts = [fact_of(number + 2, 0) for number in range(per_batch)]
    numbers = iter(range(batches))

    async def source(name: str) -> None:
        for number in numbers:
            await log.append(Batch(session_id=name, at_ms=MS + number, facts=facts))

    await gatherResults([ensureDeferred(source(f"session_{n}")) for n in range(sources)])


def slices(directory: Path) -> Table:
    """Have most of the logs dropped, and measure each slice; the files are lost by that."""
    table = []
    for shape, per_block in SHAPES.items():
        path = place_of(directory, per_block) / "log.db"
        drop_from_cache(path)
        log = open_log(str(path), lambda: MS)
        size = path.stat().st_size
        ledger = Ledger(str(path), log, lambda _: None, Retention(events=LEFT), lambda: MS)
        times, busy = [], []
        more = True
        while more:
            began, spent = time.perf_counter(), time.thread_time()
            more = ledger.tidy()
            times.append((time.perf_counter() - began) * 1000)
            busy.append((time.thread_time() - spent) * 1000)
        ledger.close()
        times.sort()
        table.append(
            Row(
                shape,
                {
                    "slices": len(times),
                    "median": statistics.median(times),
                    "p99": times[int(len(times) * 0.99)],
                    "longest": times[-1],
                    "longest busy": max(busy),
                    "MB before": size / 1e6,
                    "MB after": path.stat().st_size / 1e6,
                },
            )
        )
    return table
