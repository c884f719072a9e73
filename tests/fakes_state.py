"""What tests of the state room share: waiting, refusing kernels, listeners, hostile programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from zope.interface import implementer

from loki_twisted.kernel.inotify import Inotify, Notice
from loki_twisted.state.interface import ISightingListener, LogLines, Sighting


async def turn(seconds: float = 0.0) -> None:
    """Let the reactor go round."""
    await deferLater(reactor, seconds)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds; the time limit of tests bounds it."""
    while not condition():
        await turn(0.002)


def opened(received: Callable[[Sequence[Notice]], None]) -> Inotify:
    """An inotify on the real reactor."""
    return Inotify(reactor, received)


def refusing(number: int) -> Callable[[Callable[[Sequence[Notice]], None]], Inotify]:
    """An inotify that cannot be had, for the reason with this number."""

    def refuse(_: Callable[[Sequence[Notice]], None]) -> Inotify:
        raise OSError(number, os.strerror(number))

    return refuse


def open_below(root: Path) -> list[str]:
    """The files below a directory that this process has open, deleted ones too."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of the listing itself
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return [path for path in found if path.startswith(f"{root}/")]


class Limited(Inotify):
    """An inotify with few watches, as for a user who has used up all but these."""

    def __init__(self, received: Callable[[Sequence[Notice]], None], limit: int) -> None:
        super().__init__(reactor, received)
        self.limit = limit
        self.wds: set[int] = set()

    def add(self, path: bytes | str, mask: int) -> int:
        wd = super().add(path, mask)
        self.wds.add(wd)
        if len(self.wds) > self.limit:
            self.remove(wd)
            raise OSError(28, os.strerror(28))
        return wd

    def remove(self, wd: int) -> None:
        self.wds.discard(wd)
        super().remove(wd)


@contextmanager
def logged_failures() -> Iterator[list[LogEvent]]:
    """What is logged as critical while this lasts."""
    found: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_level") is LogLevel.critical:
            found.append(event)

    globalLogPublisher.addObserver(observe)
    try:
        yield found
    finally:
        globalLogPublisher.removeObserver(observe)


@contextmanager
def nothing_fails() -> Iterator[None]:
    """Nothing is logged as critical while this lasts."""
    with logged_failures() as found:
        yield
    assert [str(event.get("log_failure", event)) for event in found] == []


@implementer(ISightingListener)
class Listener:
    """
    Notes what it is told, stores cursors as a log does, and can refuse or be slow.

    :ivar told: All sightings that it has taken.
    :ivar cursors: What is stored.
    :ivar refusals: How many batches it will still refuse.
    :ivar refused: How many it has refused.
    :ivar picky: A source whose lines it refuses, or None.
    :ivar batches: What came at once, refused or not.
    :ivar holding: While this is a list, its answers wait in it.
    """

    def __init__(self) -> None:
        self.told: list[Sighting] = []
        self.batches: list[Sequence[Sighting]] = []
        self.cursors: dict[str, str] = {}
        self.refusals = 0
        self.refused = 0
        self.picky: str | None = None
        self.holding: list[Callable[[], None]] | None = None
        self.projects: set[str] = set()

    def seen(self, project_dir: str, sightings: Sequence[Sighting]) -> Deferred[Any]:
        self.batches.append(sightings)
        self.projects.add(project_dir)
        sources = {said.source for said in sightings if isinstance(said, LogLines)}
        if self.refusals or self.picky in sources:
            self.refusals = max(0, self.refusals - 1)
            self.refused += 1
            return fail(OSError(28, "The disk is full."))
        if self.holding is None:
            self._take(sightings)
            return succeed(None)
        done: Deferred[None] = Deferred()

        def release() -> None:
            self._take(sightings)
            done.callback(None)

        self.holding.append(release)
        return done

    def release(self) -> None:
        """Take what was held back."""
        held, self.holding = self.holding or [], None
        for release in held:
            release()

    def _take(self, sightings: Sequence[Sighting]) -> None:
        for sighting in sightings:
            if isinstance(sighting, LogLines):
                for name, text in sighting.cursors.items():
                    if text is None:
                        self.cursors.pop(name, None)
                    else:
                        self.cursors[name] = text
                if not sighting.lines:
                    continue
            self.told.append(sighting)

    def of(self, kind: type) -> list[Any]:
        """All sightings of a kind."""
        return [sighting for sighting in self.told if isinstance(sighting, kind)]

    def lines(self, source: str | None = None) -> list[str]:
        """All lines of logs, or of one."""
        return [
            line
            for said in self.of(LogLines)
            if source is None or said.source == source
            for line in said.lines
        ]
