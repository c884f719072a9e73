"""
Values as text for people. Pure functions.

Whatever an agent or a file has put into a value goes through :func:`plain`
before it is shown, so that it cannot steer the terminal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from loki_twisted.command.colours import Palette
from loki_twisted.model.events import Event
from loki_twisted.model.timestamps import ms_from_iso

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")

_UNSEEN_IN_JSON: Final = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

_COLOUR_OF_ENDING: Final = {
    "completed": "green",
    "failed": "red",
    "error": "red",
    "warn": "yellow",
    "stopped": "yellow",
    "paused": "yellow",
    "requested": "magenta",
    "debug": "dim",
    "update": "dim",
}
_TYPE_WIDTH: Final = 17


def plain(text: object) -> str:
    """Make one line of anything, without characters that steer a terminal."""
    return _CONTROL.sub(" ", str(text)).strip()


def json_line(answer: msgspec.Struct) -> str:
    """Write an answer as a line of JSON, in which what could steer a terminal is escaped."""
    text = msgspec.json.encode(answer).decode()
    return _UNSEEN_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def event_line(event: Event, palette: Palette) -> str:
    """Write an event as a line: local time, type, and what matters of its data."""
    ending = event.type.partition(":")[2]
    colour = _COLOUR_OF_ENDING.get(ending)
    kind = f"{plain(event.type):<{_TYPE_WIDTH}}"
    painted = palette.paint(colour, kind) if colour else kind
    return f"{palette.paint('dim', clock_time(event.timestamp))} {painted} {gist(event)}".rstrip()


def clock_time(timestamp: str) -> str:
    """Write a time of the wire as local hours, minutes and seconds; as it is if it is none."""
    try:
        moment = datetime.fromtimestamp(ms_from_iso(timestamp) / 1000).astimezone()
    except (ValueError, OverflowError, OSError):
        return plain(timestamp)
    return f"{moment:%H:%M:%S}"


def gist(event: Event) -> str:
    """Say what matters of an event's data."""
    tell = _GISTS.get(event.type.partition(":")[0], _rest)
    return plain(tell(event.data))


def _session(data: Mapping[str, Any]) -> str:
    code = data.get("exitCode")
    ending = f"(exit code {code})" if code is not None else None
    told = data.get("message") or data.get("reason") or data.get("status")
    return _words(told, ending)


def _phase(data: Mapping[str, Any]) -> str:
    progress = data.get("progress")
    return _words(data.get("phase"), f"({progress}%)" if progress is not None else None)


def _task(data: Mapping[str, Any]) -> str:
    return _words(data.get("title") or data.get("taskId"), _after_dash(data, "error", "output"))


def _agent(data: Mapping[str, Any]) -> str:
    name = data.get("agentId") or data.get("type")
    return _words(name, _after_dash(data, "output", "task"))


def _log(data: Mapping[str, Any]) -> str:
    source = data.get("source")
    return _words(f"[{source}]" if source else None, data.get("message"))


def _metrics(data: Mapping[str, Any]) -> str:
    cost = data.get("cost")
    told = [
        f"{data['tokensUsed']} tokens" if "tokensUsed" in data else None,
        f"{data['apiCalls']} calls" if "apiCalls" in data else None,
        f"${cost:.4f}" if isinstance(cost, int | float) else None,
    ]
    return ", ".join(part for part in told if part) or _rest(data)


def _input(data: Mapping[str, Any]) -> str:
    options = data.get("options")
    choice = f"({' / '.join(map(str, options))})" if isinstance(options, list) and options else None
    said, by = data.get("answer"), data.get("answeredBy")
    answer = ", ".join(map(str, said)) if isinstance(said, list) else said
    settled = [answer, f"(by {by})" if by else None, _after_dash(data, "reason")]
    return _words(data.get("prompt"), choice, *settled)


def _message(data: Mapping[str, Any]) -> str:
    return _words(data.get("text") or data.get("messageId"), _after_dash(data, "reason"))


def _rest(data: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in data.items())


def _words(*parts: object) -> str:
    return " ".join(str(part) for part in parts if part not in (None, ""))


def _after_dash(data: Mapping[str, Any], *names: str) -> str | None:
    return next((f"- {data[name]}" for name in names if data.get(name)), None)


_GISTS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "session": _session,
    "phase": _phase,
    "task": _task,
    "agent": _agent,
    "log": _log,
    "metrics": _metrics,
    "input": _input,
    "message": _message,
}


def duration(milliseconds: int) -> str:
    """Write a duration in its largest unit, like ``5m``; less than nothing is ``0s``."""
    seconds = max(0, milliseconds // 1000)
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
