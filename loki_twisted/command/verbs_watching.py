"""The verbs of ``lokictl`` that watch."""

from __future__ import annotations

import argparse
from typing import Final

import msgspec

from loki_twisted.client import EventStream, LokiClient
from loki_twisted.command.arguments import USAGE_EXIT
from loki_twisted.command.calling import REFUSED_EXIT, call, complain, palette, show
from loki_twisted.command.formatting import event_line, health_text, tasks_table
from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.events import Event
from loki_twisted.model.filters import EventFilter

ENDS: Final = frozenset({"session:completed", "session:failed", "session:stopped"})
"""The events after which nothing more happens in a session."""


def tail(given: argparse.Namespace) -> int:
    """Show events as they happen, until this is ended."""
    types = [name for name in (given.types or "").split(",") if name]
    try:
        wanted = EventFilter.of(given.session_id, types, given.min_level)
    except InvalidRequest as error:
        return complain(str(error), USAGE_EXIT)

    async def talk(client: LokiClient) -> int:
        stream = client.events(wanted, given.after, history=given.history)
        # Without a server this would wait for one, and say nothing.
        await client.live()
        async for event in stream:
            if event.type != "heartbeat" or "heartbeat" in types or given.json:
                show_event(given, event)
        return 0

    return call(given, talk)


async def follow(client: LokiClient, given: argparse.Namespace, session_id: str) -> int:
    """
    Show a session's events from its beginning to its end.

    :returns: 0 if it was completed, else its exit code, or 1 if it has none.
    """
    async with client.events(EventFilter(session_id), after="earliest") as stream:
        return exit_code_of(await _show_to_the_end(given, stream))


async def _show_to_the_end(given: argparse.Namespace, stream: EventStream) -> Event:
    async for event in stream:
        if event.type != "heartbeat":
            show_event(given, event)
        if event.type in ENDS:
            return event
    raise AssertionError("an event stream does not end by itself")


def exit_code_of(end: Event) -> int:
    """The exit code that fits the end of a session: 0 only if it was completed."""
    if end.type == "session:completed":
        return 0
    code = end.data.get("exitCode")
    return code if isinstance(code, int) and 0 < code <= 255 else REFUSED_EXIT  # noqa: PLR2004


def show_event(given: argparse.Namespace, event: Event) -> None:
    """Print an event."""
    text = msgspec.json.encode(event).decode() if given.json else event_line(event, palette())
    print(text, flush=True)


def tasks(given: argparse.Namespace) -> int:
    """List tasks, of one session or of all."""

    async def talk(client: LokiClient) -> int:
        if given.session_id is None:
            everywhere = await client.list_tasks(status=given.status, limit=given.limit)
            return show(given, everywhere, tasks_table(everywhere.tasks, palette()))
        here = await client.list_session_tasks(
            given.session_id, status=given.status, limit=given.limit
        )
        return show(given, here, tasks_table(here.tasks, palette()))

    return call(given, talk)


def health(given: argparse.Namespace) -> int:
    """Say how the server is; 1 if it is unhealthy."""

    async def talk(client: LokiClient) -> int:
        found = await client.health()
        show(given, found, health_text(found, palette()))
        return REFUSED_EXIT if found.status == "unhealthy" else 0

    return call(given, talk)
