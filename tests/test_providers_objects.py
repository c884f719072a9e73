"""Tests of what the objects mean that agents print."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents.providers.cleaning import MAX_NAME, MAX_TEXT
from loki_twisted.agents.providers.objects import MAX_OBJECT, maybe_object
from loki_twisted.agents.providers.plain import facts_of_line
from loki_twisted.agents.providers.tidying import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_PARTS,
    is_longer,
    maybe_tidy,
)
from loki_twisted.model.events import EVENT_TYPES
from tests.driver_laws import ANY_JSON

SERVERS_OWN = [
    *(kind for kind in EVENT_TYPES if kind.startswith(("session:", "message:", "heartbeat"))),
    *("input:answered", "input:withdrawn"),
]
TASK = {"taskId": "t1", "title": "Write"}
AGENT = {"agentId": "a1", "type": "reviewer"}


def told(stream: str = "stdout", /, **said: Any) -> tuple[str, dict[str, Any]]:
    """Print an object and return its one fact: type and data."""
    (fact,) = facts_of_line(stream, json.dumps(said))
    return fact.type, dict(fact.data)


@pytest.mark.parametrize(
    ("kind", "data", "fact"),
    [
        ("phase", {"phase": "Planning"}, ("phase:started", {"phase": "planning"})),
        (
            "phase",
            {"phase": "testing", "previousPhase": "Development", "progress": "40"},
            ("phase:started", {"phase": "testing", "previousPhase": "development", "progress": 40}),
        ),
        ("phase", {"name": "x", "status": "done"}, ("phase:completed", {"phase": "x"})),
        ("phase", {"phase": "x", "status": "failed"}, ("phase:failed", {"phase": "x"})),
        ("task", TASK, ("task:started", {**TASK, "status": "running"})),
        (
            "task",
            {"id": 7, "subject": True, "status": "in progress"},
            ("task:started", {"taskId": "7", "title": "true", "status": "running"}),
        ),
        ("task", {**TASK, "status": "done"}, ("task:completed", {**TASK, "status": "completed"})),
        ("task", {**TASK, "status": "failed"}, ("task:failed", {**TASK, "status": "failed"})),
        ("task", {**TASK, "status": "queued"}, ("task:created", {**TASK, "status": "queued"})),
        ("task", {**TASK, "status": "skipped"}, ("task:completed", {**TASK, "status": "skipped"})),
        ("task", {**TASK, "status": "odd"}, ("task:started", {**TASK, "status": "running"})),
        ("task", {"id": "t1"}, ("task:started", {**TASK, "title": "t1", "status": "running"})),
        (
            "task",
            {"title": "Write"},
            ("task:started", {"taskId": "Write", "title": "Write", "status": "running"}),
        ),
        ("agent", AGENT, ("agent:spawned", AGENT)),
        ("agent", {"id": "a1"}, ("agent:spawned", {"agentId": "a1", "type": "agent"})),
        (
            "agent",
            {"type": "qa", "model": "m", "task": 3, "exitCode": "0", "status": "completed"},
            (
                "agent:completed",
                {"agentId": "qa", "type": "qa", "model": "m", "task": "3", "exitCode": 0},
            ),
        ),
        ("task:progress", {**TASK, "progress": 0.5}, None),
        ("task:completed", {**TASK, "status": "completed", "output": [1], "duration": 5}, None),
        ("agent:output", {**AGENT, "output": "a line"}, None),
        ("log:warn", {"message": "careful", "source": "db", "context": {"n": 1}}, None),
        ("metrics:update", {"tokensUsed": 12, "cost": 0.5, "cpuUsage": 1.5, "extra": "x"}, None),
        ("input:requested", {"prompt": "Which?", "options": ["a", "b"], "timeout": 100}, None),
    ],
)
def test_an_object_is_its_event(
    kind: str, data: dict[str, Any], fact: tuple[str, dict[str, Any]] | None
) -> None:
    """With its data nested as flat, where a field is not named ``type`` twice."""
    added = {"task:progress": {"status": "running"}, "log:warn": {"level": "warn"}}.get(kind, {})
    expected = fact or (kind, {**data, **added})
    assert told(type=kind, data=data) == expected
    if "type" not in data:
        assert told(**data, type=kind) == expected
        assert told(**data, type=kind, data=None) == expected
        assert told(**data, type=kind, data="no object") == expected


def test_a_flat_agent() -> None:
    """``type`` is taken by the event, so the agent's stands in ``agentType``."""
    assert told(type="agent", agentId="a1", agentType="reviewer") == ("agent:spawned", AGENT)


@pytest.mark.parametrize(
    ("kind", "status", "kept"),
    [
        ("task:started", "completed", "running"),
        ("task:progress", "pending", "running"),
        ("task:completed", "running", "completed"),
        ("task:completed", "skipped", "skipped"),
        ("task:failed", "done", "failed"),
        ("task:created", "in_progress", "running"),
        ("task:created", "what", "pending"),
    ],
)
def test_an_event_and_its_status_agree(kind: str, status: str, kept: str) -> None:
    """A status that the event rules out is not taken over."""
    assert told(type=kind, data={**TASK, "status": status}) == (kind, {**TASK, "status": kept})


@pytest.mark.parametrize("kind", SERVERS_OWN)
@pytest.mark.parametrize("nested", [True, False])
def test_only_the_server_says_how_a_session_stands(kind: str, nested: bool) -> None:
    """What looks like the server's own events is a log line with all of it in the message."""
    said = {"type": kind, "data": {"status": "completed"}} if nested else {"type": kind, "n": 1}
    assert told(**said) == ("log:info", {"level": "info", "message": json.dumps(said)})


@pytest.mark.parametrize("kind", ["input:answered", "input:withdrawn"])
def test_only_the_server_says_what_became_of_an_input(kind: str) -> None:
    """Not even an agent that repeats its question can answer it."""
    said = {"type": kind, "prompt": "Which?"}
    assert told(**said) == ("log:info", {"level": "info", "message": json.dumps(said)})


@pytest.mark.parametrize(
    "said",
    [
        {"a": 1},
        {},
        {"type": None},
        {"type": ["task"]},
        {"type": "task"},
        {"type": "task", "data": None},
        {"type": "task", "data": {}},
        {"type": "task", "data": []},
        {"type": "phase", "data": {"phase": {"name": "x"}}},
        {"type": "phase:begun", "data": {"phase": "x"}},
        {"type": "task:", "data": TASK},
        {"type": "Task", "data": TASK},
        {"type": "agent", "data": {"status": "completed"}},
        {"type": "metrics:update", "data": {"tokensUsed": "many", "cost": None, "x": 1}},
        {"type": "metrics:update", "data": {"tokensUsed": True}},
        {"type": "metrics:update", "data": {"tokensUsed": 2**53}},
        {"type": "input:requested", "data": {"options": ["a"]}},
        {"type": "log:nonsense", "data": {"message": "x"}},
        {"type": "metrics", "data": {"cost": 1}},
    ],
)
@pytest.mark.parametrize(("stream", "level"), [("stdout", "info"), ("stderr", "error")])
def test_an_object_that_lacks_what_it_needs_is_a_log_line(
    stream: str, level: str, said: dict[str, Any]
) -> None:
    """Nothing of it is lost: the message is the line."""
    assert told(stream, **said) == (f"log:{level}", {"level": level, "message": json.dumps(said)})


@pytest.mark.parametrize(
    ("said", "data"),
    [
        (
            {"level": "WARNING", "message": "m", "source": "s", "n": 1},
            {"level": "warn", "message": "m", "source": "s", "context": {"n": 1}},
        ),
        (
            {"type": "error", "message": "m"},
            {"level": "error", "message": "m", "context": {"type": "error"}},
        ),
        ({"msg": "m"}, {"level": "info", "message": "m"}),
        ({"level": "odd", "message": "m"}, {"level": "info", "message": "m"}),
        (
            {"type": "session:failed", "message": "m"},
            {"level": "info", "message": "m", "context": {"type": "session:failed"}},
        ),
    ],
)
def test_a_log_record_in_json(said: dict[str, Any], data: dict[str, Any]) -> None:
    """An object with a message is that message, at its own level, the rest beside it."""
    assert told(**said) == (f"log:{data['level']}", data)


def test_a_log_event_without_a_message_keeps_its_level() -> None:
    """The message is the line then."""
    said = {"type": "log:error", "data": {"n": 1}}
    assert told(**said) == ("log:error", {"level": "error", "message": json.dumps(said)})


def test_the_last_of_two_equal_names_counts() -> None:
    """As for every reader of JSON that our clients are likely to use."""
    (fact,) = facts_of_line("stdout", '{"type":"x","type":"log:info","message":"a","message":"b"}')
    assert fact.data == {"level": "info", "message": "b"}


def test_numbers_that_clients_cannot_hold() -> None:
    """A huge integer becomes text where anything may stand, and goes where a number must stand."""
    kind, data = told(type="task", data={**TASK, "output": 10**29, "progress": 10**29})
    assert (kind, data["output"]) == ("task:started", str(10**29))
    assert "progress" not in data


def test_texts_inside_are_clean_and_bounded() -> None:
    """Escape sequences hidden in JSON escapes go too, and no text or name is without limit."""
    output = {"\x1b[31mkey" + "k" * 999: ["\x1b]0;t\x07a\x00b\r\nc", "x" * 100_000]}
    _, data = told(type="agent:output", data={**AGENT, "agentId": "i" * 999, "output": output})
    ((name, (text, long)),) = data["output"].items()
    assert name.startswith("keykkk")
    assert text == "ab\nc"
    assert len(name.encode()) <= MAX_NAME
    assert len(long.encode()) <= MAX_TEXT
    assert len(data["agentId"].encode()) <= MAX_NAME


def nested(levels: int) -> str:
    """An object of that many levels."""
    return '{"a":' * (levels - 1) + "{}" + "}" * (levels - 1)


def test_depth_is_bounded() -> None:
    """An object of the greatest depth is read, and one level more is none."""
    assert maybe_object(nested(MAX_DEPTH)) is not None
    assert maybe_object(nested(MAX_DEPTH + 1)) is None
    assert maybe_object('{"a":' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}") is None


def test_size_is_bounded() -> None:
    """A line of the greatest length is read, and one character more is none."""
    empty = '{"a":""}'
    assert maybe_object('{"a":"' + "x" * (MAX_OBJECT - len(empty)) + '"}') is not None
    assert maybe_object('{"a":"' + "x" * (MAX_OBJECT - len(empty) + 1) + '"}') is None


def test_an_object_may_be_indented() -> None:
    """Blanks around an object do not matter."""
    (fact,) = facts_of_line("stdout", '  {"type": "phase", "phase": "x"}  ')
    assert fact.type == "phase:started"


def test_parts_are_bounded() -> None:
    """An object of more values than can be looked at is a log line, and told as one text."""
    for count, is_read in ((MAX_PARTS - 1, True), (MAX_PARTS, False)):
        value = {"a": [0] * count}
        assert (maybe_tidy(value) is not None) is is_read
        assert (maybe_object(json.dumps(value)) is not None) is is_read
    flat = {f"name {number}": [] for number in range(MAX_PARTS // 2)}
    assert maybe_tidy({"a": [flat, flat, flat]}) is None
    assert maybe_tidy({"a": [flat]}) is not None


@given(ANY_JSON, st.integers(0, 100))
def test_what_is_surely_longer(value: Any, limit: int) -> None:
    """Only what has more characters than the limit is."""
    size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    assert not is_longer(value, limit) or size > limit
    assert is_longer([value, "x" * limit], limit)


def test_many_long_texts_are_too_much() -> None:
    """Together, however few they are; one alone is cut."""
    text = "x" * MAX_TEXT
    assert maybe_tidy([text] * (MAX_CHARACTERS // MAX_TEXT)) is not None
    assert maybe_tidy([text, [text] * (MAX_CHARACTERS // MAX_TEXT)]) is None
    assert maybe_tidy({"a": "x" * 2 * MAX_CHARACTERS}) is not None
