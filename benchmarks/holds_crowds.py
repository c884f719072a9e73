"""What hundreds of clients do to a server who ask at the same moment; see :mod:`holds_agents`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from twisted.internet.threads import deferToThread

from benchmarks.history_tables import Row
from benchmarks.holds_house import TOKEN, Size, measured, serving
from benchmarks.holds_others import shell
from benchmarks.tasks import Worker
from benchmarks.trouble import Trouble

CROWD: Final = """
import json, socket, sys
for line in sys.stdin:
    port, count, request = json.loads(line)
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    for client in clients:
        client.sendall(request.encode())
    answers = [b"".join(iter(lambda: client.recv(65536), b"")) for client in clients]
    print(json.dumps([int(answer[9:12]) for answer in answers]), flush=True)
"""
"""Has so many clients ask, and says with which statuses they were answered."""

KINDS: Final = (
    ("ask for the status", "GET", "/api/status", 200),
    ("ask for all sessions", "GET", "/api/sessions", 200),
    ("start what is refused", "POST", "/api/sessions", 422),
)


async def crowds(directory: Path, size: Size) -> list[Row]:
    """Many clients ask at once, each for something short."""
    count, rows = size.many(400), []
    async with serving(directory, max_sessions=1) as house:
        await house.run(shell("exec sleep 1000"))
        with _crowd() as worker:
            for what, method, target, status in KINDS:
                asked = _asked(worker, house.port, count, _request(method, target), status)
                rows.append(await measured(f"{count} clients {what} at once", asked))
    return rows


async def _asked(worker: Worker, port: int, count: int, request: str, status: int) -> None:
    statuses = await deferToThread(worker.do, port, count, request)
    if set(statuses) != {status}:
        raise Trouble(f"{request.partition(' HTTP')[0]}: {statuses[:100]}")


@contextmanager
def _crowd() -> Iterator[Worker]:
    worker = Worker(CROWD)
    try:
        yield worker
    finally:
        worker.close()


def _request(method: str, target: str) -> str:
    body = '{"projectDir": "elsewhere"}' if method == "POST" else ""
    lines = (
        f"{method} {target} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {TOKEN}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "",
        body,
    )
    return "\r\n".join(lines)
