"""A server, its agents and its state directory, for :mod:`benchmarks.holds_agents`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from benchmarks.beat import Beat
from benchmarks.history_logs import REACTOR
from benchmarks.history_tables import Row
from benchmarks.tasks import Worker
from benchmarks.trouble import Trouble
from loki_twisted.command.running import set_what_is_there_aside
from loki_twisted.model.wire import StartSession
from loki_twisted.service import Service
from loki_twisted.settings import Settings

TOKEN: Final = "not-a-secret-of-anybody"  # noqa: S105
MOST_SECONDS: Final = 120.0
"""If something has not come about after so long, there are no figures."""

_OUR_FAULT: Final = 500
STARTS_AT_ONCE: Final = 8
LOOK_SECONDS: Final = 0.05
MANY: Final = 100_000
"""More than there will be."""

ASKERS: Final = """
import json, sys, http.client, threading
lock = threading.Lock()
def ask(port, method, targets, statuses):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while True:
        with lock:
            target, headers = next(targets, (None, None))
        if target is None:
            return
        connection.request(method, target, b"{}" if method == "POST" else None, headers)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
for line in sys.stdin:
    port, method, at_once, targets = json.loads(line)
    about = port, method, iter(targets), (statuses := [])
    threads = [threading.Thread(target=ask, args=about) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(statuses), flush=True)
"""
"""Asks for many things, so many at once, and says with which statuses they were answered."""


@attrs.frozen
class Size:
    """How much of everything there is."""

    scale: float

    def many(self, count: int, least: int = 2) -> int:
        """So many of what is in the table of the documentation."""
        return max(least, int(count * self.scale))


@attrs.define(eq=False)
class House:
    """
    A server.

    :ivar project: The directory of its agents.
    """

    project: Path
    service: Service
    port: int = 0
    _asker: Worker = attrs.field(factory=lambda: Worker(ASKERS), init=False)

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.project / ".loki"

    @property
    def newest(self) -> int:
        """The number of the newest event."""
        return self.service.rooms.log.bounds.newest

    async def start(self) -> None:
        """Start, and wait until all that the state directory says has been told."""
        self.service.ready.addCallback(_settled)
        self.service.startService()
        [address] = await self.service.ready
        self.port = int(address.rpartition(":")[2])
        await self.settle()

    async def settle(self) -> None:
        """Wait until all that the state directory says has been told."""
        watcher = self.service.rooms.watcher
        await watcher.watch(str(self.project), {})
        await watcher.settle(str(self.project))

    async def run(self, *argvs: list[str], directory: Path | None = None) -> list[str]:
        """Start agents in a directory below the project, and say of which sessions they are."""
        where = str(directory or self.project)
        waiting = iter(argvs)
        found: list[str] = []

        async def some() -> None:
            for argv in waiting:
                wanted = StartSession(provider="command", command=argv, project_dir=where)
                found.append((await self.service.rooms.sessions.start(wanted)).id)

        await gatherResults([ensureDeferred(some()) for _ in range(STARTS_AT_ONCE)])
        return found

    async def stop_all(self) -> None:
        """End all agents."""
        sessions = self.service.rooms.sessions
        for record in self.service.rooms.book:
            if record.agent is not None and not record.stop_ordered:
                await sessions.stop(record.id)
        await until(lambda: not self.at_work())

    async def ask(
        self, method: str, targets: Iterable[tuple[str, Mapping[str, str]]], at_once: int = 1
    ) -> None:
        """
        Have another process ask for targets, with headers.

        :raises Trouble: if one is answered with a fault of ours.
        """
        asked = list(targets)
        statuses = await deferToThread(self._asker.do, self.port, method, at_once, asked)
        if len(statuses) < len(asked) or max(statuses, default=0) >= _OUR_FAULT:
            raise Trouble(f"{method} {asked[:1]}: {statuses[:100]}")

    async def end(self) -> None:
        """End all agents, and the server; one that has not begun finds its agents first."""
        try:
            if not self.service.running:
                await bounded("the start", self.start())
            await bounded("the end of the agents", self.stop_all())
        finally:
            await self.leave()

    async def leave(self) -> None:
        """End the server, and who asks it, but no agent."""
        self._asker.close()
        await self.service.stopService()

    def at_work(self) -> list[Any]:
        """The sessions of ours that have not ended."""
        return self.service.rooms.launcher.supervisor.at_work()

    def spool(self, session_id: str) -> Path:
        """Where an agent's output is."""
        return Path(self.service.rooms.data_dir, "agents", session_id, "stdout")


def _settled(addresses: list[str]) -> list[str]:
    set_what_is_there_aside()  # as ``loki serve`` does
    return addresses


def house_in(directory: Path, **others: Any) -> House:
    """Make a server on what is in a directory, or will be."""
    set_what_is_there_aside()  # as ``loki serve`` does
    project = directory / "project"
    (project / ".loki").mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = {
        "loki_dir": str(project),
        "data_dir": str(directory / "data"),
        "host": "127.0.0.1",
        "port": 0,
        "allow_commands": True,
        "tokens": (TOKEN,),
        "max_sessions": MANY,
        "max_per_project": MANY,
        "grace_seconds": 1.0,
        "retain_events": None,
    }
    return House(project, Service(Settings(**(given | others)), REACTOR))


@asynccontextmanager
async def serving(
    directory: Path, started: Callable[[Row], None] = lambda _: None, **others: Any
) -> AsyncIterator[House]:
    """
    Serve what is in a directory; in the end no agent runs.

    :param started: Told what the start took.
    """
    house = house_in(directory, **others)
    try:
        started(await measured("the start", house.start()))
        yield house
    finally:
        await house.end()


async def left_running(directory: Path, *argvs: list[str]) -> list[Path]:
    """Start agents and end their server; say where their outputs are."""
    house = house_in(directory)
    try:
        await bounded("the start", house.start())
        names = await bounded("the agents", house.run(*argvs))
    except BaseException:
        await house.end()
        raise
    await house.leave()
    return [house.spool(each) for each in names]


# Measuring


async def bounded(what: str, work: Awaitable[Any]) -> Any:
    """
    Wait for something, but not for ever.

    :raises Trouble: if it takes too long.
    """

    async def all_of_it() -> Any:
        return await work

    try:
        return await ensureDeferred(all_of_it()).addTimeout(MOST_SECONDS, REACTOR)
    except TookTooLong:
        raise Trouble(f"{what}: not within {MOST_SECONDS:g} s") from None


async def measured(what: str, work: Awaitable[Any]) -> Row:
    """Say how long the reactor was held while something came about, in milliseconds."""
    beat, began = Beat(), time.perf_counter()
    try:
        await bounded(what, work)
    finally:
        beat.stop()
    seconds = time.perf_counter() - began
    figures = {"late": beat.late, "kept": beat.kept, "busy": beat.busy}
    return Row(what, {"seconds": seconds} | {name: each * 1000 for name, each in figures.items()})


async def until(is_so: Callable[[], Any]) -> None:
    """Wait until something is so."""
    while not is_so():
        await deferLater(REACTOR, LOOK_SECONDS)


async def in_thread(work: Callable[[], Any], is_so: Callable[[], Any]) -> None:
    """Do something to the server from outside, and wait until it has seen it."""
    await deferToThread(work)
    await until(is_so)
