"""What the measurements want of a contestant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from benchmarks.works import Lines
from benchmarks.workshop import Workshop


class Server(Protocol):
    """A contestant that runs, and answers."""

    @property
    def port(self) -> int:
        """Where it listens, on loopback."""

    @property
    def ready_seconds(self) -> float:
        """From its start to its first good answer."""

    @property
    def pids(self) -> Sequence[int]:
        """The processes whose cost is the server's."""

    def feed(self, lines: Lines) -> None:
        """
        Have lines printed that all subscribers are to get; returns when that is on its way.

        :raises Trouble: if it cannot be.
        """

    def replay(self, events: int) -> None:
        """Send all that it was loaded with to a subscriber that asked for it, unless it does."""

    def settle(self) -> None:
        """
        Be told that all lines were received.

        :raises Trouble: if something went wrong with them all the same.
        """

    def stop(self) -> None:
        """End it, and all that it started."""


class Contestant(Protocol):
    """A server that can be started."""

    @property
    def title(self) -> str:
        """Its name in the table."""

    @property
    def live(self) -> str:
        """What to ask for to have few bytes."""

    @property
    def everything(self) -> str:
        """What to ask for to have all events from the first on."""

    def streams(self, filters: int) -> Sequence[str]:
        """What to ask for to have all lines, in so many ways."""

    def missing(self) -> str | None:
        """Why it cannot be run here, or None."""

    def versions(self) -> Mapping[str, str]:
        """Of its programs, by name, as far as nobody else knows them."""

    def start(self, workshop: Workshop, *, loaded: int = 0) -> Server:
        """
        Start it, and wait until it answers.

        :param loaded: So many events are there already.
        :raises Trouble: if it does not come up.
        """
