"""Those who wait until what a state directory says has been told."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import attrs
from twisted.internet.defer import Deferred

from loki_twisted.state.backlog import Portion
from loki_twisted.state.logs import LogReading


@attrs.frozen(slots=True)
class _Again:
    """A backlog that is asked again and again whether something is in it, however much that is."""

    gone: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    logs: frozenset[str] = frozenset()

    @classmethod
    def of(cls, backlog: Portion) -> _Again:
        return cls(*map(frozenset, (backlog.gone, backlog.files, backlog.logs)))


_NOTHING: Final = _Again()


@attrs.define(eq=False)
class _Wait:
    """
    Somebody who waits for some things.

    :ivar logs: How far each log must be read, unless its end is reached before.
    :ivar is_new: Whether it is still to be put on record that the project was seen.
    :ivar again: What the batch that is being told does not settle, because it has changed
        since; nothing when that batch is over.
    """

    done: Deferred[None]
    gone: set[str]
    files: set[str]
    logs: dict[str, int]
    is_new: bool
    again: _Again

    def taken(self, told: Portion, logs: Collection[LogReading], *, is_new: bool) -> None:
        """Note what was told."""
        again = self.again
        self.is_new = is_new
        self.gone.difference_update(set(told.gone) - again.gone)
        self.files.difference_update(set(told.files) - again.files)
        for log in logs:
            target = self.logs.get(log.path)
            if target is None or log.path in again.logs:
                continue
            if not log.has_more or log.position is None or log.position.offset >= target:
                del self.logs[log.path]

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to wait for."""
        return not (self.gone or self.files or self.logs or self.is_new)


class Waits:
    """All who wait for one state directory."""

    def __init__(self) -> None:
        self._waits: list[_Wait] = []

    def add(
        self, in_flight: Portion, backlog: Portion, size_of: Callable[[str], int], *, is_new: bool
    ) -> Deferred[None]:
        """
        Wait for what is being told and what is still to be told.

        :param in_flight: What is being told, empty if nothing is.
        :param size_of: Of a log, how far it must be read.
        :returns: Fires when all of that has been taken.
        """
        wait = _Wait(
            Deferred(),
            {*in_flight.gone, *backlog.gone},
            {*in_flight.files, *backlog.files},
            {path: size_of(path) for path in (*in_flight.logs, *backlog.logs)},
            is_new,
            _Again.of(backlog) if in_flight else _NOTHING,
        )
        self._waits.append(wait)
        self._release()
        return wait.done

    def taken(self, told: Portion, logs: Collection[LogReading], *, is_new: bool) -> None:
        """
        Note that something of what is being told was taken.

        :param told: What it was.
        :param logs: What was read of logs.
        :param is_new: Whether it is still to be put on record that the project was seen.
        """
        for wait in self._waits:
            wait.taken(told, logs, is_new=is_new)
        self._release()

    def next(self) -> None:
        """Note that what is told next is read anew."""
        for wait in self._waits:
            wait.again = _NOTHING

    def removed(self, path: str) -> None:
        """Note that a file is not there any more, so nothing of it will be told."""
        for wait in self._waits:
            wait.files.discard(path)
        self._release()

    def end(self) -> None:
        """Answer everybody: nothing will be told any more."""
        for wait in self._waits:
            wait.done.callback(None)
        self._waits = []

    def _release(self) -> None:
        over = [wait for wait in self._waits if wait.is_over]
        self._waits = [wait for wait in self._waits if not wait.is_over]
        for wait in over:
            wait.done.callback(None)
