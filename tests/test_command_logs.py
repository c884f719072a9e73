"""Logs for people."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from loki_twisted.command.logs import FORMATS, LineObserver, line_of_event


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


def test_tracebacks_cannot_forge_lines() -> None:
    """What an error says may be what somebody sent: it makes no line, and steers no terminal."""
    stream = io.StringIO()
    logger = Logger(namespace="loki_twisted", observer=LineObserver(stream))
    with logger.failuresHandled("Trouble"):
        raise ValueError("x\n2026-11-24 00:00:00 CRITICAL forged \x1b[2J\x9b")
    first, *others = stream.getvalue().split("\n")[:-1]

    assert first.endswith("CRITICAL Trouble")
    assert all(line.startswith("  ") for line in others)
    assert others[-1] == "  2026-11-24 00:00:00 CRITICAL forged \\x1b[2J\\x9b"


def objects_of(*calls: tuple[str, str, dict[str, Any]], namespace: str = "loki_twisted") -> Any:
    """What is written as JSON of log calls."""
    stream = io.StringIO()
    observer = LineObserver(stream, LogLevel.debug, FORMATS["json"])
    logger = Logger(namespace=namespace, observer=observer)
    for level, message, parts in calls:
        getattr(logger, level)(message, **parts)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json() -> None:
    """An event is an object on a line, with what the message was made of, as far as it is plain."""
    parts = {"path": "/x", "status": 200, "session_id": None, "taken_ms": 1.5, "thing": object()}
    (told,) = objects_of(("info", "{path}: {status}\n", parts))

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("time"))
    assert told == {
        "level": "info",
        "logger": "loki_twisted",
        "message": "/x: 200\n",
        "path": "/x",
        "status": 200,
        "takenMs": 1.5,
    }


def test_json_names_requests_and_sessions() -> None:
    """An id is told by what it is the id of; no part replaces what is always there."""
    (told,) = objects_of(("warn", "{id}", {"id": "r1"}), namespace="loki_twisted.web.site")
    assert told["requestId"] == "r1"
    (told,) = objects_of(
        ("warn", "{id}", {"id": "session_1", "logger": "x", "time": "never"}),
        namespace="loki_twisted.sessions.ending",
    )
    assert told["sessionId"] == "session_1"
    assert told["logger"] == "loki_twisted.sessions.ending"
    assert told["time"] != "never"


def test_json_of_what_is_no_text() -> None:
    """The name of a file may be any bytes: it is told, as far as it can be."""
    (told,) = objects_of(("info", "{path}", {"path": "/x\udcff", "thing": 1}))

    assert told["path"] == told["message"] == "/x\\udcff"
    assert told["thing"] == 1


def test_json_of_a_failure() -> None:
    """A traceback stays in its line."""
    stream = io.StringIO()
    logger = Logger(namespace="x", observer=LineObserver(stream, write=FORMATS["json"]))
    with logger.failuresHandled("Trouble"):
        raise ZeroDivisionError("by nought")
    (line,) = stream.getvalue().splitlines()

    assert "ZeroDivisionError: by nought" in json.loads(line)["traceback"]


@pytest.mark.parametrize("write", FORMATS.values())
@pytest.mark.parametrize(
    "secret",
    [
        "GET /api/events?types=x&token=SECRETXYZ&limit=1",
        "GET /api/events?ticket=SECRETXYZ",
        "/x?access_token=SECRETXYZ;api_key=SECRETXYZ",
        "Authorization: Bearer SECRETXYZ",
        "{'authorization': 'bearer SECRETXYZ'}",
    ],
)
def test_no_token_is_ever_written(write: Any, secret: str) -> None:
    """Whoever puts a token into a message or a part of it, it is not there in the log."""
    stream = io.StringIO()
    logger = Logger(namespace="loki_twisted", observer=LineObserver(stream, write=write))
    logger.info("refused: {what}", what=secret)
    with logger.failuresHandled("Trouble"):
        raise ValueError(secret)

    assert "refused" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "SECRETXYZ" not in stream.getvalue()
