"""What servers that were started as a process have in common."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from benchmarks.launching import ServerProcess


@attrs.define
class Served:
    """
    A server that is one process, keeps what it keeps without being told, and fails where
    subscribers see it; see :class:`~benchmarks.contestants.interface.Server`.
    """

    process: ServerProcess

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.process.port

    @property
    def ready_seconds(self) -> float:
        """From its start to its first good answer."""
        return self.process.ready_seconds

    @property
    def pids(self) -> Sequence[int]:
        """The one process, without what it has started."""
        return [self.process.pid]

    def replay(self, events: int) -> None:
        """It does so without being told."""

    def settle(self) -> None:
        """Nothing more is known of it."""

    def stop(self) -> None:
        """End it."""
        self.process.stop()
