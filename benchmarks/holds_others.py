"""What others do to a server meanwhile: agents, streams, and who asks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from twisted.internet.threads import deferToThread

from benchmarks.holds_house import TOKEN, bounded


@contextmanager
def gate(project: Path) -> Iterator[Callable[[], None]]:
    """
    What agents wait for who do ``: < gate``.

    :returns: Call it to let them go on.
    """
    path = project / "gate"
    project.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    opened: list[int] = []
    try:
        yield lambda: opened.append(os.open(path, os.O_RDWR))
    finally:
        for each in opened:
            os.close(each)
        path.unlink()


def shell(script: str) -> list[str]:
    """An agent."""
    return ["/bin/sh", "-c", script]


def lines(length: int, size: int) -> str:
    """The part of a script that prints lines of a length until there are so many bytes."""
    return f"yes $(printf '%0{length - 1}d' 0) | head -c {size // length * length}"


STREAMS: Final = """
import selectors, socket, sys
port, count, token = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
all_of_them = selectors.DefaultSelector()
for _ in range(count):
    stream = socket.create_connection(("127.0.0.1", port))
    stream.sendall(b"GET /api/events HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n"
                   b"Authorization: Bearer %s\\r\\n\\r\\n" % token.encode())
    stream.recv(1)
    all_of_them.register(stream, selectors.EVENT_READ)
print("ready", flush=True)
while all_of_them.get_map():
    for key, _ in all_of_them.select():
        if not key.fileobj.recv(1 << 20):
            all_of_them.unregister(key.fileobj)
"""
"""Takes all that comes from so many streams."""


@asynccontextmanager
async def subscribers(port: int, count: int) -> AsyncIterator[None]:
    """Have streams read meanwhile."""
    argv = [sys.executable, "-c", STREAMS, str(port), str(count), TOKEN]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None  # noqa: S101
            await bounded("the subscribers", deferToThread(process.stdout.readline))
            yield
        finally:
            process.kill()


def authorized(targets: Iterable[str]) -> list[tuple[str, Mapping[str, str]]]:
    """Put the headers of a request to each target."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    return [(each, headers) for each in targets]
