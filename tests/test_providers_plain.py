"""Tests of the plain line protocol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.providers.cleaning import MAX_TEXT
from loki_twisted.agents.providers.plain import PlainDriver, facts_of_line
from loki_twisted.model.events import EVENT_TYPES, Fact, event_as_frame, event_from_frame

CONSOLE = Path(__file__).parent / "data" / "loki_mode_console.jsonl"

STREAMS = st.sampled_from(["stdout", "stderr"])
SIGNS = [
    "[INFO]",
    "[WARNING] ",
    "[x] ",
    "[",
    "]",
    "{",
    "}",
    '{"type":',
    "\x1b[0;32m",
    "\x1b]0;",
    "\r",
]
WORDS = ["Starting ", "Spawning ", "planning ", "phase", "agent", "the ", " "]
PIECES = st.one_of(st.text(max_size=12), st.sampled_from([*SIGNS, *WORDS]))
LINES = st.lists(PIECES, max_size=10).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
TYPES = st.sampled_from([*EVENT_TYPES, "phase", "task", "agent", "log", "error", "session:", ""])
NAMES = ["type", "data", "phase", "status", "taskId", "id", "title", "agentId", "level", "message"]
NUMBERS = ["progress", "tokensUsed", "cost", "duration", "exitCode", "timeout"]
FIELDS = st.sampled_from([*NAMES, *NUMBERS, "source", "prompt", "options"])
OBJECTS = st.builds(
    lambda kind, fields, data, nested: (
        {"type": kind, "data": data or fields} if nested else {**fields, "type": kind}
    ),
    TYPES | JSON,
    st.dictionaries(FIELDS, JSON, max_size=6),
    st.none() | JSON,
    st.booleans(),
)


def only(stream: str, text: str) -> tuple[str, dict[str, Any]]:
    """The one fact of a line: type and data."""
    (fact,) = facts_of_line(stream, text)
    return fact.type, dict(fact.data)


def check_laws(facts: tuple[Fact, ...]) -> None:
    """What holds for the facts of any line at all."""
    for fact in facts:
        assert fact.type in EVENT_TYPES
        assert not fact.type.startswith(("session:", "heartbeat"))
        told = event_from_frame(event_as_frame(1, 0, "session", fact))
        assert told.data == fact.data
        if fact.type.startswith("log:"):
            assert fact.data["level"] == fact.type.removeprefix("log:")
            assert isinstance(fact.data["message"], str)


def test_interface() -> None:
    """PlainDriver is a driver."""
    assert verifyObject(IDriver, PlainDriver())


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("[INFO] [api] ready", {"level": "info", "message": "ready", "source": "api"}),
        ("[INFO] ready", {"level": "info", "message": "ready"}),
        ("[debug]ready", {"level": "debug", "message": "ready"}),
        ("[WARN] careful", {"level": "warn", "message": "careful"}),
        ("[WARNING] careful", {"level": "warn", "message": "careful"}),
        ("[ERROR] [db] [3] lost", {"level": "error", "message": "[3] lost", "source": "db"}),
        ("  [INFO] indented", {"level": "info", "message": "indented"}),
        ("[INFO ] padded", {"level": "info", "message": "padded"}),
        ("[FATAL] over", {"level": "error", "message": "over"}),
        ("[HELLO] [api] hi", {"level": "info", "message": "hi", "source": "api"}),
        ("[STEP] Checking", {"level": "info", "message": "Checking", "source": "STEP"}),
        ("[Result]", {"level": "info", "message": "[Result]"}),
        ("[INFO] [api]", {"level": "info", "message": "[INFO] [api]"}),
        ("[ERROR]", {"level": "error", "message": "[ERROR]"}),
        ("\x1b[0;32m[INFO]\x1b[0m \x1b[1mdone\x1b[0m", {"level": "info", "message": "done"}),
        ("[INFO] two\rlines", {"level": "info", "message": "two\nlines"}),
        ("[INFO] Starting planning phase", {"level": "info", "message": "Starting planning phase"}),
    ],
)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_line_with_a_level(stream: str, text: str, data: dict[str, Any]) -> None:
    """``[LEVEL] [SOURCE] message`` is that log event, from either stream."""
    assert only(stream, text) == (f"log:{data['level']}", data)


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("Starting planning phase", "planning"),
        ("Entering Testing phase...", "testing"),
        ("Beginning the DEPLOYMENT phase now", "deployment"),
        ("==> entering code-review phase (3 of 5)", "code-review"),
        ("\x1b[1mStarting\x1b[0m development phase", "development"),
        ("\t🚀 Starting bootstrap phase", "bootstrap"),
    ],
)
def test_a_phase_that_is_said_to_start(text: str, phase: str) -> None:
    """It is told in lower case."""
    assert only("stdout", text) == ("phase:started", {"phase": phase})


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        ("Spawning reviewer agent", "reviewer"),
        ("Spawning a Code-Review agent for task 3", "Code-Review"),
        ("-> spawning the qa_unit agent", "qa_unit"),
    ],
)
def test_an_agent_that_is_said_to_be_spawned(text: str, agent: str) -> None:
    """It goes by its type, since such a line names no id."""
    assert only("stdout", text) == ("agent:spawned", {"agentId": agent, "type": agent})


@pytest.mark.parametrize(
    "text",
    [
        "I am starting planning phase one day",
        "Restarting planning phase",
        "Starting the phase",
        "Starting planning phases",
        "Spawning agent",
        "Spawning reviewer agents",
        "[2026-11-24 10:00] hello",
        "[1] see below",
        "[Tool: Read] a file",
        "[] nothing",
        "  indented code",
        '"a text"',
        "[1, 2, 3]",
        "null",
        "42",
        "{not json}",
        '{"type": "log:warn", "message": "x"} and more',
        '{"type": "task", "data": NaN}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        '{"a": ' + "9" * 5000 + "}",
    ],
)
@pytest.mark.parametrize(("stream", "level"), [("stdout", "info"), ("stderr", "error")])
def test_anything_else_is_a_log_line(stream: str, level: str, text: str) -> None:
    """As it is, with the level of its stream."""
    assert only(stream, text) == (f"log:{level}", {"level": level, "message": text})


@pytest.mark.parametrize("text", ["", " ", "\t", "\x1b[0m", "\x1b[1m\x1b[0;34m  ", "\r", "\x00"])
def test_a_line_that_shows_nothing_is_a_line_all_the_same(text: str) -> None:
    """Blanks, colour codes and control characters alone are an empty message."""
    kind, data = only("stdout", text)
    assert (kind, data["message"].strip()) == ("log:info", "")


@pytest.mark.parametrize("start", ["", '{"a":', '{"type":"task","data":', "[INFO] "])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_a_hundred_thousand_levels_of_json(start: str, opening: str) -> None:
    """JSON that no stack could hold is a log line like any other, and is cut."""
    kind, data = only("stdout", start + opening * 100_000)
    assert kind == "log:info"
    assert data["message"].endswith("bytes in all]")


@pytest.mark.parametrize("prefix", ["", "[INFO] ", '{"type":"log:info","message":"', "Starting "])
def test_a_message_is_at_most_64_kib(prefix: str) -> None:
    """However long a line is, what is kept of it is bounded."""
    _, data = only("stdout", prefix + "ü" * 300_000)
    assert MAX_TEXT - 64 < len(data["message"].encode()) <= MAX_TEXT


def test_the_console_of_loki_mode() -> None:
    """What a real run printed becomes what a person would call it."""
    for line in CONSOLE.read_text(encoding="utf-8").splitlines():
        said = json.loads(line)
        facts = PlainDriver().line(said["stream"], said["line"])
        assert [[fact.type, fact.data] for fact in facts] == said["facts"]


@given(STREAMS, st.text() | LINES)
def test_any_line_is_translated(stream: str, text: str) -> None:
    """No text raises, and each becomes events that can be stored and sent."""
    check_laws(facts_of_line(stream, text))


@pytest.mark.threat("T19")
@given(STREAMS, OBJECTS)
def test_any_object_is_translated(stream: str, said: object) -> None:
    """So does any JSON, whatever its fields hold: one fact, never of those that the server says."""
    facts = facts_of_line(stream, json.dumps(said))
    assert len(facts) == 1
    check_laws(facts)


@given(STREAMS, OBJECTS)
def test_colours_change_nothing(stream: str, said: object) -> None:
    """A line in colour is the line without."""
    text = json.dumps(said)
    assert facts_of_line(stream, f"\x1b[0;32m{text}\x1b[0m\r") == facts_of_line(stream, text)


def test_facts_are_shared_by_nobody() -> None:
    """Two equal lines have equal facts, and not the same object for data."""
    (first,) = facts_of_line("stdout", "[INFO] same")
    (second,) = facts_of_line("stdout", "[INFO] same")
    assert first == second
    assert first.data is not second.data
    assert msgspec.json.encode(first.data) == msgspec.json.encode(second.data)
