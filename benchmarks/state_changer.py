"""
Changes state files, and sees when their events come: the other process of ``benchmarks/state.py``.

It reads orders from its standard input, one a line: ``[port, root, sessions, tasks, rate,
count]``. For each it makes so many changes of ``tasks.json``, one task of one session each, by
renaming a new file to its place, at a steady rate, and prints the milliseconds from each
renaming to its event as JSON.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

MARK: Final = b'"title":"change-'
"""How the title of a changed task begins, in the bytes of its event."""

PATIENCE: Final = 30.0
"""Seconds without any event after which those that have not come are given up."""


def session_name(number: int) -> str:
    """The id of a session."""
    return f"session_{1_790_000_000_000 + number}_{number:08x}"


def tasks_of(session: int, count: int) -> list[dict[str, Any]]:
    """The tasks of a session as they are at first."""
    return [
        {
            "id": f"task-{number}",
            "title": f"Task {number} of session {session}",
            "description": "What is to be done, in a sentence of usual length for a task.",
            "status": "pending",
            "priority": number % 10,
            "createdAt": "2026-11-26T10:00:00.000Z",
        }
        for number in range(count)
    ]


def replace(path: Path, value: Any) -> float:
    """Put a new file in place of another, and say when that was done, in seconds."""
    new = path.with_suffix(".tmp")
    new.write_text(json.dumps(value), encoding="utf-8")
    at = time.perf_counter()
    os.replace(new, path)
    return at


class Stream:
    """
    A stream of events, read in a thread of its own.

    :ivar seen: By number of the change, when its event came.
    """

    def __init__(self, port: int) -> None:
        self.seen: dict[int, float] = {}
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._socket.sendall(
            b"GET /api/events?types=task:started,task:completed HTTP/1.1\r\n"
            b"Host: 127.0.0.1:%d\r\n\r\n" % port
        )
        data = b""
        while b"retry:" not in data:
            data += self._socket.recv(65536)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        while data := self._socket.recv(1 << 16):
            now = time.perf_counter()
            *parts, rest = (rest + data).split(MARK)
            for part in [*parts[1:], rest] if parts else ():
                number, found, _ = part.partition(b'"')
                if found:
                    self.seen.setdefault(int(number), now)
            rest = MARK + rest if parts else rest[-len(MARK) :]

    def wait(self, count: int) -> None:
        """Wait until so many have come, or none comes any more."""
        until = time.perf_counter() + PATIENCE
        while len(self.seen) < count and time.perf_counter() < until:
            time.sleep(0.01)

    def close(self) -> None:
        """Read no more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


_FILES: Final[dict[Path, dict[int, list[dict[str, Any]]]]] = {}
"""By state directory and session, the tasks as they are on disk."""


def change(
    port: int, root: Path, sessions: int, tasks: int, rate: float, count: int
) -> list[float]:
    """Change files at a steady rate; see the module."""
    stream = Stream(port)
    files = _FILES.setdefault(root, {n: tasks_of(n, tasks) for n in range(sessions)})
    done: dict[int, float] = {}
    begin = time.perf_counter()
    for number in range(count):
        time.sleep(max(0.0, begin + number / rate - time.perf_counter()))
        session, task = number % sessions, number // sessions % tasks
        status = "completed" if files[session][task]["status"] == "running" else "running"
        files[session][task] |= {"status": status, "title": f"change-{number}"}
        path = root / "sessions" / session_name(session) / "tasks.json"
        done[number] = replace(path, {"tasks": files[session]})
    stream.wait(count)
    stream.close()
    return [(stream.seen[n] - done[n]) * 1000 for n in done if n in stream.seen]


def main() -> None:
    """Take orders until there are no more."""
    for line in sys.stdin:
        port, root, *figures = json.loads(line)
        print(json.dumps(change(port, Path(root), *figures)), flush=True)


if __name__ == "__main__":
    main()
