"""Sessions that are being started: what their files say is told when it is told that they were."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import attrs
from twisted.internet.defer import Deferred

from loki_twisted.sessions.record import Record

T = TypeVar("T")


@attrs.define(eq=False)
class Launches:
    """
    Launches that are under way, and who waits for each.

    An agent may have written files before it is known that it runs.
    """

    _under_way: dict[Record, list[Deferred[None]]] = attrs.field(factory=dict, init=False)

    async def run(self, record: Record, launch: Awaitable[T]) -> T:
        """Launch a session; gives what the launch gives, or raises what it raises."""
        self._under_way[record] = []
        try:
            return await launch
        finally:
            self._let_go(record)

    async def over(self, project_dir: str) -> None:
        """Wait until those in a project that are under way now are over, whatever came of them."""
        for record, waiting in list(self._under_way.items()):
            if record.state.session.project_dir == project_dir and record in self._under_way:
                waiting.append(Deferred())
                await waiting[-1]

    def close(self) -> None:
        """Have nobody wait any more, for the end of the server."""
        for record in list(self._under_way):
            self._let_go(record)

    def _let_go(self, record: Record) -> None:
        for waiting in self._under_way.pop(record, ()):
            waiting.callback(None)
