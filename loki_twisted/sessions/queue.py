"""
Who may go to work, and what the others wait for.

Sessions take up slots: of the server, of their provider, of their project directory. Those that
wait stand in a line, higher priorities first, and among equals who came first. The whole line
is gone through from its head whenever something has changed: who finds a slot of each kind goes to
work, and who does not is passed over. So one that waits for its provider holds up nobody who
wants another.

But for one thing: a slot of a project directory is kept for the first who wants it, also while he
waits for something else. Otherwise he might wait for ever: whenever his provider has a slot others
are in his directory, and whenever that is free others have his provider. With it the first of
the line waits for one kind after the other, each for as long as somebody is at work.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from enum import StrEnum
from typing import Final

import attrs

from loki_twisted.model.errors import LokiError, SessionAlreadyRunning, TooManySessions

NOWHERE: Final[Set[str]] = frozenset()


@attrs.frozen(slots=True, kw_only=True)
class Slots:
    """
    How many sessions may be at work at once.

    :ivar server: In all.
    :ivar project: In one project directory.
    :ivar providers: Of a provider, by its name; of one that is not named, any number.
    """

    server: int
    project: int = 1
    providers: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen(slots=True)
class Taker:
    """A session, as far as slots are concerned."""

    session_id: str
    provider: str
    project_dir: str


@attrs.frozen(slots=True)
class Waiting:
    """
    A session that wants to go to work.

    :ivar priority: The higher goes first.
    :ivar number: Who has the lower one came first.
    """

    taker: Taker
    priority: int
    number: int

    @property
    def rank(self) -> tuple[int, int]:
        """Its place in the line; the lowest is the head."""
        return -self.priority, self.number


class Lack(StrEnum):
    """What a session waits for."""

    PROJECT = "project"
    """The session that is at work in its project directory."""
    TURN = "turn"
    """One that stands before it in the line, and waits for the same project directory."""
    STRANGER = "stranger"
    """A run in its project directory that is not ours."""
    PROVIDER = "provider"
    """A slot of its provider."""
    SERVER = "server"
    """A slot of the server."""


@attrs.frozen(slots=True)
class Obstacle:
    """
    Why a session does not go to work now.

    :ivar other: The session that it waits for, where it is one.
    """

    lack: Lack
    other: str | None = None


@attrs.frozen(slots=True)
class Turns:
    """
    What came of going through the line.

    :ivar started: Who goes to work, in the order of the line.
    :ivar obstacles: Of everybody else, by session, in the order of the line.
    """

    started: Sequence[str]
    obstacles: Mapping[str, Obstacle]


def in_line(waiting: Iterable[Waiting]) -> list[Waiting]:
    """Sort those that wait, the next one first."""
    return sorted(waiting, key=lambda each: each.rank)


def turns(
    at_work: Iterable[Taker],
    waiting: Iterable[Waiting],
    slots: Slots,
    closed: Set[str] = NOWHERE,
) -> Turns:
    """
    Go through the line.

    :param at_work: All that take up slots now.
    :param waiting: All that want to, in any order.
    :param closed: Project directories in which somebody else is at work.
    """
    room = _Room(at_work, slots, closed)
    started: list[str] = []
    obstacles: dict[str, Obstacle] = {}
    for each in in_line(waiting):
        taker = each.taker
        obstacle = room.obstacle(taker)
        if obstacle is None:
            room.take(taker)
            started.append(taker.session_id)
            continue
        obstacles[taker.session_id] = obstacle
        if obstacle.lack in {Lack.PROVIDER, Lack.SERVER}:
            room.keep(taker)
    return Turns(started, obstacles)


class _Room:
    """What is left while the line is gone through."""

    def __init__(self, at_work: Iterable[Taker], slots: Slots, closed: Set[str]) -> None:
        self._slots = slots
        self._closed = closed
        self._at_work = 0
        self._of_provider: Counter[str] = Counter()
        self._in_project: dict[str, list[Obstacle]] = {}
        """By directory: what whoever else wants to work there has to wait for."""
        for each in at_work:
            self.take(each)

    def obstacle(self, taker: Taker) -> Obstacle | None:
        """Say what a session lacks, if it lacks something."""
        inside = self._in_project.get(taker.project_dir, [])
        if len(inside) >= self._slots.project:
            return next((each for each in inside if each.lack is Lack.TURN), inside[0])
        if taker.project_dir in self._closed:
            return Obstacle(Lack.STRANGER)
        most = self._slots.providers.get(taker.provider, math.inf)
        if self._of_provider[taker.provider] >= most:
            return Obstacle(Lack.PROVIDER)
        if self._at_work >= self._slots.server:
            return Obstacle(Lack.SERVER)
        return None

    def take(self, taker: Taker) -> None:
        """Give a session a slot of each kind."""
        self._at_work += 1
        self._of_provider[taker.provider] += 1
        self._occupy(taker, Lack.PROJECT)

    def keep(self, taker: Taker) -> None:
        """Keep the project directory for a session that waits for something else."""
        self._occupy(taker, Lack.TURN)

    def _occupy(self, taker: Taker, lack: Lack) -> None:
        inside = self._in_project.setdefault(taker.project_dir, [])
        inside.append(Obstacle(lack, taker.session_id))


def refusal(obstacle: Obstacle, taker: Taker, slots: Slots) -> LokiError:
    """
    Say it in words, as the error for who does not want to wait.

    :param obstacle: Any but that of a stranger, of whom more is known elsewhere.
    """
    where, other = taker.project_dir, {"sessionId": obstacle.other}
    match obstacle.lack:
        case Lack.PROJECT:
            msg = f"Session {obstacle.other} already runs in {where}."
            return SessionAlreadyRunning(msg, other)
        case Lack.TURN:
            msg = f"Session {obstacle.other} waits to work in {where}, and comes first."
            return SessionAlreadyRunning(msg, other)
        case Lack.PROVIDER:
            most = slots.providers[taker.provider]
            msg = _full(most, f" of {taker.provider}")
            return TooManySessions(msg, {"provider": taker.provider, "maxPerProvider": most})
        case Lack.SERVER:
            msg = _full(slots.server)
            return TooManySessions(msg, {"maxSessions": slots.server})
        case Lack.STRANGER:
            return SessionAlreadyRunning(f"Somebody else works in {where}.")


def _full(count: int, which: str = "") -> str:
    sessions = f"1 session{which} is" if count == 1 else f"{count} sessions{which} are"
    return f"{sessions} at work, which is as many as may be."
