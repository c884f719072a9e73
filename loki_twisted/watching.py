"""The projects whose state directories are watched for as long as the server runs."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger

from loki_twisted.rooms import Rooms

_log = Logger()


class ProjectWatch:
    """Watches projects. What cannot be watched now is tried again when :meth:`retry` is called."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._watched: dict[str, bool | None] = {}
        """By directory: whether it is watched; None while that is being begun."""

    @property
    def failed(self) -> list[str]:
        """The directories that could not be watched when that was last tried."""
        return [each for each, watched in self._watched.items() if watched is False]

    @property
    def is_complete(self) -> bool:
        """Whether all are watched, and have been looked through once."""
        return all(self._watched.values())

    def begin(self, directories: Iterable[str]) -> None:
        """Begin to watch some, and return at once: looking through them may take long."""
        for directory in directories:
            ensureDeferred(self._watch(directory))

    def retry(self) -> None:
        """Try again what failed."""
        self.begin(self.failed)

    async def _watch(self, directory: str) -> None:
        self._watched[directory] = None
        rooms = self._rooms
        try:
            part = rooms.watcher.part_of_cursors(directory)
            await rooms.watcher.watch(directory, await rooms.log.cursors("", part))
            if (told := rooms.runs.looked(directory)) is not None:
                await told
        except Exception:  # noqa: BLE001 (whatever it is, it is told, and tried again)
            _log.failure("The state directory of {directory} is not watched", directory=directory)
            self._watched[directory] = False
        else:
            self._watched[directory] = True
