"""Logs for people: one plain line for each event, on stderr."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, TextIO

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner
from zope.interface import implementer

_OURS: Final = "loki_twisted"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def line_of_event(event: LogEvent) -> str:
    """
    Write a log event as a line: local time, level, and the message.

    What stands in the message cannot end the line or steer a terminal. The
    traceback of a failure follows on lines of its own.
    """
    moment = datetime.fromtimestamp(event["log_time"]).astimezone()
    level = event.get("log_level") or LogLevel.info
    message = _CONTROL.sub(lambda found: repr(found[0])[1:-1], formatEvent(event))
    line = f"{moment:%Y-%m-%d %H:%M:%S} {level.name.upper():<8} {message}\n"
    failure = event.get("log_failure")
    return line if failure is None else f"{line}{failure.getTraceback().rstrip()}\n"


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
    Writes lines to a stream.

    :param least: The least level of our own events that is written.
    """

    def __init__(self, stream: TextIO, least: object = LogLevel.info) -> None:
        self._stream = stream
        self._least = least

    def __call__(self, event: LogEvent) -> None:
        """Write an event, if it is worth a line."""
        if is_worth_a_line(event, self._least):
            self._stream.write(line_of_event(event))
            self._stream.flush()


def begin_logging(stream: TextIO, least: object = LogLevel.info) -> None:
    """Send the logs of this process to a stream from now on."""
    globalLogBeginner.beginLoggingTo([LineObserver(stream, least)], redirectStandardIO=False)
