"""
What the history costs, in a log of 1,000,000 events: asking, opening, keeping to a limit.

``python -m benchmarks.history`` makes its logs in a temporary directory (1 GB, two minutes) and
prints what it measures; ``--json FILE`` writes it too, and ``--rst FILE`` for the documentation.

Each question is asked of a server over loopback, by another process that only counts what comes. So
the time of an answer is that of its last byte; how long the reactor was held meanwhile is seen by
a timer of its own: how late it was, which on a busy machine is the fault of others too, and how
much processor time the reactor's thread took before. There are two logs: one whose events lie in
blocks of 40 KB, as those of a busy agent do, and one with a block for each event, which is the
worst that can be.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.threads import deferToThread

from benchmarks.beat import Beat
from benchmarks.history_logs import (
    MS,
    REACTOR,
    SESSIONS,
    SHAPES,
    build,
    drop_from_cache,
    place_of,
)
from benchmarks.history_tables import Row, Table, publish
from benchmarks.history_upkeep import LEFT, appending, opening, slices
from loki_twisted.log.interface import Batch
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.events import Fact
from loki_twisted.service import Service
from loki_twisted.settings import Settings

LIMIT: Final = 100
REPEATS: Final = 5
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
    "session and types, only of others": f"sessionId={SESSIONS[3]}&types=log:error",
    "session and types, none": f"sessionId={SESSIONS[3]}&types=input:requested",
    "minLevel error, 1 in 100": "minLevel=error&types=log:*",
}


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
    count = re.search(rb'],"count":([0-9]+)[,}]', end)[1] if response.status == 200 else None
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
            "reactor late": beat.late * 1000,
            "reactor busy": beat.busy * 1000,
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
        place = place_of(directory, per_block)
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


# All of it


async def measured(directory: Path, events: int) -> dict[str, Table]:
    """Measure everything, in the order in which one thing needs what another has made."""
    return {
        f"{LIMIT} events of {events:,} by GET /api/events/history, ms": await questions(
            directory, events
        ),
        f"{LARGE_EVENTS:,} events of 64 KB, ms": await large_events(directory),
        f"Opening a log of {events:,} events, ms": await deferToThread(opening, directory),
        f"Appending, at a log of {events:,} events": await appending(directory, events),
        f"Dropping all but {LEFT:,} of {events:,}, ms a slice": await deferToThread(
            slices, directory
        ),
    }


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000, metavar="N", help="of each log")

    async def run(options: argparse.Namespace) -> dict[str, Table]:
        with tempfile.TemporaryDirectory(prefix="history-") as directory:
            return await measured(Path(directory), options.events)

    publish(parser, run)


if __name__ == "__main__":
    main()
