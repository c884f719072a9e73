"""What one sees and types while attached: events as a conversation, lines as orders."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.command.colours import Palette
from loki_twisted.command.conversation import MOST_RESULT_LINES, spoken
from loki_twisted.command.typed import HELP, ORDERS, Command, Words, read_line
from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.events import EVENT_TYPES, Event

PLAIN = Palette(is_coloured=False)


def said(event_type: str = "agent:output", **data: Any) -> list[str]:
    return spoken(
        Event(
            id="evt_1_1",
            type=event_type,
            timestamp="2026-11-23T22:43:11.042Z",
            session_id="s",
            data=data,
        ),
        PLAIN,
    )


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ({"kind": "text", "output": "One.\n  Two.\r\n\tThree."}, ["One.", "  Two.", "    Three."]),
        ({"kind": "text", "output": "Hm.", "agentId": "main"}, ["Hm."]),
        ({"kind": "text", "output": "Hm.", "agentId": "painter"}, ["painter Hm."]),
        ({"kind": "text", "output": None}, []),
        ({"kind": "thinking", "output": "Well"}, ["Well"]),
        ({"kind": "tool_call", "tool": "Bash", "input": {"command": "ls"}}, ["* Bash ls"]),
        (
            {"kind": "tool_call", "tool": "Edit", "input": {"path": "a", "new": "b"}},
            ['* Edit {"path": "a", "new": "b"}'],
        ),
        ({"kind": "tool_call", "tool": "Odd", "output": "so"}, ["* Odd so"]),
        ({"kind": "tool_call", "input": []}, ["* tool"]),
        ({"kind": "tool_result", "output": "a\nb"}, ["  | a", "  | b"]),
    ],
)
def test_what_agents_say(data: dict[str, Any], lines: list[str]) -> None:
    """What an agent says is shown as it says it; calls of tools and what they give are short."""
    assert said(**data) == lines


def test_long_results() -> None:
    """Of a long result the beginning is shown, and how much more there is."""
    lines = said(kind="tool_result", output="\n".join(map(str, range(100))))

    assert len(lines) == MOST_RESULT_LINES + 1
    assert lines[-1] == f"  | ... {100 - MOST_RESULT_LINES} more lines"
    assert len(said(kind="tool_call", tool="T", output="x" * 10_000)[0]) < 300


def test_all_else_is_a_line() -> None:
    """Other events are lines as in a list; what is shown elsewhere is none."""
    assert said("log:info", message="hello")[0].endswith("log:info          hello")
    assert said("heartbeat", uptime=1) == []
    assert said("metrics:update", tokensUsed=1) == []
    assert said("session:updated", reason="Which?", reasonCode="waiting_for_input") == []


_VALUES = st.none() | st.integers() | st.text() | st.lists(st.text(), max_size=2)


@given(
    st.sampled_from(EVENT_TYPES),
    st.dictionaries(
        st.sampled_from(["kind", "output", "tool", "input", "agentId", "isError", "message"]),
        _VALUES | st.sampled_from(["text", "thinking", "tool_call", "tool_result"]),
    ),
)
def test_nothing_steers_the_terminal(event_type: str, data: dict[str, Any]) -> None:
    """Whatever an agent says, no line of it has a character that steers a terminal."""
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", "".join(said(event_type, **data)))


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("", None),
        ("   ", None),
        ("paint it blue ", Words("paint it blue")),
        ("2", Words("2")),
        ("//etc/hosts is wrong", Words("/etc/hosts is wrong")),
        ("/now stop that", Words("stop that", is_urgent=True)),
        ("/pause", Command("pause")),
        ("/detach", Command("detach")),
        (" /help ", Command("help")),
    ],
)
def test_what_is_typed(line: str, meaning: object) -> None:
    """A line is for the agent, but for what begins with one slash."""
    assert read_line(line) == meaning


@pytest.mark.parametrize("line", ["/", "/frob", "/now", "/stop it", "/ pause"])
def test_what_is_not_understood(line: str) -> None:
    """What begins with a slash and is no command goes to nobody."""
    with pytest.raises(InvalidRequest, match="is not understood; /help says what is"):
        read_line(line)


def test_help_names_all() -> None:
    """The help has every order, and fits a narrow window."""
    assert [order for order in ORDERS if f"/{order}" not in " ".join(HELP)] == []
    assert max(map(len, HELP)) <= 92
