"""
What the history costs, in a log of 1,000,000 events: asking, opening, keeping to a limit.

``python -m benchmarks.history`` makes its logs in a temporary directory (1 GB, two minutes) and
prints what it measures; ``--json FILE`` writes it too.

Each question is asked of a server over loopback, by another process that only counts what comes. So
the time of an answer is that of its last byte; how long the reactor was held meanwhile is seen by
a timer of its own. There are two logs: one whose events lie in blocks of 40 KB, as those of a busy
agent do, and one with a block for each event, which is the worst that can be.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet import reactor, task
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.threads import deferToThread

from loki_twisted.log.changes import NOTHING
from loki_twisted.log.interface import Batch
from loki_twisted.log.ledger import Ledger
from loki_twisted.log.opening import open_log
from loki_twisted.log.retention import KEEP_ALL, Retention
from loki_twisted.log.rows import NewBlock, new_block
from loki_twisted.log.statements import write
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.blocks import block_of_facts
from loki_twisted.model.events import Fact
from loki_twisted.service import Service
from loki_twisted.settings import Settings

REACTOR: Final[Any] = reactor  # Twisted's own types do not say all that it is

MS: Final = 1_790_000_000_000
SESSIONS: Final = tuple(f"session_{MS + n}_{n:08x}" for n in range(8))
SHAPES: Final = {"blocks of 150": 150, "blocks of 1": 1}
LIMIT: Final = 100
COMMIT_EVENTS: Final = 5_000
REPEATS: Final = 5
BEAT_SECONDS: Final = 0.001
LARGE_EVENTS: Final = 1_000
LARGE_BYTES: Final = 64_000

QUESTIONS: Final = {
    "no filter": "",
    "session, an eighth": f"sessionId={SESSIONS[3]}",
    "session, none": "sessionId=session_0_nobody",
    "types, nearly all": "types=log:*",
    "types, 1 in 100": "types=task:progress",
    "types, 1 in 10,000": "types=metrics:update",
    "types, none": "types=input:requested",
    "types, only the oldest": "types=session:started",
    "types, only the newest": "types=session:stopped",
    "session and types, nearly all": f"sessionId={SESSIONS[3]}&types=log:*",
    "session and types, few": f"sessionId={SESSIONS[3]}&types=metrics:update",
    "session and types, none": f"sessionId={SESSIONS[3]}&types=input:requested",
    "minLevel error, 1 in 100": "minLevel=error&types=log:*",
}


@attrs.frozen
class Row:
    """
    One thing that was measured.

    :ivar what: What it is about.
    :ivar figures: By name; times in milliseconds.
    """

    what: str
    figures: dict[str, float]


Table = list[Row]


# Logs


def fact_of(seq: int, newest: int) -> Fact:
    """What happened at a number: mostly log lines, some rare things, two that are unique."""
    message = f"line {seq} of an agent that has something to say about what it is doing now"
    if seq in (1, newest):
        return Fact("session:started" if seq == 1 else "session:stopped", {"status": "running"})
    if seq % 10_000 == 0:
        return Fact("metrics:update", {"tokensUsed": seq})
    if seq % 100 == 0:
        return Fact("task:progress", {"taskId": "t", "title": message, "status": "running"})
    level = "error" if seq % 100 == 1 else "info"
    return Fact(f"log:{level}", {"level": level, "message": message, "source": "agent"})


def blocks_of(events: int, per_block: int) -> Iterator[NewBlock]:
    """All blocks of a log; sessions take turns."""
    for number, seq in enumerate(range(1, events + 1, per_block)):
        last = min(seq + per_block - 1, events)
        facts = [fact_of(each, events) for each in range(seq, last + 1)]
        at_ms = MS + number
        yield new_block(block_of_facts(seq, at_ms, SESSIONS[number % 8], facts), at_ms)


def build(directory: Path, events: int, per_block: int) -> Path:
    """Make a log."""
    path = directory / "log.db"
    log = open_log(str(path), lambda: MS)
    with closing(log.connection) as connection:
        connection.pragma("synchronous", "off")
        connection.wal_autocheckpoint(1_000)
        rows = []
        for new in blocks_of(events, per_block):
            rows.append(new.row)
            if len(rows) * per_block >= COMMIT_EVENTS or new.block.last_seq == events:
                connection.execute("BEGIN")
                write(connection, rows, NOTHING)
                connection.execute("COMMIT")
                rows = []
        for reader in log.readers:
            reader.close()
        connection.wal_checkpoint(mode=3)
    return path


def drop_from_cache(path: Path) -> None:
    """Have the system forget what it has read of a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


# Questions


class Beat:
    """
    A timer that goes every millisecond, and sees when it could not.

    :ivar longest: By how many seconds it was late at most.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._due = time.perf_counter() + BEAT_SECONDS
        self._call = REACTOR.callLater(BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        now = time.perf_counter()
        self.longest = max(self.longest, now - self._due)
        self._due = now + BEAT_SECONDS
        self._call = REACTOR.callLater(BEAT_SECONDS, self._beat)

    def stop(self) -> None:
        """Go no more."""
        self._call.cancel()


@attrs.frozen
class Reply:
    """An answer: how many events, how many bytes, how many seconds to the last of them."""

    count: int
    size: int
    seconds: float


ASKER: Final = """
import http.client, json, re, sys, time
for line in sys.stdin:
    port, target = json.loads(line)
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", target)
    response = connection.getresponse()
    size, end = 0, b""
    while data := response.read1(1 << 16):
        size += len(data)
        end = (end + data)[-64:]
    seconds = time.perf_counter() - began
    connection.close()
    count = re.search(rb'"count":([0-9]+)}$', end)[1] if response.status == 200 else None
    print(json.dumps([int(count), size, seconds]), flush=True)
"""


class Asker:
    """A process that asks, and says what came. Each asks one thing at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", ASKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, port: int, target: str) -> Reply:
        """Ask once."""
        process = self._process
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(json.dumps([port, target]) + "\n")
        process.stdin.flush()
        return Reply(*json.loads(process.stdout.readline()))

    def close(self) -> None:
        """End it."""
        self._process.communicate()


async def asked(port: int, asker: Asker, path: Path, what: str, target: str) -> Row:
    """Ask with a cold cache, and then some more times."""
    await deferToThread(drop_from_cache, path)
    beat = Beat()
    replies = [await deferToThread(asker.ask, port, target) for _ in range(1 + REPEATS)]
    beat.stop()
    warm = [reply.seconds * 1000 for reply in replies[1:]]
    return Row(
        what,
        {
            "events": replies[0].count,
            "KB": replies[0].size / 1000,
            "cold": replies[0].seconds * 1000,
            "median": statistics.median(warm),
            "longest": max(warm),
            "reactor held": beat.longest * 1000,
        },
    )


async def with_server(directory: Path, work: Callable[[int], Deferred[Table]]) -> Table:
    """Serve the log of a directory while something is done."""
    settings = Settings(
        loki_dir=str(directory),
        data_dir=str(directory),
        host="127.0.0.1",
        port=0,
        retain_events=None,
    )
    service = Service(settings, REACTOR)
    service.startService()
    [address] = await service.ready
    try:
        return await work(int(address.rpartition(":")[2]))
    finally:
        await service.stopService()


async def questions(directory: Path, events: int) -> Table:
    """Ask all questions in both directions."""
    asker = Asker()
    table = []
    for shape, per_block in SHAPES.items():
        place = directory / f"of-{per_block}"
        place.mkdir(mode=0o700)
        path = build(place, events, per_block)

        async def all_of_them(port: int, shape: str = shape, path: Path = path) -> Table:
            return [
                await asked(
                    port,
                    asker,
                    path,
                    f"{shape}; {name}; {direction}",
                    f"/api/events/history?limit={LIMIT}&{query}{start}",
                )
                for name, query in QUESTIONS.items()
                for direction, start in (("last", ""), ("first", "&after=earliest"))
            ]

        table += await with_server(place, lambda port: ensureDeferred(all_of_them(port)))
    asker.close()
    return table


async def large_events(directory: Path) -> Table:
    """Ask for as much as may be asked for, of events that are as large as a line may be."""
    asker = Asker()
    place = directory / "large"
    place.mkdir(mode=0o700)
    log = SQLiteEventLog(REACTOR, str(place / "log.db"))
    await log.start()
    for number in range(LARGE_EVENTS):
        fact = Fact("log:info", {"message": "x" * LARGE_BYTES})
        await log.append(Batch(session_id=SESSIONS[0], at_ms=MS + number, facts=[fact]))
    await log.stop()

    async def both(port: int) -> Table:
        target = f"/api/events/history?limit={LARGE_EVENTS}"
        return [
            await asked(
                port, asker, place / "log.db", f"events of 64 KB; {direction}", target + end
            )
            for direction, end in (("last", ""), ("first", "&after=earliest"))
        ]

    table = await with_server(place, lambda port: ensureDeferred(both(port)))
    asker.close()
    return table


# Opening


def opening(directory: Path) -> Table:
    """Open the logs, by itself and with the whole server in a new process."""
    table = []
    for shape, per_block in SHAPES.items():
        place = directory / f"of-{per_block}"
        figures = {}
        for temperature in ("cold", "warm"):
            if temperature == "cold":
                drop_from_cache(place / "log.db")
            began = time.perf_counter()
            log = open_log(str(place / "log.db"), lambda: MS)
            figures[f"log, {temperature}"] = (time.perf_counter() - began) * 1000
            for connection in (*log.readers, log.connection):
                connection.close()
        drop_from_cache(place / "log.db")
        figures["server ready"] = server_start(place) * 1000
        table.append(Row(shape, figures))
    empty = directory / "empty"
    empty.mkdir(mode=0o700)
    table.append(Row("no log yet", {"server ready": server_start(empty) * 1000}))
    return table


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
    """Append to a log that keeps all, and to one that is at its limit."""
    table = []
    for shape, sources, per_batch in (("500 from 4", 4, 500), ("1 from 64", 64, 1)):
        batches = max(1, events // (50 * per_batch if per_batch == 1 else 5 * per_batch))
        for name, retention in (
            ("all is kept", KEEP_ALL),
            ("at a limit of events", Retention(events=10_000)),
            ("at a limit of bytes", Retention(size=20_000_000)),
        ):
            place = Path(tempfile.mkdtemp(dir=directory))
            log = SQLiteEventLog(REACTOR, str(place / "log.db"), retention=retention)
            await log.start()
            await append(log, sources, per_batch, max(1, 60_000 // per_batch))
            began, processor = time.perf_counter(), time.process_time()
            await append(log, sources, per_batch, batches)
            seconds = time.perf_counter() - began
            count = batches * per_batch
            table.append(
                Row(
                    f"batches of {shape} sources; {name}",
                    {
                        "events/s": count / seconds,
                        "CPU us/event": (time.process_time() - processor) / count * 1e6,
                        "events held": len(log.bounds),
                        "MB": sum(each.stat().st_size for each in place.iterdir()) / 1e6,
                    },
                )
            )
            await log.stop()
    return table


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
        path = directory / f"of-{per_block}" / "log.db"
        drop_from_cache(path)
        log = open_log(str(path), lambda: MS)
        size = path.stat().st_size
        ledger = Ledger(str(path), log, lambda _: None, Retention(events=50_000), lambda: MS)
        times = []
        more = True
        while more:
            began = time.perf_counter()
            more = ledger.tidy()
            times.append((time.perf_counter() - began) * 1000)
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
                    "MB before": size / 1e6,
                    "MB after": path.stat().st_size / 1e6,
                },
            )
        )
    return table


# All of it


async def measured(directory: Path, events: int) -> dict[str, Table]:
    """Measure everything, in the order in which one thing needs what another has made."""
    return {
        f"{LIMIT} events of {events:,} by GET /api/events/history, ms": await questions(
            directory, events
        ),
        f"{LARGE_EVENTS:,} events of 64 KB, ms": await large_events(directory),
        f"Opening a log of {events:,} events, ms": await deferToThread(opening, directory),
        "Appending": await appending(directory, events),
        f"Dropping all but 50,000 of {events:,}, ms a slice": await deferToThread(
            slices, directory
        ),
    }


def as_text(tables: dict[str, Table]) -> str:
    """Write tables for people."""
    lines = []
    for title, table in tables.items():
        names = list(dict.fromkeys(name for row in table for name in row.figures))
        width = max(len(row.what) for row in table)
        lines += ["", title, " " * width + "".join(f"{name:>15}" for name in names)]
        for row in table:
            cells = [
                f"{row.figures[name]:15,.1f}" if name in row.figures else " " * 15 for name in names
            ]
            lines.append(f"{row.what:<{width}}" + "".join(cells))
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--events", type=int, default=1_000_000, metavar="N", help="of each log")
    options = parser.parse_args()

    async def run() -> None:
        with tempfile.TemporaryDirectory(prefix="history-") as directory:
            tables = await measured(Path(directory), options.events)
        sys.stdout.write(as_text(tables) + "\n")
        if options.json is not None:
            figures = {name: [attrs.asdict(row) for row in rows] for name, rows in tables.items()}
            options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")

    task.react(lambda _: ensureDeferred(run()))


if __name__ == "__main__":
    main()
