"""What agents and clients do to a server at its limits; see :mod:`benchmarks.holds_agents`."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

from twisted.internet.task import deferLater

from benchmarks.history_logs import REACTOR
from benchmarks.history_tables import Row
from benchmarks.holds_house import (
    House,
    Size,
    bounded,
    house_in,
    left_running,
    measured,
    serving,
    until,
)
from benchmarks.holds_others import authorized, gate, lines, shell, subscribers

FLOODS: Final = 8
FLOOD_BYTES: Final = 40_000_000
LINE_BYTES: Final = 900
LONG_BYTES: Final = 65_536
HALT_SECONDS: Final = 0.5
STAYS: Final = "; exec sleep 1000"

TREE: Final = """
import os, signal, sys
count, (reader, writer) = int(sys.argv[1]), os.pipe()
def born():
    os.write(writer, b".")
for first in range(0, count, 100):
    if os.fork() == 0:
        for _ in range(min(100, count - first) - 1):
            if os.fork() == 0:
                break
        born()
        signal.pause()
while count:
    count -= len(os.read(reader, count))
print("born", flush=True)
signal.pause()
"""
"""A tree of so many processes that sleep."""

ASKING: Final = """
i=0
while [ $i -lt 200 ]; do
    i=$((i + 1))
    echo '{"type":"input:requested","data":{"prompt":"May it go on?","options":["yes","no"]}}'
done
exec sleep 1000
"""


async def floods(directory: Path, size: Size) -> list[Row]:
    """Agents print as fast as they can, beside streams of it all."""
    found = []
    for length in (LINE_BYTES, LONG_BYTES):
        amount = size.many(FLOOD_BYTES, 10 * length)
        place = directory / str(length)
        async with serving(place) as house, subscribers(house.port, FLOODS):
            with gate(house.project) as go:
                script = ": < gate; " + lines(length, amount) + STAYS
                await bounded("the agents", house.run(*[shell(script)] * FLOODS))
                wanted = house.newest + FLOODS * (amount // length)

                async def flooded(house: House = house, wanted: int = wanted) -> None:
                    go()
                    await until(lambda: house.newest >= wanted)

                what = f"{FLOODS} agents print {amount // length:,} lines of {length:,} bytes each"
                found.append(await measured(what, flooded()))
    return found


async def adoptions(directory: Path, size: Size) -> list[Row]:
    """A server starts whose agents have printed much meanwhile, or have ended."""
    several, printed, ended = size.many(50), size.many(2_000_000, 9_000), size.many(200)
    much = size.many(100_000_000, 90_000)
    printing = ": < gate; " + lines(LINE_BYTES, printed) + STAYS
    return [
        await adopted(directory / "several", several, printing, printed),
        await adopted(directory / "ended", ended, ": < gate", 0),
        await adopted(directory / "much", 1, ": < gate; " + lines(LINE_BYTES, much) + STAYS, much),
    ]


async def adopted(directory: Path, count: int, script: str, printed: int) -> Row:
    """Start a server whose agents have done something meanwhile."""
    whole = printed // LINE_BYTES * LINE_BYTES
    with gate(directory / "project") as go:
        spools = await left_running(directory, *[shell(script)] * count)
        go()
        house = house_in(directory)

        def done(spool: Path) -> bool:
            ends = spool.parent / "exit.json"
            return spool.stat().st_size == whole if whole else ends.exists()

        async def start() -> None:
            await house.start()
            if whole:  # each has begun, too, which is an event
                wanted = count * (1 + whole // LINE_BYTES)
                await until(lambda: house.newest >= wanted)
            else:
                await until(lambda: not house.at_work())

        what = f"a start with {count} agents that "
        what += f"have printed {whole:,} bytes each" if whole else "have ended meanwhile"
        try:
            await bounded("the output of agents", until(lambda: all(map(done, spools))))
            return await measured(what, start())
        finally:
            await house.end()


async def trees(directory: Path, size: Size) -> list[Row]:
    """An agent with many processes is paused, goes on, and is ended; many agents are ended."""
    count = size.many(5_000, 20)
    found = []
    async with serving(directory) as house:
        sessions = house.service.rooms.sessions
        before = house.newest
        argv = [sys.executable, "-I", "-S", "-c", TREE, str(count)]
        [name] = await bounded("the agent", house.run(argv))
        await bounded("the processes", until(lambda: house.newest > before + 1))
        what = f"an agent of {count:,} processes: "
        found.append(await measured(what + "pause", halted(sessions.pause(name))))
        found.append(await measured(what + "resume", halted(sessions.resume(name))))

        async def ended() -> None:
            await sessions.stop(name)
            await until(lambda: not house.at_work())

        found.append(await measured(what + "stop", ended()))
    return found


async def halted(ordered: Awaitable[Any]) -> None:
    """Give an order, and some time to whoever carries it out."""
    await ordered
    await deferLater(REACTOR, HALT_SECONDS)


async def ends(directory: Path, size: Size) -> list[Row]:
    """Many sessions begin and end at once."""
    found = []
    async with serving(directory / "many", max_sessions=size.many(50)) as house:
        count = size.many(50)
        several = [shell("exec sleep 1000")] * count
        found.append(await measured(f"{count} sessions are started", house.run(*several)))
        names = [f"/api/sessions/{record.id}/stop" for record in house.at_work()]

        async def ended() -> None:
            await house.ask("POST", authorized(names), at_once=len(names))
            await until(lambda: not house.at_work())

        found.append(await measured(f"{count} sessions are ended at once", ended()))
    seconds = 8.0 if size.scale >= 1 else 1.5
    async with serving(directory / "asking", on_unanswered="deny", input_seconds=seconds) as house:
        asking = size.many(5, 1)
        await bounded("the agents", house.run(*[shell(ASKING)] * asking))
        sessions = house.service.rooms.sessions
        await bounded("the questions", until(lambda: len(sessions.open_inputs()) == 200 * asking))
        expired = until(lambda: not sessions.open_inputs())
        found.append(await measured(f"{200 * asking:,} questions expire", expired))
    return found
