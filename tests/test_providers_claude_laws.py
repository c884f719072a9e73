"""What holds for the driver of Claude Code whatever comes, in whatever order."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents.outputs import (
    Asked,
    EndInput,
    Write,
)
from loki_twisted.agents.providers.claude_driver import ClaudeDriver
from loki_twisted.agents.providers.claude_writing import uuid_of
from loki_twisted.model.inputs import Answer
from tests.claude_support import (
    REQUEST,
    RULE,
    Desk,
    check,
    facts,
    limit,
    message,
    of_type,
    result_of,
    schema,
    text,
    use,
    written,
)

VALID: list[dict[str, Any]] = [
    {"type": "system", "subtype": "init", "session_id": "c1", "model": "m", "mcp_servers": []},
    {"type": "user", "isReplay": True, "uuid": uuid_of("message_1"), "message": {}},
    {"type": "assistant", "message": {"id": "m1", "content": [text("Hello")]}},
    {"type": "assistant", "message": {"id": "m2", "content": [use("t1", "Bash", command="ls")]}},
    {"type": "assistant", "message": {"id": "m3", "content": [use("h1", "Task", prompt="x")]}},
    {
        "type": "assistant",
        "message": {
            "content": [
                use("w1", "TodoWrite", todos=[{"content": "Read", "status": "in_progress"}])
            ]
        },
    },
    {"type": "assistant", "message": {"content": [use("c1", "TaskCreate", subject="Read")]}},
    {"type": "user", "message": result_of("c1", "Task #1 created")},
    {
        "type": "assistant",
        "message": {"content": [use("u1", "TaskUpdate", taskId="1", status="completed")]},
    },
    {"type": "user", "message": result_of("u1", "Updated task #1")},
    {"type": "assistant", "parent_tool_use_id": "h1", "message": {"content": [text("Sub")]}},
    {"type": "user", "message": result_of("t1", "a.txt"), "tool_use_result": {"isAsync": True}},
    {"type": "user", "message": result_of("h1", [text("Done")]), "tool_use_result": {}},
    {
        "type": "control_request",
        "request_id": "p1",
        "request": {
            "subtype": "can_use_tool",
            "tool_name": "Bash",
            "input": {"command": "ls"},
            "permission_suggestions": [RULE],
        },
    },
    {
        "type": "control_request",
        "request_id": "p2",
        "request": {
            "subtype": "can_use_tool",
            "tool_name": "AskUserQuestion",
            "input": {"questions": [{"question": "?", "options": [{"label": "a"}]}] * 2},
        },
    },
    {
        "type": "control_request",
        "request_id": "p3",
        "request": {
            "subtype": "elicitation",
            "message": "Who?",
            **schema(x={"type": "string", "enum": ["a"]}, y={"type": "boolean"}),
        },
    },
    {"type": "control_request", "request_id": "p4", "request": {"subtype": "hook_callback"}},
    {"type": "control_cancel_request", "request_id": "p1"},
    {
        "type": "control_response",
        "response": {"subtype": "error", "request_id": "loki-1", "error": "x"},
    },
    {"type": "rate_limit_event", **limit()},
    {"type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 2},
    {"type": "system", "subtype": "task_started", "task_id": "b1", "is_backgrounded": True},
    {"type": "system", "subtype": "task_updated", "task_id": "b1", "patch": {"status": "killed"}},
    {"type": "system", "subtype": "task_notification", "task_id": "b1", "tool_use_id": "h1"},
    {"type": "system", "subtype": "background_tasks_changed", "tasks": [{"task_id": "b2"}]},
    {"type": "system", "subtype": "informational", "content": "x"},
    {"type": "command_lifecycle", "command_uuid": uuid_of("message_1"), "state": "started"},
    {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "num_turns": 1,
        "modelUsage": {"m": {"inputTokens": 1, "costUSD": 0.1}},
        "permission_denials": [{"tool_name": "Bash"}],
    },
    {"type": "result", "subtype": "error_during_execution", "is_error": True, "errors": ["x"]},
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def mutated(value: Any, draw: st.DrawFn) -> Any:
    """The value, with one part of it replaced by anything."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        name = draw(st.sampled_from(sorted(value)))
        return {**value, name: mutated(value[name], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], mutated(value[place], draw), *value[place + 1 :]]
    return draw(JSON)


@st.composite
def lines(draw: st.DrawFn) -> tuple[Any, ...]:
    """A step of the driver: a valid line most of the time, else one with a part of it changed."""
    valid = draw(st.sampled_from(VALID))
    line = valid if draw(st.booleans()) else mutated(valid, draw)
    said = json.dumps(line, ensure_ascii=draw(st.booleans()))
    return "line", draw(st.sampled_from(["stdout", "stdout", "stdout", "stderr"])), said


ANSWERS = st.builds(
    Answer,
    values=st.lists(
        st.sampled_from(["allow", "allow_session", "deny", "a", "yes", "decline", "x"]), max_size=2
    ).map(tuple),
    message=st.none() | st.text(max_size=5),
)
STEPS = st.one_of(
    lines(),
    lines(),
    st.text(max_size=20).map(lambda said: ("line", "stdout", said)),
    st.sampled_from([("quiet",), ("wake",), ("interrupt",)]),
    st.integers(1, 3).map(lambda number: ("say", message("More", number))),
    st.tuples(
        st.just("answer"), st.sampled_from(["p1#0", "p2#0", "p2#1", "p3#0", "p3#1"]), ANSWERS
    ),
)


@given(st.lists(STEPS, max_size=25), st.booleans(), st.booleans())
def test_any_lines(steps: list[tuple[Any, ...]], is_dry: bool, stays_open: bool) -> None:
    """Whatever comes is taken, and a driver made from the memory of another goes on as that."""
    request = attrs.evolve(REQUEST, dry_run=is_dry, stays_open=stays_open)
    driver = ClaudeDriver(request)
    desk = Desk(dry_run=is_dry, stays_open=stays_open)
    ends = 0
    for name, *arguments in [("begin",), *steps, ("ended",)]:
        outputs = list(getattr(driver, name)(*arguments))
        assert desk.step(name, *arguments) == outputs
        assert driver.memory() == desk.memory
        for output in outputs:
            check(output)
            assert not (ends and name != "answer" and isinstance(output, Write)) or name == "say"
            ends += isinstance(output, EndInput)
    assert ends <= 1


@given(st.text())
def test_any_text(said: str) -> None:
    """No text is too odd for a line or a message."""
    desk = Desk.at_work()
    for output in desk.step("line", "stdout", said) + desk.step(
        "line", "stdout", '{"type":' + said
    ):
        check(output)
    (line,) = written(desk.step("say", message(said)))
    assert line["message"]["content"] == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"type": "assistant", "message": {"content": "a\\u0000b \\ud800 c"}}', "agent:output"),
        ('{"type": "assistant", "message": {"content": "a\x00b \ud800 c"}}', "log:info"),
        ('{"type": "assistant", "message": {"content": "b \ud800 c"}}', "agent:output"),
        (
            '{"type": "result", "is_error": true, "result": "\\ud83d", "total_cost_usd": 1e999}',
            "log:error",
        ),
        (
            '{"type": "result", "usage": {"input_tokens": '
            + "9" * 400
            + '}, "is_error": true, "x": "\\ud83d"}',
            "log:error",
        ),
        (
            '{"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "t", "name":'
            ' "B", "input": {"x": ' + "[" * 90 + "]" * 90 + ', "y": ' + "9" * 30 + "}}]}}",
            "agent:output",
        ),
    ],
)
def test_odd_lines(line: str, said: str) -> None:
    """Halves of characters, huge numbers and deep arguments are told all the same."""
    outputs = Desk.at_work().step("line", "stdout", line)
    assert facts(outputs)[0].type == said
    for output in outputs:
        check(output)


def test_an_odd_request() -> None:
    """It is asked, whatever its arguments."""
    line = (
        '{"type": "control_request", "request_id": "p", "request": {"subtype": "can_use_tool",'
        ' "tool_name": "\\udfff", "input": {"x": ' + "[" * 80 + "]" * 80 + "}}}"
    )
    (asked,) = of_type(Desk.at_work().step("line", "stdout", line), Asked)
    check(asked)


def test_the_memory_is_bounded() -> None:
    """Also where the agent asks, plans and spawns without end."""
    desk = Desk.at_work()
    driver = desk.driver
    long = '"\\' * 5000

    def say(kind: str, **fields: Any) -> None:
        for _ in driver.line("stdout", json.dumps({"type": kind, **fields})):
            pass

    for number in range(300):
        request = {"subtype": "can_use_tool", "tool_name": long, "input": {"x": long[:3000]}}
        suggested = {**RULE, "rules": [{"toolName": long[:400]}]}
        request["permission_suggestions"] = [suggested]
        say("control_request", request_id=f"{number:0100d}", request=request)
        calls = [use(f"{number:0100d}", "Task", subagent_type=long)]
        calls.append(use(f"t{number:099d}", "TaskUpdate", taskId=f"{number:099d}", subject=long))
        say("assistant", message={"id": f"{number:0100d}", "content": calls}, error=long)
        say("user", message=result_of(f"t{number:099d}", "x"))
        calls = [use(f"c{number:099d}", "TaskUpdate", taskId=f"{number:099d}", subject=long)]
        say("assistant", message={"id": f"{number:0100d}", "content": calls}, error=long)
        say("system", subtype="task_started", task_id=f"{number:0100d}", tool_use_id=long[:100])
        say(long)
        driver.say(message("x", number))
    todos = [{"content": f"{number}{long}", "status": "pending"} for number in range(1000)]
    say("assistant", message={"content": [use("w", "TodoWrite", todos=todos)]})
    assert 100_000 < len(driver.memory().encode()) < 256 * 1024
