"""Logs that are moved about in the midst of being read, one step after the other."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import attrs
import pytest

from loki_twisted.state import logs as logs_module
from loki_twisted.state import whereabouts as whereabouts_module
from loki_twisted.state.backlog import Portion
from loki_twisted.state.cursors import CursorNames
from loki_twisted.state.documented import DocumentedLayout
from loki_twisted.state.entries import Entry, entry_of, join
from loki_twisted.state.held import HeldLogs, LogFile, maybe_log
from loki_twisted.state.interface import LogLines
from loki_twisted.state.memory import Memory
from loki_twisted.state.messages import Message
from loki_twisted.state.reading import run_errand
from loki_twisted.state.trails import Trails
from loki_twisted.state.tree import TreeWatcher
from loki_twisted.state.whereabouts import Whereabouts

STATUS: Final = Whereabouts._status
DIRECTORIES: Final = ("logs", "sessions/s1", "sessions/s2", "sessions/s3")


@attrs.define
class Tree:
    """What a tree watcher knows, as of the last look."""

    root: str
    known: dict[str, dict[str, Entry]] = attrs.field(factory=dict)

    def entries(self, directory: str) -> Mapping[str, Entry]:
        """See :class:`TreeWatcher`."""
        return self.known.get(directory, {})

    def look(self) -> set[str]:
        """Look at everything; gives the logs that have changed."""
        before = self._logs()
        self.known = {}
        for above, directories, names in os.walk(self.root):
            directory = os.path.relpath(above, self.root).removeprefix(".")
            self.known[directory] = {
                name: entry_of(os.lstat(f"{above}/{name}")) for name in (*directories, *names)
            }
        after = self._logs()
        return {path for path in before | after if before.get(path) != after.get(path)}

    def _logs(self) -> dict[str, Entry]:
        return {
            join(directory, name): entry
            for directory, entries in self.known.items()
            for name, entry in entries.items()
            if name.endswith(".log")
        }


@attrs.define
class Mover:
    """Writes to logs and moves them about, within one directory and without."""

    state: Path
    rng: random.Random
    lines: int = 0

    def step(self) -> None:
        """Do one thing. What cannot be done just now is left."""
        away = self.state.parent / "away"
        actions: list[tuple[int, Callable[[], Any]]] = [
            (10, self.say),
            (6, lambda: self.directory().rename(self.directory())),
            (3, lambda: self.directory().rename(away)),
            (3, lambda: away.rename(self.directory())),
            (4, lambda: self.log().rename(self.log())),
            (2, self.rotate),
            (1, lambda: self.log().unlink()),
            (1, lambda: shutil.rmtree(self.directory())),
            (1, lambda: shutil.rmtree(away)),
        ]
        weights, what = zip(*actions, strict=True)
        with suppress(OSError):
            self.rng.choices(what, weights)[0]()

    def directory(self) -> Path:
        """A directory of logs."""
        return self.state / self.rng.choice(DIRECTORIES)

    def log(self) -> Path:
        """A log, which may be there or not."""
        return self.directory() / f"{self.rng.choice('ab')}.log"

    def say(self) -> None:
        """Append some lines."""
        path = self.log()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            for _ in range(self.rng.randint(1, 3)):
                file.write(f"line {self.lines}\n")
                self.lines += 1

    def rotate(self) -> None:
        """Move a log away and begin a new one."""
        path = self.log()
        path.rename(path.with_suffix(f".log.{self.rng.randint(0, 2)}"))
        path.touch()


class Reader:
    """
    Reads logs as a state directory does, and is moved under at each of its steps.

    :ivar told: All lines that were taken.
    :ivar cursors: What was stored with them.
    :ivar between: Is done whenever something of the disk is about to be looked at.
    """

    def __init__(self, state: Path, rng: random.Random) -> None:
        self.state = state
        self.rng = rng
        self.told: list[str] = []
        self.cursors: dict[str, str] = {CursorNames(str(state.parent)).seen(): "1"}
        self.between: Callable[[], None] = lambda: None
        self.held = HeldLogs()
        self.start()

    def start(self) -> None:
        """Begin with what is stored, as the next server does."""
        self.held.drop(str(self.state))
        layout = DocumentedLayout()
        self.tree = Tree(str(self.state))
        self.trails = Trails(CursorNames(str(self.state.parent)), layout.session_of)
        self.trails.load(self.cursors)
        tree = cast("TreeWatcher", self.tree)
        self.memory = Memory(tree, layout, self.trails, self.held)
        self.backlog = self.tree.look() | set(self.trails.paths())

    def round(self, *, steady: bool = False) -> None:
        """
        Look, read and tell.

        :param steady: Whether all of it is to be read and taken.
        """
        self.backlog |= self.tree.look()
        logs = sorted(self.backlog)
        self.rng.shuffle(logs)
        if not steady:
            logs = logs[: self.rng.randint(1, len(logs))] if logs else []
        portion = Portion(logs=logs)
        self.between()
        harvest = run_errand(self.memory.errand(portion), DocumentedLayout(), self.held)
        self.between()
        doubted = self.memory.not_found(harvest)
        harvest = self.memory.without_premature(harvest)
        messages = self.memory.messages(portion, harvest, 0.0, has_more=False)
        self.backlog -= set(logs)
        self.backlog |= {*self.memory.unread(portion, harvest).logs, *doubted}
        for number, message in enumerate(messages):
            if not steady and self.rng.random() < 0.05:  # it was not taken, or the server ended
                for rest in messages[number:]:
                    self.backlog |= set(rest.portion.logs)
                break
            self.take(message)
        if not steady and self.rng.random() < 0.05:
            self.start()

    def take(self, message: Message) -> None:
        """Store what is told."""
        for said in message.sightings:
            if isinstance(said, LogLines):
                self.told += said.lines
                for name, text in said.cursors.items():
                    if text is None:
                        self.cursors.pop(name, None)
                    else:
                        self.cursors[name] = text
        self.memory.confirm(message)
        self.backlog |= {log.path for log in message.logs if log.has_more}

    def opened(self, root: str, path: str) -> LogFile | None:
        """Open a log, of which somebody may have disposed just before."""
        self.between()
        return maybe_log(root, path)

    def disturb(self, patch: pytest.MonkeyPatch) -> None:
        """Let logs be moved whenever one is opened or looked at."""
        for module in (logs_module, whereabouts_module):
            patch.setattr(module, "maybe_log", self.opened)

        def status(whereabouts: Whereabouts, path: str) -> os.stat_result | None:
            self.between()
            return STATUS(whereabouts, path)

        patch.setattr(Whereabouts, "_status", status)
