"""The state directory that :mod:`benchmarks.tasks` serves, and a program that changes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

MS: Final = 1_790_000_000_000
WAITING: Final = 4
"""So many tasks of each session wait; one runs, one has failed, and the others are done."""


def session_name(number: int) -> str:
    """The id of a session."""
    return f"session_{MS + number}_{number:08x}"


def task_name(number: int) -> str:
    """The id of a task."""
    return f"task-{number:03d}"


def task_of(session: int, number: int, of: int) -> dict[str, Any]:
    """A task as its session's file has it."""
    place = of - 1 - number
    status = "pending" if place < WAITING else "completed"
    if place in (WAITING, WAITING + 1):
        status = "running" if place == WAITING else "failed"
    second = session * of + number
    return {
        "id": task_name(number),
        "title": f"Make part {number} of what session {session} was asked to make",
        "description": "Read what there is, write the tests, write the code, and see them pass.",
        "status": status,
        "priority": ("low", "medium", "high")[number % 3],
        "createdAt": f"2026-10-{1 + second // 86400:02d}"
        f"T{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}.000Z",
    }


def write_sessions(directory: Path, sessions: int, tasks: int) -> None:
    """Write the files of all sessions."""
    for number in range(sessions):
        place = directory / ".loki" / "sessions" / session_name(number)
        place.mkdir(parents=True)
        about = {
            "id": session_name(number),
            "provider": "claude",
            "status": "running",
            "startedAt": "2026-10-01T00:00:00.000Z",
        }
        listed = [task_of(number, each, tasks) for each in range(tasks)]
        (place / "tasks.json").write_text(json.dumps({"tasks": listed}), encoding="utf-8")
        (place / "session.json").write_text(json.dumps(about), encoding="utf-8")


CHANGER: Final = """
import json, os, pathlib, select, sys, time
directory, sessions, changes = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
places = sorted((directory / ".loki" / "sessions").iterdir())
turn, due = 0, time.monotonic()
while not select.select([sys.stdin], [], [], max(0, due - time.monotonic()))[0]:
    due += 1 / changes
    path = places[turn % sessions] / "tasks.json"
    tasks = json.loads(path.read_text())["tasks"]
    one = tasks[turn * 7 % len(tasks)]
    one["status"] = {"pending": "running", "running": "completed"}.get(one["status"], "pending")
    fresh = path.with_name("tasks.json.new")
    fresh.write_text(json.dumps({"tasks": tasks}))
    os.replace(fresh, path)
    turn += 1
"""
"""
A program that changes the status of one task after another until its input ends.

Its arguments are the directory, how many sessions there are, and how many changes a second.
"""
