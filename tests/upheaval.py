"""A state directory that is thrown about at random, and what must be known of it all the same."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet import reactor

from loki_twisted.log.store import SQLiteEventLog
from loki_twisted.model.filters import EventFilter
from loki_twisted.model.tasks import TaskQuery
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.observing import StateObserver
from loki_twisted.sessions.run_observer import RunObserver
from loki_twisted.sessions.run_status import Liveness
from loki_twisted.state.documented import DocumentedLayout
from loki_twisted.state.files import read_state
from loki_twisted.state.interface import (
    AgentsSighting,
    PhaseSighting,
    SessionSighting,
    TasksSighting,
)
from loki_twisted.state.watcher import StateWatcher
from tests.fakes_state import turn

NAMES: Final = tuple(f"s{number}" for number in range(8))
STATUSES: Final = ("running", "paused", "completed", "failed", "stopped")
TASK_STATUSES: Final = ("pending", "in_progress", "done", "failed", "skipped")
NOW_MS: Final = 1_795_478_400_000


class Watched:
    """A server's rooms around one state directory, with a log on disk."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.project = base / "project"
        self.state = self.project / ".loki"
        self.project.mkdir()

    async def start(self, **more: Any) -> None:
        """Begin to watch, with what is in the log."""
        self.log = SQLiteEventLog(reactor, str(self.base / "log.db"))
        await self.log.start()
        self.book = SessionBook(self.log, self.log, lambda: NOW_MS)
        await self.book.load()
        runs = RunObserver(reactor, self.book, lambda run: Liveness.UNKNOWN)
        self.watcher = StateWatcher(reactor, StateObserver(self.book, runs), **more)
        await self.watcher.watch(str(self.project), await self.log.cursors(""))

    async def stop(self) -> None:
        """End it, as a server ends."""
        await self.watcher.stop()
        await self.log.stop()

    async def known(self) -> dict[str, Any]:
        """What readers see, by the words of :func:`said`."""
        found: dict[str, Any] = {}
        tasks: dict[str, Any] = {}
        for task in (await self.log.tasks(TaskQuery(limit=None))).tasks:
            tasks.setdefault(task.session_id, {})[task.id] = (task.title, task.status.value)
        for record in self.book:
            if record.committed is None:
                continue
            session = record.committed.session
            found[f"{record.id} is over"] = session.status.is_final
            found[f"{record.id} status"] = session.status.value
            found[f"{record.id} provider"] = session.provider
            found[f"{record.id} phase"] = session.current_phase
            found[f"{record.id} tasks"] = tasks.get(record.id, {})
            found[f"{record.id} counts"] = (session.task_count, session.agents.active)
            found[f"{record.id} agents"] = sorted(record.committed.active_agents)
        return found

    async def untrue(self) -> dict[str, Any]:
        """What is known otherwise than the disk has it now: what is known, and what is so."""
        known = await self.known()
        return {
            about: (known.get(about), value)
            for about, value in said(self.state).items()
            if known.get(about) != value and about.split()[0] in NAMES
        } | {
            about: (value, "its directory is gone")
            for about, value in known.items()
            if about.endswith(" is over")
            and not value
            and not (self.state / "sessions" / about.split()[0]).is_dir()
        }

    async def untrue_in_the_end(self) -> dict[str, Any]:
        """What is still untrue after a time in which all should have come to be true."""
        untrue = await self.untrue()
        for _ in range(1000):
            if not untrue:
                break
            await turn(0.01)
            untrue = await self.untrue()
        return untrue

    async def events(self) -> list[tuple[str, str, Any]]:
        """Session, type and data of all events so far."""
        found, after = [], 0
        while after < self.log.bounds.newest:
            page = await self.log.read(after, EventFilter(), 1 << 20)
            for block in page.blocks:
                events = block.events(EventFilter(), after)
                found += [(event.session_id, event.type, event.data) for event in events]
            after = page.reached
        return found


def said(state: Path) -> dict[str, Any]:
    """What the readable files of a state directory say, read cold."""
    layout = DocumentedLayout()
    found: dict[str, Any] = {}
    for name in NAMES:
        for file in ("session.json", "phase.json", "tasks.json", "agents.json"):
            if not (state / "sessions" / name).is_dir() or (state / "sessions").is_symlink():
                continue
            with suppress(OSError):
                for sighting in read_state(str(state), f"sessions/{name}/{file}", layout).sightings:
                    found |= _words(name, sighting)
    return found


def _words(name: str, sighting: object) -> dict[str, Any]:
    match sighting:
        case SessionSighting():
            fields = {"status": sighting.status, "provider": sighting.provider}
            return {f"{name} {field}": value for field, value in fields.items() if value}
        case PhaseSighting():
            return {f"{name} phase": sighting.phase}
        case TasksSighting():
            tasks = {task.id: (task.title, task.status.value) for task in sighting.tasks}
            return {f"{name} tasks": tasks}
        case AgentsSighting():
            return {f"{name} agents": sorted(agent.id for agent in sighting.active)}
    return {}


@attrs.define
class Upheaval:
    """
    Does to a state directory what programs and people do, and worse.

    :ivar lines: How many lines were written to logs.
    """

    state: Path
    rng: random.Random
    lines: int = 0
    _half: dict[Path, str] = attrs.field(factory=dict)

    def step(self) -> None:
        """Do one thing. What cannot be done just now is left."""
        weights, actions = zip(*self._actions(), strict=True)
        with suppress(OSError):
            self.rng.choices(actions, weights)[0]()

    def _actions(self) -> Iterator[tuple[int, Callable[[], None]]]:
        yield 30, self.write
        yield 10, lambda: self.write(in_place=True)
        yield 6, self.begin_to_write
        yield 6, self.end_writing
        yield 5, lambda: self.file().unlink()
        yield 5, lambda: os.replace(self.file(), self.file())
        yield 4, lambda: self.session().rename(self.session())
        yield 3, lambda: shutil.rmtree(self.session())
        yield 3, lambda: self.recreate(self.session())
        yield 3, self.move_in
        yield 4, self.disguise
        yield 1, self.uproot
        yield 8, self.say
        yield 2, self.rotate
        yield 2, lambda: self.log().rename(self.log())

    def session(self) -> Path:
        """The directory of a session, which may be there or not."""
        return self.state / "sessions" / self.rng.choice(NAMES)

    def file(self) -> Path:
        """A state file."""
        name = self.rng.choice(("session", "phase", "tasks", "tasks", "agents"))
        return self.session() / f"{name}.json"

    def log(self) -> Path:
        """A log."""
        places = (self.state / "logs", self.state, self.session())
        return self.rng.choice(places) / f"{self.rng.choice('ab')}.log"

    def text(self, path: Path) -> str:
        """Something for a file to say."""
        rng = self.rng
        value: Any
        match path.stem:
            case "session":
                value = {"status": rng.choice(STATUSES), "provider": f"p{rng.randint(0, 99)}"}
            case "phase":
                value = {"current": rng.choice(("planning", "testing", "deployment"))}
            case "agents":
                value = {"active": [{"id": f"a{n}", "type": "dev"} for n in self.some(4)]}
            case _:
                value = [
                    {"id": f"t{n}", "title": f"T{rng.randint(0, 3)}", "status": status}
                    for n in self.some(6)
                    for status in [rng.choice(TASK_STATUSES)]
                ]
        return json.dumps(value)

    def some(self, count: int) -> list[int]:
        """Some of the first numbers, in any order."""
        return self.rng.sample(range(count), self.rng.randint(0, count))

    def write(self, *, in_place: bool = False) -> None:
        """Write a file whole, by renaming or in its place, with all directories on the way."""
        path = self.file()
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path if in_place else path.with_suffix(f".{self.rng.randint(0, 3)}")
        if not new.is_symlink() and (not new.exists() or new.is_file()):
            new.write_text(self.text(path))
            os.replace(new, path)

    def begin_to_write(self) -> None:
        """Write a part of a file."""
        path = self.file()
        if path.is_file() and not path.is_symlink():
            text = self.text(path)
            path.write_text(text[: self.rng.randint(0, len(text))])
            self._half[path] = text

    def end_writing(self) -> None:
        """Write the rest of a file, if it is still there."""
        if self._half:
            path, text = self._half.popitem()
            if path.is_file() and not path.is_symlink():
                path.write_text(text)

    def recreate(self, directory: Path) -> None:
        """Remove a directory and make it anew, with other files."""
        shutil.rmtree(directory, ignore_errors=True)
        self.fill(directory)

    def fill(self, directory: Path) -> None:
        """Make a directory with some files of a session."""
        directory.mkdir(parents=True)
        for name in self.rng.sample(("session", "phase", "tasks", "agents"), 3):
            path = directory / f"{name}.json"
            path.write_text(self.text(path))

    def move_in(self) -> None:
        """Make a session elsewhere, and move it in whole."""
        elsewhere = self.state.parent / "elsewhere"
        shutil.rmtree(elsewhere, ignore_errors=True)
        self.fill(elsewhere)
        elsewhere.rename(self.session())

    def disguise(self) -> None:
        """Put something that is no file in the place of one."""
        path = self.file()
        path.unlink()
        match self.rng.randint(0, 3):
            case 0:
                path.symlink_to(self.file())
            case 1:
                os.mkfifo(path)
            case 2:
                path.mkdir()
            case _:
                with path.open("wb") as sparse:
                    sparse.truncate(100_000_000)

    def uproot(self) -> None:
        """Take everything away; or move it away and perhaps back again."""
        place = self.rng.choice((self.state, self.state / "sessions"))
        away = self.state.parent / "away"
        match self.rng.randint(0, 2):
            case 0:
                shutil.rmtree(place)
            case 1:
                shutil.rmtree(away, ignore_errors=True)
                place.rename(away)
            case _:
                shutil.rmtree(place, ignore_errors=True)
                place.parent.mkdir(parents=True, exist_ok=True)
                away.rename(place)

    def say(self) -> None:
        """Append some lines to a log, the last perhaps without its end at first."""
        path = self.log()
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(self.rng.randint(1, 5)):
            with path.open("a") as file:
                file.write(f"line {self.lines} ")
                self.lines += 1
                if self.rng.random() < 0.2:
                    file.flush()
                file.write("x" * self.rng.randint(0, 300) + "\n")

    def rotate(self) -> None:
        """Move a log away and begin a new one."""
        path = self.log()
        path.rename(path.with_suffix(f".log.{self.rng.randint(0, 2)}"))
        path.touch()
