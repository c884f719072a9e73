"""Where the figures of a server come from: its rooms, asked for what each counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from loki_twisted import __version__
from loki_twisted.model.sessions import SessionStatus
from loki_twisted.operation.figures import Readings

if TYPE_CHECKING:
    from loki_twisted.service import Service


def readings_of(server: Service) -> Readings:
    """Say where each figure of a server is to be read: of those rooms that it has by then."""
    system = server.vitals.system()

    def sessions() -> Mapping[str, int]:
        counts = server.rooms.sessions.counts()
        return {status.value: counts.get(status, 0) for status in SessionStatus}

    def spool_bytes() -> int:
        return server.rooms.runner.spool_bytes()

    def lag() -> int:
        return server.rooms.hub.lag()

    return Readings(
        versions={
            "version": __version__,
            "python": system.python_version,
            "twisted": system.twisted_version,
            "sqlite": system.sqlite_version,
        },
        is_ready=lambda: server.vitals.not_ready() is None,
        problems=lambda: len(server.vitals.problems()),
        requests=server.resource.meter.tallies,
        connections=lambda: server.site.connection_count,
        sessions=sessions,
        agents=lambda: sum(beat["activeAgents"] for _, beat in server.rooms.sessions.beats()),
        spool_bytes=spool_bytes,
        inputs=lambda: len(server.rooms.sessions.open_inputs()),
        newest=lambda: server.rooms.log.bounds.newest,
        kept=lambda: len(server.rooms.log.bounds),
        is_writable=lambda: server.rooms.log.failure is None,
        commits=lambda: server.rooms.log.commits,
        subscribers=lambda: server.rooms.hub.subscriber_count,
        lag=lag,
        stalls=server.stalls,
    )
