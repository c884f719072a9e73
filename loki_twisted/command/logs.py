"""Logs on stderr: one plain line for each event, for people, or one JSON object, for programs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner
from zope.interface import implementer

from loki_twisted.command.log_stream import LineStream

_OURS: Final = "loki_twisted"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_IN_QUERY: Final = re.compile(r"(?i)([?&;](?:[\w-]*(?:token|ticket|key|secret))=)[^&;#\s\"']+")
_BEARER: Final = re.compile(r"(?i)(bearer\s+)[^\s\"',;]+")
_MASKED: Final = r"\1***"

_encode: Final = msgspec.json.Encoder().encode


def line_of_event(event: LogEvent) -> str:
    """
    Write a log event as a line: local time, level, and the message.

    What stands in the message cannot end the line or steer a terminal. The
    traceback of a failure follows on lines of its own.
    """
    moment = datetime.fromtimestamp(event["log_time"]).astimezone()
    level = event.get("log_level") or LogLevel.info
    message = _CONTROL.sub(lambda found: repr(found[0])[1:-1], masked(formatEvent(event)))
    line = f"{moment:%Y-%m-%d %H:%M:%S} {level.name.upper():<8} {message}\n"
    failure = event.get("log_failure")
    return line if failure is None else f"{line}{masked(failure.getTraceback()).rstrip()}\n"


def json_of_event(event: LogEvent) -> str:
    """
    Write a log event as a line of JSON.

    ``time`` (UTC), ``level``, ``logger`` and ``message`` are always there, ``traceback`` with a
    failure. What the message was made of is there by its name in camelCase, as far as it is text,
    a number or a truth. What our rooms call ``id`` is ``requestId`` in the web, and else
    ``sessionId``.
    """
    moment = datetime.fromtimestamp(event["log_time"], UTC)
    level = event.get("log_level") or LogLevel.info
    logger = str(event.get("log_namespace", ""))
    told: dict[str, Any] = {
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": level.name,
        "logger": logger,
        "message": masked(formatEvent(event)),
    }
    for name, value in _parts(event, logger).items():
        told.setdefault(name, value)
    failure = event.get("log_failure")
    if failure is not None:
        told["traceback"] = masked(failure.getTraceback()).rstrip()
    return f"{_encode(told).decode()}\n"


def _parts(event: LogEvent, logger: str) -> Mapping[str, Any]:
    names_of_ours = "requestId" if logger.startswith(f"{_OURS}.web") else "sessionId"
    return {
        names_of_ours if name == "id" else _camel_case(name): masked(value)
        if isinstance(value, str)
        else value
        for name, value in event.items()
        if not name.startswith("log_") and isinstance(value, str | int | float)
    }


def _camel_case(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def masked(text: str) -> str:
    """Take out what must never stand in a log, wherever it came from: tokens that were sent."""
    return _BEARER.sub(_MASKED, _IN_QUERY.sub(_MASKED, text))


FORMATS: Final[Mapping[str, Callable[[LogEvent], str]]] = {
    "text": line_of_event,
    "json": json_of_event,
}
"""The ways to write an event, by the words for them."""


def is_worth_a_line(event: LogEvent, least: object) -> bool:
    """
    Whether an event is for people who run a server.

    :param least: The least ``LogLevel`` of our own events. Those of Twisted count from
        warnings on, or from info on where ours are wanted down to debug.
    """
    level = event.get("log_level") or LogLevel.info
    if str(event.get("log_namespace", "")).partition(".")[0] == _OURS:
        return bool(level >= least)
    return bool(level >= (LogLevel.info if least is LogLevel.debug else LogLevel.warn))


@implementer(ILogObserver)
class LineObserver:
    """
    Writes lines to a stream, as long as somebody takes them; see :class:`LineStream`.

    How many were lost is told when there is room again.

    :param least: The least level of our own events that is written.
    :param write: How an event is written; see :data:`FORMATS`.
    """

    def __init__(
        self,
        stream: TextIO,
        least: object = LogLevel.info,
        write: Callable[[LogEvent], str] = line_of_event,
    ) -> None:
        self._stream = LineStream(stream, lambda lost: write(_loss(lost)))
        self._least = least
        self._write = write

    def __call__(self, event: LogEvent) -> None:
        """Write an event, if it is worth a line."""
        if is_worth_a_line(event, self._least):
            self._stream.write(self._write(event))


def _loss(lost: int) -> LogEvent:
    """What is told of lines that were lost."""
    return {
        "log_time": time.time(),
        "log_level": LogLevel.warn,
        "log_namespace": __name__,
        "log_format": "{lost} lines of this log were lost: nobody took them",
        "lost": lost,
    }


def begin_logging(stream: TextIO, least: object = LogLevel.info, log_format: str = "text") -> None:
    """Send the logs of this process to a stream from now on, in a format of :data:`FORMATS`."""
    observer = LineObserver(stream, least, FORMATS[log_format])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
