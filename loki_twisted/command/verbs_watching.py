"""The verbs of ``lokictl`` that watch."""

from __future__ import annotations

import argparse
import time
from typing import Final

import attrs

from loki_twisted.client import EventStream, LokiClient
from loki_twisted.command.calling import call, complain, note_presence, note_reset, palette
from loki_twisted.command.exits import Exit
from loki_twisted.command.formatting import event_line, json_line
from loki_twisted.command.moments import place_before, read_moment
from loki_twisted.command.names import find_session
from loki_twisted.command.presence import Presence
from loki_twisted.command.progress import progress
from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.events import KIND_OF_TYPE, Event
from loki_twisted.model.filters import EventFilter, mask_of_types
from loki_twisted.model.identifiers import EARLIEST

ENDS: Final = frozenset({"session:completed", "session:failed", "session:stopped"})
"""The events after which nothing more happens in a session."""


@attrs.frozen
class Wish:
    """
    What is to be shown of the events.

    :ivar wanted: Which.
    :ivar since_ms: From which time on; None where it is said otherwise.
    :ivar ends: Whether to end with the session.
    """

    given: argparse.Namespace
    wanted: EventFilter
    since_ms: int | None
    shows_heartbeats: bool
    ends: bool

    @classmethod
    def of(cls, given: argparse.Namespace, now_ms: int) -> Wish:
        """
        Read the arguments of ``tail``.

        :raises ValueError: if they are none, with a line.
        """
        types = [name for name in (given.types or "").split(",") if name]
        since_ms = None if given.since is None else read_moment(given.since, now_ms)
        places = [given.since, given.after, given.from_start or None]
        if sum(place is not None for place in places) > 1:
            raise ValueError("give one of --since, --after and --from-start")
        if given.until_end and given.session is None:
            raise ValueError("--until-end needs a session")
        try:
            wanted = EventFilter.of(None, types, given.min_level)
        except InvalidRequest as error:
            raise ValueError(str(error)) from None
        shows_heartbeats = "heartbeat" in types or given.json
        return cls(given, wanted, since_ms, shows_heartbeats, given.until_end)

    def shows(self, event: Event) -> bool:
        """Whether an event is to be shown, and not only looked at."""
        if event.type == "heartbeat":
            return self.shows_heartbeats
        kind = KIND_OF_TYPE.get(event.type)
        return kind is None or bool(self.wanted.mask >> kind & 1)

    async def begin(self, client: LokiClient) -> EventStream:
        """Begin a stream of these events, and of the ends of the session."""
        given = self.given
        session_id = None if given.session is None else await find_session(client, given.session)
        mask = self.wanted.mask | (mask_of_types(ENDS) if self.ends else 0)
        after = EARLIEST if given.from_start else given.after
        if self.since_ms is not None:
            after = await place_before(client, self.since_ms)
        asked = EventFilter(session_id, mask)
        return client.events(asked, after, history=given.history, on_reset=note_reset)


def tail(given: argparse.Namespace) -> int:
    """Show events as they happen, until this is ended."""
    try:
        wish = Wish.of(given, time.time_ns() // 1_000_000)
    except ValueError as error:
        return complain(str(error), Exit.USAGE)

    async def talk(client: LokiClient) -> int:
        # Without a server the stream would wait for one, and say nothing.
        await client.live()
        stream = await progress("Looking for the beginning", wish.begin(client))
        with Presence(client, note_presence):
            async for event in stream:
                if wish.shows(event):
                    show_event(given, event)
                if wish.ends and event.type in ENDS:
                    return exit_code_of(event)
        return Exit.DONE

    return call(given, talk)


async def follow(client: LokiClient, given: argparse.Namespace, session_id: str) -> int:
    """
    Show a session's events from its beginning to its end.

    :returns: The exit code that fits its end.
    """
    wanted = EventFilter(session_id)
    async with client.events(wanted, after=EARLIEST, on_reset=note_reset) as stream:
        with Presence(client, note_presence):
            return exit_code_of(await _show_to_the_end(given, stream))


async def _show_to_the_end(given: argparse.Namespace, stream: EventStream) -> Event:
    async for event in stream:
        if event.type != "heartbeat":
            show_event(given, event)
        if event.type in ENDS:
            return event
    raise AssertionError("an event stream does not end by itself")


def exit_code_of(end: Event) -> Exit:
    """Choose the exit code that fits the end of a session."""
    if end.type == "session:completed":
        return Exit.DONE
    return Exit.STOPPED if end.type == "session:stopped" else Exit.FAILED


def show_event(given: argparse.Namespace, event: Event) -> None:
    """Print an event."""
    text = json_line(event) if given.json else event_line(event, palette())
    print(text, flush=True)
