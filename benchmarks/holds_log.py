"""What much that has happened does to a server; see :mod:`benchmarks.holds_agents`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

import attrs
from twisted.internet.defer import gatherResults

from benchmarks.history_logs import MS, REACTOR, build
from benchmarks.history_tables import Row
from benchmarks.holds_house import TOKEN, House, Size, bounded, measured, serving, until
from benchmarks.holds_others import authorized
from benchmarks.state_changer import session_name
from loki_twisted.log.interface import Batch
from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.events import Fact
from loki_twisted.model.idempotency import CompletedRequest
from loki_twisted.model.sessions import Session, SessionStatus
from loki_twisted.model.tasks import Task, TaskStatus
from loki_twisted.model.timestamps import iso_from_ms

EVENTS: Final = 1_000_000
LEFT: Final = 50_000
PER_BLOCK: Final = 150
SESSIONS: Final = 20_000
TASKS: Final = 1_000_000
TASKS_OF_ONE: Final = 10_000
TASKS_AT_ONCE: Final = 1_000
LARGE_BYTES: Final = 60_000
REQUESTS: Final = 1_000
KEYS: Final = 100_000
AUDIT_BYTES: Final = 8 * 1024 * 1024

STATUSES: Final = (
    TaskStatus.COMPLETED,
    TaskStatus.FAILED,
    TaskStatus.PENDING,
    TaskStatus.RUNNING,
)

ASKED: Final = {
    "a page of sessions": "/api/sessions?limit=1000",
    "all sessions": "/api/sessions",
    "a search for sessions": "/api/sessions?status=failed&provider=codex",
    "the last page of sessions": "/api/sessions?limit=100&offset={last}",
    "the status": "/api/status",
    "the health": "/health",
    "the metrics": "/metrics",
    "what was used, by session": "/api/usage?by=session&limit=1000",
    "tasks": "/api/tasks?limit=1000",
    "tasks behind half of them": "/api/tasks?limit=1000&offset={half}",
    "tasks that have failed": "/api/tasks?limit=1000&status=failed",
    "tasks of most statuses, behind half": (
        "/api/tasks?limit=100&status=completed,failed,pending&offset={half}"
    ),
    "tasks of a session": "/api/sessions/{session}/tasks?limit=1000",
    "active tasks": "/api/tasks/active",
    "queued tasks": "/api/tasks/queue",
}
"""By what it is."""


def session_of(number: int, tasks: int = 0, status: SessionStatus | None = None) -> Session:
    """A session that has ended."""
    statuses = (SessionStatus.COMPLETED, SessionStatus.FAILED, SessionStatus.STOPPED)
    return Session(
        id=session_name(number),
        status=status or statuses[number % 3],
        provider=("claude", "codex")[number % 2],
        project_dir="/nowhere",
        started_at=iso_from_ms(MS + number),
        updated_at=iso_from_ms(MS + number),
        task_count=tasks,
    )


def tasks_of(number: int, begin: int, end: int) -> list[Task]:
    """Some tasks of a session."""
    return [
        Task(
            id=f"task-{each}",
            session_id=session_name(number),
            title=f"Task {each} of session {number}",
            status=STATUSES[each % len(STATUSES)],
            created_at=iso_from_ms(MS + each),
        )
        for each in range(begin, end)
    ]


def batch_of(number: int, tasks: int) -> Batch:
    """What is kept of a session that has ended, of which there are so many tasks in all."""
    name = session_name(number)
    request = {"provider": "command", "prompt": "Do what is to be done. " * 20}
    return Batch(
        session_id=name,
        at_ms=MS,
        session=session_of(number, max(0, min(TASKS_OF_ONE, tasks - number * TASKS_OF_ONE))),
        cursors={
            f"{name}/driver": "command",
            f"{name}/request": json.dumps(request),
            f"{name}/stdout": "1000",
            f"{name}/talk": "{}",
        },
    )


async def write_log(directory: Path, sessions: int, tasks: int, events: int) -> None:
    """Write a log of sessions of which the first ones have so many tasks in all."""
    data = directory / "data"
    directory.mkdir(parents=True, exist_ok=True)
    if events:
        build(data, events, PER_BLOCK)
    else:
        data.mkdir(mode=0o700)
    log = SQLiteEventLog(REACTOR, str(data / "log.db"))
    await log.start()
    for first in range(0, sessions, 1_000):
        numbers = range(first, min(first + 1_000, sessions))
        await gatherResults([log.append(batch_of(number, tasks)) for number in numbers])
    for begin in range(0, tasks, TASKS_AT_ONCE):
        number, place = divmod(begin, TASKS_OF_ONE)
        some = tasks_of(number, place, min(place + TASKS_AT_ONCE, place + tasks - begin))
        await log.append(Batch(session_id=session_name(number), at_ms=MS, tasks=some))
    await log.stop()


async def histories(directory: Path, size: Size) -> list[Row]:
    """Serve many sessions, and many tasks."""
    found = []
    for sessions, tasks in ((SESSIONS, 0), (TASKS // TASKS_OF_ONE, TASKS)):
        some, their = size.many(sessions), size.many(tasks, 0)
        place = directory / f"of-{sessions}"
        await write_log(place, some, their, 0)
        what = f"{their:,} tasks" if their else f"{some:,} sessions"

        def started(row: Row, what: str = what) -> None:
            found.append(attrs.evolve(row, what=f"a start with {what}"))

        async with serving(place, started) as house:
            for name, target in ASKED.items():
                where = target.format(
                    half=their // 2, last=max(0, some - 100), session=session_name(0)
                )
                work = house.ask("GET", authorized([where] * 3))
                found.append(await measured(f"{what}: {name}", work))
            found.append(await measured(f"{what}: one changes", changed(house)))
            found.append(await measured(f"{what}: one starts and ends", come_and_gone(house)))
    return found


async def changed(house: House) -> None:
    """Have a session more, and ask what there is then."""
    book = house.service.rooms.book
    for number in range(3):
        session = session_of(SESSIONS + number)
        record = book.add(session)
        await book.commit(record, record.state, [Fact("session:stopped", {"status": "stopped"})])
        await house.ask("GET", authorized(["/api/status"]))


async def come_and_gone(house: House) -> None:
    """Have agents start and end, one after the other, somewhere else."""
    for number in range(3):
        directory = house.project / f"elsewhere-{number}"
        directory.mkdir()
        await house.run(["/bin/true"], directory=directory)
        await until(lambda: not house.at_work())


async def upkeep(directory: Path, size: Size) -> list[Row]:
    """Have a log cut, grow, and written to in all its files."""
    events, left = size.many(EVENTS, 10_000), size.many(LEFT, 500)
    found: list[Row] = []
    first = directory / "by-events"
    await write_log(first, 2, size.many(TASKS_OF_ONE), events)
    second = directory / "by-size"
    shutil.copytree(first, second)
    megabytes = (first / "data" / "log.db").stat().st_size / 1e6
    async with serving(first, retain_events=left) as house:
        log = house.service.rooms.log
        cut = until(lambda: len(log.bounds) <= left)
        what = f"a log of {events:,} events is cut to {left:,}"
        found.append(await measured(what, cut))
        found.append(await measured("64 MB are written to the log", grown(house, size)))
    async with serving(second, retain_mb=max(1, int(megabytes / 5))) as house:
        log = house.service.rooms.log
        cut = until(lambda: len(log.bounds) < events // 3)
        found.append(await measured(f"a log of {megabytes:,.0f} MB is cut to a fifth", cut))
        name = session_name(0)
        tasks = size.many(TASKS_OF_ONE)
        gone = house.ask("DELETE", authorized([f"/api/sessions/{name}"]))
        found.append(await measured(f"a session with {tasks:,} tasks is deleted", gone))
        found += await refused(house, size)
        found += await repeated(house, size)
    return found


async def grown(house: House, size: Size) -> None:
    """Have much written, faster than it can be copied out of the write-ahead log."""
    log = house.service.rooms.log
    fact = Fact("log:info", {"message": "x" * LARGE_BYTES})
    for _ in range(size.many(64)):
        batches = (Batch(session_id="", at_ms=MS, facts=[fact]) for _ in range(16))
        await gatherResults([log.append(each) for each in batches])


async def refused(house: House, size: Size) -> list[Row]:
    """Have many requests refused, each of which is put on the record, while that is full."""
    count = size.many(REQUESTS)
    path = Path(house.service.rooms.data_dir, "audit.jsonl")
    with path.open("ab") as file:
        file.write(b"\n" * (AUDIT_BYTES - 20_000 - path.stat().st_size))
    bad = {"Authorization": "Bearer of-nobody-at-all", "Content-Type": "application/json"}
    targets = [("/api/sessions", bad)] * count
    return [await measured(f"{count:,} requests are refused", house.ask("POST", targets, 8))]


async def repeated(house: House, size: Size) -> list[Row]:
    """Have requests that come again, with as many keys as there are of a busy day."""
    log, count = house.service.rooms.log, size.many(KEYS)

    def done(number: int) -> CompletedRequest:
        return CompletedRequest(
            key=f"key-{number}",
            operation="startSession",
            fingerprint="f" * 64,
            session_id=session_name(1),
            target=session_name(1),
            at_ms=MS,
        )

    async def keys() -> None:
        for first in range(0, count, 500):
            numbers = range(first, min(first + 500, count))
            batches = [Batch(session_id="", at_ms=MS, done_once=done(each)) for each in numbers]
            await gatherResults([log.append(each) for each in batches])

    await bounded("the keys", keys())
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    target = f"/api/sessions/{session_name(1)}/stop"
    again = [(target, headers | {"Idempotency-Key": f"key-{number}"}) for number in range(100)]
    what = f"100 requests with keys, of {count:,}"
    return [await measured(what, house.ask("POST", again, 8))]
