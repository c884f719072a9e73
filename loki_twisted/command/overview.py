"""A server and its sessions at one moment, as people see it. Pure functions."""

from __future__ import annotations

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from loki_twisted.command.formatting import duration, plain
from loki_twisted.command.listing import sessions_grid
from loki_twisted.model.sessions import Session
from loki_twisted.model.wire import EventStats, Status

_HEAD_LINES = 4
_FOOT_LINES = 1


class Overview(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    What there is to see.

    :ivar at_ms: When it was looked at, since the Unix epoch.
    :ivar sessions: Those that are shown, newest first.
    :ivar total: How many of them there are in all.
    """

    at_ms: int
    sessions: list[Session]
    total: int
    server: Status
    stream: EventStats
    open_inputs: int


def overview(
    taken: Overview,
    url: str,
    now_ms: int,
    room: int | None,
    lines: int | None,
    *,
    is_old: bool = False,
) -> Group:
    """
    Lay it out.

    :param lines: How many lines there are; None for any number.
    :param is_old: Whether the server has not answered since.
    """
    places = len(taken.sessions) if lines is None else max(0, lines - _HEAD_LINES - _FOOT_LINES)
    shown = taken.sessions[:places]
    parts: list[RenderableType] = [
        *_head(taken, url, now_ms, is_old=is_old),
        sessions_grid(shown, now_ms, room),
    ]
    left_out = taken.total - len(shown)
    if left_out > 0:
        parts.append(Text(f"... and {left_out} more", "dim"))
    elif not shown:
        parts.append(Text("No session runs; start one: lokictl start", "dim"))
    return Group(*parts)


def _head(taken: Overview, url: str, now_ms: int, *, is_old: bool) -> list[Text]:
    server = taken.server
    if is_old:
        age = duration(now_ms - taken.at_ms)
        state = Text(f"CUT OFF for {age}, trying again", "bold red")
    elif server.problems:
        state = Text(f"degraded: {plain('; '.join(server.problems))}", "yellow")
    else:
        state = Text("healthy", "green")
    first = Text.assemble(state, f"  {plain(url)}  loki {plain(server.version)}")
    counts = [
        f"{server.sessions.running} running",
        f"{taken.open_inputs} asked" if taken.open_inputs else "nothing asked",
        f"{taken.stream.events_per_second:.1f} events/s",
        f"{taken.stream.subscribers} listen",
        f"up {duration(server.uptime)}",
        f"load {server.system.load_average:.1f}",
    ]
    heads = [first, Text("  ".join(counts)), Text("")]
    for head in heads:
        head.no_wrap = True
        head.overflow = "ellipsis"
    return heads
