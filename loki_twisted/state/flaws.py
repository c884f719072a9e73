"""When a file that cannot be used is worth a warning: not while it is being written."""

from __future__ import annotations

from typing import Final

import attrs

PATIENCE: Final = 1.0
"""Seconds for which a file may be flawed before anybody is told."""

RETRY: Final = 0.1
"""Seconds between looks at a flawed file, notice or not, until it is told."""

LATER_RETRY: Final = 30.0
"""Seconds between looks at it after that."""

_REMEMBERED: Final = 16
"""How many contents of one file are remembered as told."""


@attrs.define(slots=True)
class _Flaw:
    """One flawed file: since when it is so, and whether its present content was told."""

    since: float
    mark: str
    is_told: bool = False


class Flaws:
    """Remembers which files are flawed. Times are of the reactor's clock."""

    def __init__(self) -> None:
        self._flaws: dict[str, _Flaw] = {}
        self._told: dict[str, list[str]] = {}

    def note(self, path: str, mark: str, now: float) -> bool:
        """
        Note that a file is flawed.

        :param mark: The same for the same content.
        :returns: Whether to warn now: it has been so for a while, and was not told for this
            content.
        """
        flaw = self._flaws.get(path)
        if flaw is None or (flaw.is_told and flaw.mark != mark):
            flaw = self._flaws[path] = _Flaw(now, mark)
        flaw.mark = mark
        flaw.is_told = self.was_told(path, mark)
        return not flaw.is_told and now - flaw.since >= PATIENCE

    def was_told(self, path: str, mark: str) -> bool:
        """Whether a warning of this content has been taken."""
        return mark in self._told.get(path, ())

    def told(self, path: str, mark: str) -> None:
        """Note that a warning has been taken."""
        self._told[path] = [*self._told.get(path, ()), mark][-_REMEMBERED:]
        if path in self._flaws:
            self._flaws[path].is_told = True

    def heal(self, path: str) -> None:
        """Note that a file can be used. What was told is still known."""
        self._flaws.pop(path, None)

    def forget(self, path: str) -> None:
        """Note that a file is not there."""
        self._flaws.pop(path, None)
        self._told.pop(path, None)

    def paths(self) -> list[str]:
        """All files that are flawed now."""
        return list(self._flaws)

    def delay(self) -> float | None:
        """Seconds until they should be looked at again; None if there are none."""
        if not self._flaws:
            return None
        return LATER_RETRY if all(flaw.is_told for flaw in self._flaws.values()) else RETRY
