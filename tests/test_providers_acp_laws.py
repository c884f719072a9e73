"""What holds for the driver of the Agent Client Protocol, whatever an agent prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_twisted.agents.outputs import Asked, Output, Withdrawn, Write
from loki_twisted.agents.providers.acp import AcpDriver
from loki_twisted.agents.providers.joining import ENOUGH
from loki_twisted.model.events import EVENT_TYPES, Fact, event_as_frame, event_from_frame
from tests.acp_support import AGENT, SESSION, Talk, answer, message, request, texts_of, written_in

MOST_MEMORY = 256 * 1024
TEXT = {"type": "text", "text": "Some words. "}
CALL = {
    "toolCallId": "c1",
    "title": "Run make",
    "kind": "execute",
    "rawInput": {"command": "make"},
    "rawOutput": {"code": 0},
    "locations": [{"path": "a", "line": 1}],
    "content": [
        {"type": "content", "content": TEXT},
        {"type": "diff", "path": "a", "oldText": "b", "newText": "c"},
        {"type": "terminal", "terminalId": "t"},
    ],
}
OPTIONS = [{"optionId": "yes", "name": "Yes", "kind": "allow_once"}]
FORM = {
    "mode": "form",
    "message": "Say",
    "requestedSchema": {
        "type": "object",
        "properties": {
            "a": {"type": "string", "oneOf": [{"const": "x", "title": "X"}], "default": "x"},
            "b": {"type": "array", "items": {"type": "string", "enum": ["x", "y"]}},
            "c": {"type": "integer", "default": 3},
        },
    },
}
UPDATES: list[dict[str, Any]] = [
    {"sessionUpdate": "user_message_chunk", "content": TEXT},
    {"sessionUpdate": "agent_message_chunk", "content": TEXT, "messageId": "m1"},
    {"sessionUpdate": "agent_thought_chunk", "content": TEXT},
    {"sessionUpdate": "tool_call", "status": "pending", **CALL},
    {"sessionUpdate": "tool_call", "toolCallId": "c2", "title": "Look"},
    {"sessionUpdate": "tool_call_update", "status": "in_progress", **CALL},
    {"sessionUpdate": "tool_call_update", "toolCallId": "c2", "status": "completed"},
    {
        "sessionUpdate": "plan",
        "entries": [{"content": "x", "priority": "low", "status": "pending"}],
    },
    {"sessionUpdate": "plan", "entries": [{"content": "x", "status": "completed"}]},
    {
        "sessionUpdate": "usage_update",
        "used": 1,
        "size": 2,
        "cost": {"amount": 1, "currency": "USD"},
    },
    {
        "sessionUpdate": "usage_update",
        "used": 1,
        "size": 2,
        "cost": {"amount": 1, "currency": "EUR"},
    },
    {"sessionUpdate": "current_mode_update", "currentModeId": "x"},
]
MESSAGES: list[dict[str, Any]] = [
    {"id": 1, "result": {"protocolVersion": 1, "agentCapabilities": {"loadSession": True}}},
    {"id": 1, "result": {"agentCapabilities": {"sessionCapabilities": {"resume": {}}}}},
    {"id": 2, "result": {"sessionId": SESSION, "models": {"currentModelId": "m"}}},
    *({"id": n, "result": {"stopReason": "end_turn", "usage": {"inputTokens": 1}}} for n in (3, 4)),
    {"id": 3, "error": {"code": -32000, "message": "no", "data": {"details": "why"}}},
    {"method": "$/cancel_request", "params": {"requestId": 7}},
    *(
        {
            "id": n,
            "method": "session/request_permission",
            "params": {"toolCall": CALL, "options": OPTIONS},
        }
        for n in (7, "x")
    ),
    {"id": 8, "method": "elicitation/create", "params": FORM},
    {"id": 9, "method": "fs/read_text_file", "params": {"path": "/a"}},
    *(
        {"method": "session/update", "params": {"sessionId": SESSION, "update": each}}
        for each in UPDATES
    ),
]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([2**63, 10**400, "\ud83d", "\x00\x1b[31m", "x" * 2_100, "-1", "completed"])
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All paths into a JSON value."""
    inner = value.items() if isinstance(value, dict) else []
    inner = enumerate(value) if isinstance(value, list) else inner
    return [path, *(place for key, part in inner for place in places_in(part, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A JSON value with another one at a place."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A valid line, some of them with something else at a place."""
    said = draw(st.sampled_from(MESSAGES))
    if draw(st.booleans()):
        said = changed(said, draw(st.sampled_from(places_in(said))), draw(JSON))
    return json.dumps(said)


LINES = st.one_of(
    lines(),
    lines(),
    lines(),
    st.text(max_size=20),
    st.sampled_from(["[" * 10_000, '{"id":' * 10_000, '{"method":"x","params":[' + "[" * 900]),
)
OCCASIONS = st.one_of(
    LINES.map(lambda line: ("line", line)),
    st.sampled_from(
        [
            ("quiet",),
            ("say",),
            ("interrupt",),
            ("ended",),
            ("wake",),
            ("answer", "yes"),
            ("answer",),
        ]
    ),
)


def act(driver: AcpDriver, occasion: Sequence[str], open_keys: list[str]) -> list[Output]:
    """Give a driver an occasion."""
    match occasion:
        case ("line", line):
            outputs = driver.line("stdout", line)
        case ("say",):
            outputs = driver.say(message("Go on"))
        case ("answer", *values):
            keys = open_keys or ["7", '"x"', "8/1"]
            outputs = driver.answer(keys[0], answer(*values))
            del open_keys[:1]
        case (name, *_):
            outputs = getattr(driver, name)()
    for each in outputs:
        if isinstance(each, Asked):
            open_keys.append(each.key)
        elif isinstance(each, Withdrawn) and each.key in open_keys:
            open_keys.remove(each.key)
    return list(outputs)


def check(outputs: Sequence[Output]) -> None:
    """What holds for all that a driver says."""
    written_in(outputs)
    for each in outputs:
        if isinstance(each, Write):
            each.text.encode()
        if isinstance(each, Fact):
            assert each.type in EVENT_TYPES
            assert not each.type.startswith(("session:", "message:", "heartbeat", "input:"))
            assert event_from_frame(event_as_frame(1, 0, "s", each)).data == each.data
            assert len(json.dumps(each.data)) < 1_000_000


@given(
    st.lists(OCCASIONS, max_size=24),
    st.sampled_from([0, 1, 2, 2, 2]),
    st.booleans(),
    st.sampled_from([None, SESSION]),
)
def test_nothing_breaks_it(
    occasions: list[Sequence[str]], opened: int, stays_open: bool, conversation: str | None
) -> None:
    """
    Whatever comes in whatever order: what it says can be stored, and one that is made anew from its
    memory before each occasion says the same.
    """
    opening = [("line", json.dumps(MESSAGES[0])), ("line", json.dumps(MESSAGES[2]))]
    wanted = request(stays_open=stays_open, conversation=conversation)
    lasting, renewed = AcpDriver(AGENT, wanted), AcpDriver(AGENT, wanted)
    said, said_again = list(lasting.begin()), list(renewed.begin())
    open_keys: list[str] = []
    open_again: list[str] = []
    for occasion in [*opening[:opened], *occasions]:
        renewed = AcpDriver(AGENT, wanted, renewed.memory())
        said += act(lasting, occasion, open_keys)
        said_again += act(renewed, occasion, open_again)
        assert lasting.memory() == renewed.memory()
        assert lasting.is_ready == renewed.is_ready
    assert said == said_again
    assert len(lasting.memory().encode()) <= MOST_MEMORY
    check(said)


@given(
    st.lists(
        st.sampled_from(["one ", "two\n", "three\n\n", "four", "x" * 700, "ü" * 90]), max_size=60
    )
)
@settings(deadline=None, max_examples=100)
def test_no_piece_of_a_text_is_lost(pieces: list[str]) -> None:
    """However a text is cut into pieces, it is told whole, in order, and in few parts."""
    talk = Talk()
    talk.open()
    for piece in pieces:
        talk.say(piece)
    parts = [*texts_of(talk.outputs), *texts_of(talk.driver.ended())]
    text = "".join(pieces)
    assert "".join(parts).rstrip() == text.rstrip()
    assert len(parts) <= 2 * len(text) // ENOUGH + 1


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_no_request_is_left_without_an_answer(data: st.DataObject) -> None:
    """Each is answered once: at once, by people, or when the turn is over at the latest."""
    talk = Talk()
    talk.open()
    wanted = []
    ways = st.sampled_from(["session/request_permission", "elicitation/create", "terminal/create"])
    for number in range(data.draw(st.integers(1, 40))):
        params = data.draw(st.sampled_from([FORM, {"toolCall": CALL, "options": OPTIONS}, {}]))
        wanted.append(number)
        talk.send(id=number, method=data.draw(ways), params=params)
        if data.draw(st.booleans()):
            open_ones = [each.key for each in talk.outputs if isinstance(each, Asked)]
            if open_ones:
                key = data.draw(st.sampled_from(open_ones))
                value = data.draw(st.sampled_from(["yes", "x", "3", "(decline)"]))
                talk.outputs += talk.driver.answer(key, answer(value))
    if data.draw(st.booleans()):
        talk.outputs += talk.driver.interrupt()
    talk.send(id=3, result={"stopReason": "end_turn"})
    answers = [
        each["id"] for each in written_in(talk.outputs) if "result" in each or "error" in each
    ]
    assert sorted(answers) == wanted


@pytest.mark.parametrize("depth", [100, 500, 900, 1_100, 10_000, 100_000])
def test_deep_json(depth: int) -> None:
    """No depth of what a tool is called with, or gives, raises; and the turn ends as ever."""
    talk = Talk()
    talk.open()
    deep = "[" * depth + "]" * depth
    for field in ("rawInput", "rawOutput", "content", "title"):
        talk.line(
            '{"method":"session/update","params":{"update":{"sessionUpdate":"tool_call",'
            f'"toolCallId":"{field}","status":"completed","{field}":{deep}}}}}}}'
        )
    talk.line(
        '{"id":1,"method":"session/request_permission","params":{"toolCall":'
        f'{{"toolCallId":"p","rawInput":{deep}}},"options":{deep}}}}}'
    )
    talk.reply({"stopReason": "end_turn"})
    check(talk.outputs)
    assert talk.driver.is_ready
