"""Values as text for people."""

from __future__ import annotations

import io
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.command.colours import Palette, palette_for
from loki_twisted.command.formatting import (
    clock_time,
    duration,
    event_line,
    gist,
    json_line,
    plain,
)
from loki_twisted.model.events import EVENT_TYPES, Event

PLAIN = Palette(is_coloured=False)
COLOURED = Palette(is_coloured=True)


def event(event_type: str, **data: Any) -> Event:
    return Event(
        id="evt_1_1",
        type=event_type,
        timestamp="2026-11-23T22:43:11.042Z",
        session_id="s",
        data=data,
    )


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (event("session:started", status="running", message="Off we go."), "Off we go."),
        (event("session:failed", status="failed", exitCode=3), "failed (exit code 3)"),
        (event("session:completed", status="completed", exitCode=0), "completed (exit code 0)"),
        (event("phase:started", phase="testing", progress=70), "testing (70%)"),
        (event("phase:started", phase="testing"), "testing"),
        (event("task:created", taskId="t1", title="Build"), "Build"),
        (event("task:started", taskId="t1"), "t1"),
        (event("task:failed", taskId="t1", title="Build", error="no"), "Build - no"),
        (event("agent:spawned", agentId="a1", type="builder", task="t1"), "a1 - t1"),
        (event("agent:output", agentId="a1", type="builder", output="hm"), "a1 - hm"),
        (event("log:info", level="info", message="hello", source="demo"), "[demo] hello"),
        (event("log:info", level="info", message="hello"), "hello"),
        (event("metrics:update", tokensUsed=9, apiCalls=2, cost=0.5), "9 tokens, 2 calls, $0.5000"),
        (event("metrics:update", cpuUsage=0.5), "cpuUsage=0.5"),
        (event("metrics:update", cost="much"), "cost=much"),
        (event("input:requested", prompt="Which?", options=["a", "b"]), "Which? (a / b)"),
        (event("input:requested", prompt="Which?"), "Which?"),
        (event("heartbeat", uptime=5, activeAgents=1), "uptime=5 activeAgents=1"),
        (event("brand:new", x=1), "x=1"),
    ],
)
def test_the_gist_of_events(told: Event, text: str) -> None:
    """Of each kind of event that is told which matters."""
    assert gist(told) == text


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
_FIELDS = st.sampled_from(
    [
        "status",
        "message",
        "exitCode",
        "phase",
        "progress",
        "taskId",
        "title",
        "error",
        "output",
        "agentId",
        "type",
        "task",
        "level",
        "source",
        "tokensUsed",
        "apiCalls",
        "cost",
        "prompt",
        "options",
        "default",
    ]
)


@given(
    st.sampled_from([*EVENT_TYPES, "brand:new", "", "\x1b[2J:\n"]),
    st.text(),
    st.dictionaries(_FIELDS, _JSON, max_size=5),
)
def test_any_event_is_one_harmless_line(event_type: str, timestamp: str, data: dict) -> None:
    """Whatever agents put into events is one line, and steers no terminal."""
    told = Event(id="i", type=event_type, timestamp=timestamp, session_id="s", data=data)

    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", event_line(told, PLAIN))


@given(st.text(), st.dictionaries(_FIELDS, _JSON, max_size=5))
def test_json_steers_nothing_either(timestamp: str, data: dict) -> None:
    """What is printed as JSON says the same, in one line that no terminal obeys."""
    told = Event(id="i", type="\x9b2J", timestamp=timestamp, session_id="\u202e", data=data)
    line = json_line(told)

    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", line)
    assert msgspec.json.decode(line, type=Event) == told


def test_lines_have_the_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event's line begins with when it happened, by the clock on the wall."""
    line = event_line(event("log:info", message="hello"), PLAIN)

    assert re.fullmatch(r"\d\d:\d\d:11 log:info          hello", line)
    assert clock_time("yesterday") == "yesterday"


def test_colours_change_no_text() -> None:
    """Without its colours a coloured line is the plain one."""
    for event_type in EVENT_TYPES:
        told = event(event_type, message="x", title="y")
        coloured = event_line(told, COLOURED)
        assert "\x1b[" in coloured
        assert re.sub(r"\x1b\[\d+m", "", coloured).rstrip() == event_line(told, PLAIN)


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "coloured"),
    [
        (Terminal(), {"TERM": "xterm"}, True),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
    ],
)
def test_where_colours_are_wanted(stream: io.StringIO, environ: dict, coloured: bool) -> None:
    """Colours are for terminals that can, and for people who do not mind."""
    assert palette_for(stream, environ).is_coloured is coloured


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(-5, "0s"), (999, "0s"), (59_999, "59s"), (60_000, "1m"), (7_200_000, "2h"), (10**9, "11d")],
)
def test_durations(milliseconds: int, text: str) -> None:
    """A duration is told in its largest unit."""
    assert duration(milliseconds) == text


def test_plain() -> None:
    """Control characters and turns of direction become blanks."""
    assert plain("a\x1b[31m\r\nb\u202ec\x9b") == "a [31m b c"
