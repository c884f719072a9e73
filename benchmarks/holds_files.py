"""What happens to a state directory, each at its limits; see :mod:`benchmarks.holds_agents`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.history_tables import Row
from benchmarks.holds_house import House, Size, house_in, in_thread, measured, serving
from benchmarks.state_changer import replace, session_name, tasks_of

TASKS: Final = 10_000
LINES: Final = 10_000
SESSIONS: Final = 1_000
FILES: Final = 20_000
MEBIBYTE: Final = 1_048_576


def write_session(place: Path, number: int, tasks: int) -> Path:
    """Write the files of a session, and say where its tasks are."""
    directory = place / session_name(number)
    directory.mkdir(parents=True)
    about = {"status": "running", "provider": "claude"}
    (directory / "session.json").write_text(json.dumps(about), encoding="utf-8")
    path = directory / "tasks.json"
    replace(path, {"tasks": tasks_of(number, tasks)})
    return path


def write_files(place: Path, count: int, suffix: str) -> None:
    """Write many small files."""
    place.mkdir()
    for number in range(count):
        (place / f"{number}{suffix}").write_text("x\n", encoding="utf-8")


async def state_files(directory: Path, size: Size) -> list[Row]:
    """Have everything change, one thing after the other."""
    house = house_in(directory)
    tasks = write_session(house.state / "sessions", 0, size.many(TASKS))
    log = house.state / "logs" / "agent.log"
    log.parent.mkdir()
    log.write_text("it begins\n", encoding="utf-8")
    async with serving(directory) as house:
        files = Files(house, directory, size)
        return [
            await files.append(log, "a line of 1 MiB in a log", "x" * MEBIBYTE + "\n", 1),
            await files.append(log, f"{size.many(LINES):,} lines in a log", "", size.many(LINES)),
            await files.tasks_change(tasks, "running"),
            await files.tasks_change(tasks, "completed"),
            await files.sessions_appear(),
            await files.sessions_vanish(),
            *await files.many_files(".txt"),
            *await files.many_files(".log"),
        ]


class Files:
    """Changes a state directory that is served."""

    def __init__(self, house: House, directory: Path, size: Size) -> None:
        self._house = house
        self._directory = directory
        self._size = size

    async def _done(self, what: str, work: Callable[[], Any], is_so: Callable[[], Any]) -> Row:
        async def seen() -> None:
            await in_thread(work, is_so)
            await self._house.settle()

        return await measured(what, seen())

    async def append(self, log: Path, what: str, text: str, count: int) -> Row:
        """Have a log grow."""
        if not text:
            line = f"{'one of very many lines ' * 6}\n"
            text = line * count

        def write() -> None:
            with log.open("a", encoding="utf-8") as file:
                file.write(text)

        wanted = self._house.newest + count
        return await self._done(what, write, lambda: self._house.newest >= wanted)

    async def tasks_change(self, path: Path, status: str) -> Row:
        """Have every task of a long list change."""
        changed = [each | {"status": status} for each in tasks_of(0, self._size.many(TASKS))]
        wanted = self._house.newest + len(changed)
        what = f"{len(changed):,} tasks of a session are {status}"
        return await self._done(
            what, lambda: replace(path, {"tasks": changed}), lambda: self._house.newest >= wanted
        )

    async def sessions_appear(self) -> Row:
        """Have many sessions appear."""
        count, place = self._size.many(SESSIONS), self._directory / "new"
        for number in range(1, count + 1):
            write_session(place, number, 10)
        book = self._house.service.rooms.book
        wanted = len(book) + count

        def move() -> None:
            for each in place.iterdir():
                each.rename(self._house.state / "sessions" / each.name)

        what = f"{count:,} sessions appear"
        return await self._done(what, move, lambda: len(book) == wanted)

    async def sessions_vanish(self) -> Row:
        """Have them vanish again, all at once."""
        sessions, away = self._house.state / "sessions", self._directory / "away"
        book = self._house.service.rooms.book

        def all_ended() -> bool:
            return all(record.status.is_final for record in book)

        what = f"{len(book):,} sessions vanish"
        return await self._done(what, lambda: sessions.rename(away), all_ended)

    async def many_files(self, suffix: str) -> list[Row]:
        """Have many files appear, and be removed."""
        count, new = self._size.many(FILES), self._directory / f"many{suffix}"
        place = self._house.state / f"many{suffix}"
        write_files(new, count, suffix)
        what = f"a directory of {count:,} {suffix} files "
        return [
            await self._done(what + "appears", lambda: new.rename(place), lambda: True),
            await self._done(what + "is removed", lambda: shutil.rmtree(place), lambda: True),
        ]
