"""Events of a session as a conversation. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from loki_twisted.command.colours import Palette
from loki_twisted.command.formatting import event_line, plain
from loki_twisted.model.events import Event

MOST_RESULT_LINES: Final = 6
"""Of what a tool gave back so many lines are shown."""

_MOST_LINES: Final = 400
_MOST_LETTERS: Final = 200

Tell = Callable[[Mapping[str, Any], Palette], list[str]]


def spoken(event: Event, palette: Palette) -> list[str]:
    """
    Write an event as lines: what agents say as it is said, all else as in a list.

    :returns: None of them has a character that steers a terminal, but for our colours.
    """
    if event.type in _TOLD_OTHERWISE or event.data.get("reasonCode") == "waiting_for_input":
        return []
    tell = _TELLS.get(str(event.data.get("kind"))) if event.type == "agent:output" else None
    return tell(event.data, palette) if tell else [event_line(event, palette)]


_TOLD_OTHERWISE: Final = frozenset({"heartbeat", "metrics:update"})


def _text(data: Mapping[str, Any], palette: Palette) -> list[str]:
    lines = lines_of(data.get("output"), _MOST_LINES)
    name = data.get("agentId")
    if name in {None, "main"}:
        return lines
    return [f"{palette.paint('blue', plain(name))} {line}" for line in lines]


def _thinking(data: Mapping[str, Any], palette: Palette) -> list[str]:
    return [palette.paint("dim", line) for line in lines_of(data.get("output"), _MOST_LINES)]


def _tool_call(data: Mapping[str, Any], palette: Palette) -> list[str]:
    arguments = data.get("input")
    told = data.get("output") or ""
    if isinstance(arguments, Mapping):
        only = next(iter(arguments.values())) if len(arguments) == 1 else None
        told = only if isinstance(only, str) else json.dumps(arguments, ensure_ascii=False)
    text = plain(told)
    shown = text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}..."
    return [f"{palette.paint('cyan', '* ' + plain(data.get('tool') or 'tool'))} {shown}".rstrip()]


def _tool_result(data: Mapping[str, Any], palette: Palette) -> list[str]:
    colour = "red" if data.get("isError") else "dim"
    lines = lines_of(data.get("output"), MOST_RESULT_LINES)
    return [palette.paint(colour, f"  | {line}") for line in lines]


def lines_of(text: object, most: int) -> list[str]:
    """Cut a text into lines without characters that steer a terminal; at most so many."""
    lines = [plain_but_indented(line) for line in str(text or "").splitlines()]
    if len(lines) <= most:
        return lines
    return [*lines[:most], f"... {len(lines) - most} more lines"]


def plain_but_indented(line: str) -> str:
    """Make a harmless line of any; the blanks at its beginning stay."""
    opened = line.expandtabs(4)
    blanks = len(opened) - len(opened.lstrip(" "))
    return " " * blanks + plain(opened)


_TELLS: Final[Mapping[str, Tell]] = {
    "text": _text,
    "thinking": _thinking,
    "tool_call": _tool_call,
    "tool_result": _tool_result,
}
