"""Logs for people."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from loki_twisted.command.logs import LineObserver, line_of_event


def lines_of(least: Any, namespace: str, *calls: tuple[str, str]) -> list[str]:
    """What is written of log calls, without the time."""
    stream = io.StringIO()
    logger = Logger(namespace=namespace, observer=LineObserver(stream, least))
    for level, message in calls:
        getattr(logger, level)(message)
    return [line[20:] for line in stream.getvalue().splitlines()]


def test_it_is_an_observer() -> None:
    """Twisted takes it for one of its observers."""
    assert verifyObject(ILogObserver, LineObserver(io.StringIO()))


def test_lines() -> None:
    """An event is a line of date, time, level and message."""
    stream = io.StringIO()
    Logger(namespace="loki_twisted.x", observer=LineObserver(stream)).info("a {b}", b="c")

    line = stream.getvalue()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO     a c\n", line)


ALL = (("debug", "1"), ("info", "2"), ("warn", "3"), ("error", "4"), ("critical", "5"))


@pytest.mark.parametrize(
    ("least", "namespace", "messages"),
    [
        (LogLevel.info, "loki_twisted.service", "2345"),
        (LogLevel.debug, "loki_twisted.service", "12345"),
        (LogLevel.warn, "loki_twisted", "345"),
        (LogLevel.info, "twisted.web.server", "345"),
        (LogLevel.debug, "twisted.web.server", "2345"),
        (LogLevel.info, "loki_twisted_of_somebody_else", "345"),
    ],
)
def test_what_is_worth_a_line(least: Any, namespace: str, messages: str) -> None:
    """Our own events count from the chosen level on, those of Twisted when something is wrong."""
    assert "".join(line[-1] for line in lines_of(least, namespace, *ALL)) == messages


def test_messages_cannot_forge_lines() -> None:
    """What somebody sent stays in its line, and steers no terminal."""
    told = "x\n2026-11-24 00:00:00 CRITICAL forged \x1b[2J\x9b"
    (line,) = lines_of(LogLevel.info, "loki_twisted", ("info", told))

    assert line == "INFO     x\\n2026-11-24 00:00:00 CRITICAL forged \\x1b[2J\\x9b"


def test_failures_have_their_traceback() -> None:
    """Of an error that nobody expected all is told."""
    try:
        raise ZeroDivisionError("by nought")
    except ZeroDivisionError:
        failure = Failure()
    event = {"log_time": 0.0, "log_level": LogLevel.critical, "log_failure": failure}

    text = line_of_event({**event, "log_format": "Trouble", "log_namespace": "x"})

    assert text.splitlines()[0].endswith("CRITICAL Trouble")
    assert "ZeroDivisionError: by nought" in text.splitlines()[-1]
