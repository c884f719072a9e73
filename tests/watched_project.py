"""A server in this process that watches a project, and what a client sees of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from twisted.internet import reactor
from twisted.internet.task import deferLater

from loki_twisted.client import LokiClient
from loki_twisted.model.events import Event
from loki_twisted.service import Service
from loki_twisted.settings import Settings

LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 60.0


class WatchedProject:
    """
    A server on a project directory, with a client.

    :ivar root: The ``.loki/`` that it watches.
    """

    def __init__(self, home: Path, *roots: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.root = home / ".loki"
        settings = Settings(
            loki_dir=str(home),
            data_dir=str(home.parent / f"{home.name}-data"),
            port=0,
            project_roots=(str(home), *map(str, roots)),
        )
        self.service = Service(settings, reactor)

    async def __aenter__(self) -> Self:
        self.service.startService()
        [address, *_] = await self.service.ready
        self.client = LokiClient(address, reactor=reactor)
        # It serves before it has looked at everything.
        while not self.service.projects.is_complete:
            await deferLater(reactor, LOOK_SECONDS)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.client.close()
        await self.service.stopService()

    async def events(self) -> list[Event]:
        """All events, as the history has them."""
        found: list[Event] = []
        after = "earliest"
        while True:
            page = (await self.client.history(after=after, limit=1000)).events
            found += page
            if len(page) < 1000:
                return found
            after = page[-1].id

    async def seen(self) -> dict[str, Any]:
        """What there is, without what each server sees for itself: ids of its own, and times."""
        sessions = (await self.client.list_sessions()).sessions
        return {session.id: await self._seen_of(session.id) for session in sessions}

    async def _seen_of(self, session_id: str) -> dict[str, Any]:
        detail = await self.client.get_session(session_id)
        session = detail.session
        tasks = (await self.client.list_session_tasks(session_id, limit=1000)).tasks
        return {
            "status": str(session.status),
            "provider": session.provider,
            "prd": session.prd_path,
            "started": session.started_at,
            "phase": session.current_phase,
            "reason": session.reason,
            "exit": session.exit_code,
            "usage": session.usage,
            "active agents": detail.agents.active,
            "counts": (detail.tasks, session.task_count, session.completed_tasks),
            "tasks": {
                task.id: (task.title, str(task.status), task.description, task.priority, task.error)
                for task in tasks
            },
        }

    async def until_seen(self, expected: dict[str, Any]) -> None:
        """Wait until it sees this, and fail with what it sees instead."""
        deadline = reactor.seconds() + PATIENCE_SECONDS
        while (seen := await self.seen()) != expected:
            if reactor.seconds() > deadline:
                assert seen == expected
            await deferLater(reactor, LOOK_SECONDS)

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until what it sees is such."""
        deadline = reactor.seconds() + PATIENCE_SECONDS
        while not holds(seen := await self.seen()):
            assert reactor.seconds() < deadline, seen
            await deferLater(reactor, LOOK_SECONDS)
        return seen


def of_type(events: Sequence[Event], group: str) -> list[Event]:
    """The events of one group (``session``, ``task``)."""
    return [event for event in events if event.type.startswith(f"{group}:")]
