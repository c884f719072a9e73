"""How a server is, asked of it and of its rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import apsw
from zope.interface import implementer

from loki_twisted import __version__
from loki_twisted.log.place import DataDirectory
from loki_twisted.model.wire import ProviderDetail, System
from loki_twisted.operation.figures import Exposition
from loki_twisted.rooms import Rooms
from loki_twisted.web.vitals import IVitals, read_system

_REMOVED: Final = "The data directory was removed. Start the server again."
_REPLACED: Final = "The log was removed or replaced while it was in use. Start the server again."
GONE: Final = frozenset({_REMOVED, _REPLACED})


def what_is_gone(directory: DataDirectory | None, rooms: Rooms) -> str | None:
    """
    Say what a server cannot be without and has no more.

    :returns: One of :data:`GONE`, or None if all is where it was.
    """
    if directory is not None and not directory.is_intact():
        return _REMOVED
    return None if rooms.log.is_in_place() else _REPLACED


class Standing(Protocol):
    """
    Where a server stands.

    :ivar phase: ``starting``, ``serving``, ``shutting down`` or ``stopped``.
    :ivar trouble: Why it should take no work although it serves, in a sentence, or None.
    :ivar exposition: Its figures.
    """

    phase: str
    trouble: str | None
    exposition: Exposition

    def listening_problems(self) -> Sequence[str]:
        """Say what is amiss with what it listens with, in sentences."""


@implementer(IVitals)
class Vitals:
    """
    What a server knows of itself.

    :param reactor: Measures how long it runs, from now on.
    """

    version = __version__

    def __init__(self, reactor: Any, rooms: Rooms, standing: Standing) -> None:
        self._reactor = reactor
        self._rooms = rooms
        self._standing = standing
        self._began = reactor.seconds()

    def uptime_ms(self) -> int:
        """See :class:`IVitals`."""
        return int((self._reactor.seconds() - self._began) * 1000)

    def providers(self) -> Mapping[str, bool]:
        """See :class:`IVitals`."""
        return self._rooms.providers.available()

    def provider_details(self) -> Sequence[ProviderDetail]:
        """See :class:`IVitals`."""
        return self._rooms.providers.described()

    def problems(self) -> Sequence[str]:
        """See :class:`IVitals`."""
        rooms = self._rooms
        maybe = (
            self._standing.trouble,
            rooms.lack(),
            rooms.gaps.problem(),
            rooms.tokens.problem(),
            rooms.audit.problem(),
        )
        trouble = [each for each in maybe if each is not None]
        trouble += self._standing.listening_problems()
        found = [*trouble, *rooms.log.notices, *rooms.watcher.problems()]
        # A path may hold bytes that are no text, and nobody could be told of it as it is.
        return [each.encode("utf-8", "backslashreplace").decode() for each in found]

    def not_serving(self) -> str | None:
        """See :class:`IVitals`."""
        phase = self._standing.phase
        return None if phase == "serving" else f"The server is {phase}."

    def not_ready(self) -> str | None:
        """See :class:`IVitals`."""
        if self._rooms.log.failure is not None:
            return "The log cannot be written."
        return self.not_serving() or self._standing.trouble or self._rooms.lack()

    def metrics(self) -> bytes:
        """See :class:`IVitals`."""
        return self._standing.exposition.page()

    def system(self) -> System:
        """See :class:`IVitals`."""
        return read_system(apsw.sqlite_lib_version(), self._rooms.data_dir)
