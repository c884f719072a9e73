"""Tests of what Claude Code does and says, line by line, to its end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loki_twisted.agents.providers.claude_lines import MOST_BLOCKS, MOST_TOLD
from loki_twisted.model.events import Fact
from tests.claude_support import (
    Desk,
    facts,
    result_of,
    text,
    use,
    words,
)


def test_answers_of_the_model() -> None:
    """Each part is told as what it is; empty ones are not."""
    outputs = Desk.at_work().say(
        {"type": "thinking", "thinking": "Hm", "signature": "x"},
        {"type": "thinking", "thinking": ""},
        {"type": "redacted_thinking", "data": "x"},
        text("\x1b[1mHello\x1b[0m"),
        text("  "),
        use("t1", "Bash", command="ls"),
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}},
    )
    told = [(each.data["kind"], each.data["output"]) for each in facts(outputs)]
    assert told == [("thinking", "Hm"), ("text", "Hello"), ("tool_call", "ls"), ("tool_call", "q")]


@pytest.mark.promise("R27")
@pytest.mark.parametrize("kind", ["text", "never_heard_of"])
def test_a_message_of_too_many_parts(kind: str) -> None:
    """So many are told as one line may tell of, and how many more there were."""
    blocks = [{"type": kind, "text": str(number)} for number in range(MOST_BLOCKS + 7)]
    outputs = Desk.at_work().say(*blocks)
    told = [each.data["output"] for each in facts(outputs, "agent:output")]
    assert told == ([str(number) for number in range(MOST_BLOCKS)] if kind == "text" else [])
    warnings = [each.data["message"] for each in facts(outputs, "log:warn")]
    assert warnings == ["7 parts of a message were not told: there is too much in it."]


@pytest.mark.promise("R27")
def test_a_message_of_too_long_parts() -> None:
    """No part of it is told behind a million characters."""
    outputs = Desk.at_work().say(*[text("x" * MOST_TOLD), text("y"), text("z")])
    assert [each.data["output"][0] for each in facts(outputs, "agent:output")] == ["x"]
    (warning,) = facts(outputs, "log:warn")
    assert warning.data["message"].startswith("2 parts ")


@pytest.mark.parametrize(
    ("content", "output"),
    [
        ("plain", "plain"),
        ([text("one"), text("two")], "one\ntwo"),
        ([{"type": "image", "source": {}}], "[image]"),
        (None, ""),
        ({"a": 1}, ""),
        ([1, text("x")], "x"),
    ],
)
def test_results_of_tools(content: Any, output: str) -> None:
    """Their text; what is none is named."""
    desk = Desk.at_work()
    desk.say(use("t1", "Bash", command="ls"))
    (fact,) = facts(desk.line("user", message=result_of("t1", content, is_error=True)))
    assert fact.data == {
        "agentId": "main",
        "type": "claude",
        "kind": "tool_result",
        "callId": "t1",
        "isError": True,
        "tool": "Bash",
        "output": output,
    }
    (again,) = facts(desk.line("user", message=result_of("t1", "x")))
    assert "tool" not in again.data


def test_words_that_it_says_for_us() -> None:
    """They are no answer of the model, and of little interest."""
    desk = Desk.at_work()
    outputs = desk.line("user", message={"content": [text("[Request interrupted by user]")]})
    assert [each.type for each in facts(outputs)] == ["log:debug"]
    assert facts(desk.line("user", message={"content": "<x>"}), "log:debug")


def test_sub_agents_at_once() -> None:
    """Each has its own, also one of a sub-agent; those that fail are told so."""
    desk = Desk.at_work()
    spawned = desk.say(use("h1", "Task", prompt="Do"), use("h2", "Agent", subagent_type="Plan"))
    assert [each.data["type"] for each in facts(spawned, "agent:spawned")] == [
        "general-purpose",
        "Plan",
    ]
    (inner,) = facts(desk.say(use("h3", "Task"), parent_tool_use_id="h2"), "agent:spawned")
    assert inner.data["parentId"] == "h2"
    (failed,) = facts(
        desk.line("user", message=result_of("h3", "no", is_error=True), parent_tool_use_id="h2"),
        "agent:failed",
    )
    assert failed.data == {"agentId": "h3", "type": "general-purpose", "output": "no"}
    (said,) = facts(desk.say(text("x"), parent_tool_use_id="h2"))
    assert (said.data["agentId"], said.data["type"]) == ("h2", "Plan")
    (said,) = facts(desk.say(text("x"), parent_tool_use_id="h9", subagent_type="Late"))
    assert (said.data["agentId"], said.data["type"]) == ("h9", "Late")


def test_a_sub_agent_that_goes_into_the_background() -> None:
    """The result of the tool says only that it was launched; its end comes later."""
    desk = Desk.at_work()
    desk.say(use("h1", "Task"))
    launched = {"isAsync": True, "status": "async_launched"}
    outputs = desk.line("user", message=result_of("h1", "launched"), tool_use_result=launched)
    assert facts(outputs, "agent:completed") == []
    (ended,) = facts(
        desk.line(
            "system",
            subtype="task_notification",
            task_id="b1",
            tool_use_id="h1",
            status="failed",
            summary="broke",
        )
    )
    assert (ended.type, ended.data["output"]) == ("agent:failed", "broke")


@pytest.mark.parametrize(("summary", "words"), [("Look", "Nothing there."), ("None.", "None.")])
def test_the_last_words_of_a_sub_agent(summary: str, words: str) -> None:
    """Those of the notification, unless it only repeats the task; then those of the result."""
    desk = Desk.at_work()
    desk.say(use("h1", "Task", description="Look"))
    ended = {"subtype": "task_notification", "tool_use_id": "h1", "status": "completed"}
    outputs = desk.line("system", **ended, task_id="a1", summary=summary)
    outputs += desk.line("user", message=result_of("h1", "Nothing there."))
    (completed,) = facts(outputs, "agent:completed")
    assert completed.data["output"] == words


def test_the_plan_of_a_sub_agent() -> None:
    """It is no plan of the session's."""
    desk = Desk.at_work()
    todos = [{"content": "x", "status": "pending"}]
    outputs = desk.say(use("t1", "TodoWrite", todos=todos), parent_tool_use_id="h1")
    assert facts(outputs, "task:") == []
    assert facts(desk.say(use("t2", "TodoWrite", todos=todos)), "task:created")


def updates(desk: Desk, is_error: bool = False, **arguments: Any) -> list[Fact]:
    """What the use of the tool and its result change in the plan."""
    desk.say(use("u1", "TaskUpdate", **arguments))
    return facts(desk.line("user", message=result_of("u1", "x", is_error=is_error)), "task:")


def test_a_task_of_an_earlier_run() -> None:
    """It is known by its number, until it is named."""
    desk = Desk.at_work()
    (_, started) = updates(desk, taskId=7, status="in_progress")
    assert started.data == {"taskId": "task-7", "title": "Task 7", "status": "running"}
    (named,) = updates(desk, taskId="7", subject="Read")
    assert named.data == {"taskId": "task-7", "title": "Read", "status": "running"}
    assert updates(desk, taskId=None) == []


def test_a_task_that_cannot_be_changed() -> None:
    """A tool that failed has changed nothing; it may not even be there."""
    desk = Desk.at_work()
    assert updates(desk, is_error=True, taskId="1", status="completed") == []
    desk.say(use("c1", "TaskCreate", subject="Read"))
    created = desk.line("user", message=result_of("c1", "Task #1?", is_error=True))
    assert facts(created, "task:") == []


@pytest.mark.parametrize(
    ("line", "level", "said"),
    [
        ({"subtype": "notification", "text": "x"}, "info", "x"),
        ({"subtype": "informational", "content": "x", "level": "warning"}, "warn", "x"),
        ({"subtype": "informational", "content": "x", "level": "notice"}, "info", "x"),
        ({"subtype": "permission_denied", "message": "x"}, "warn", "Was not allowed: x"),
        ({"subtype": "worker_shutting_down", "reason": "x"}, "warn", "It shuts down: x"),
        ({"subtype": "mirror_error", "error": "x"}, "warn", "The conversation was not copied: x"),
        ({"subtype": "model_refusal_fallback", "content": "x"}, "warn", "x"),
        (
            {"subtype": "session_writes_lost"},
            "error",
            "The conversation cannot be saved, perhaps because the disk is full.",
        ),
        (
            {"subtype": "compact_boundary", "compact_metadata": {"pre_tokens": 5}},
            "info",
            "The conversation was made shorter; it had 5 tokens.",
        ),
        (
            {"subtype": "status", "status": "compacting"},
            "debug",
            "The conversation is being made shorter.",
        ),
        (
            {"subtype": "hook_response", "outcome": "error", "hook_name": "h", "stderr": "x"},
            "warn",
            "The hook h failed: x",
        ),
        ({"subtype": "plugin_install", "status": "failed", "name": "p"}, "warn", "Plugin p failed"),
    ],
)
def test_notices(line: dict[str, Any], level: str, said: str) -> None:
    """What people should know is a log line of its level."""
    (fact,) = facts(Desk.at_work().line("system", **line))
    assert fact == Fact(f"log:{level}", {"level": level, "message": said, "source": "claude"})


def test_authentication() -> None:
    """What it says of it is told, an error as one."""
    desk = Desk.at_work()
    (said,) = facts(desk.line("auth_status", output=["Open", "this"], isAuthenticating=True))
    assert (said.type, said.data["message"]) == ("log:info", "Authentication: Open\nthis")
    (said,) = facts(desk.line("auth_status", output=[], error="no"))
    assert said.type == "log:error"
    assert desk.line("auth_status") == []


def test_servers_that_fail() -> None:
    """They are told at the start."""
    desk = Desk()
    servers = [{"name": "files", "status": "failed"}, {"name": "x", "status": "connected"}]
    outputs = desk.line("system", subtype="init", mcp_servers=servers)
    assert words(facts(outputs, "log:warn")) == ["MCP server files cannot be reached."]


@pytest.mark.parametrize(
    "line",
    [
        {"type": "keep_alive"},
        {"type": "tool_progress", "tool_use_id": "t"},
        {"type": "stream_event", "event": {}},
        {"type": "system", "subtype": "session_state_changed", "state": "idle"},
        {"type": "system", "subtype": "thinking_tokens"},
        {"type": "system", "subtype": "hook_response", "outcome": "success"},
    ],
)
def test_what_is_passed_over(line: dict[str, Any]) -> None:
    """It says nothing to people, and is not counted either."""
    desk = Desk.at_work()
    assert desk.lines(line) == []
    assert facts(desk.step("ended"), "log:") == []


def test_what_is_not_known() -> None:
    """It is counted, and the count told with each thousandth line and at the end."""
    desk = Desk.at_work()
    driver = desk.driver
    told = [
        output
        for number in range(2001)
        for output in driver.line("stdout", json.dumps({"type": f"new{number}"}))
    ]
    told += [each for each in driver.ended() if facts([each], "log:")]
    said = words(told)
    assert len(said) == 3
    assert said[0].startswith("1000 lines are of kinds that are not known here: new0, new1, ")
    assert said[2] == "1 lines are of kinds that are not known here: new2000"


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("no JSON", "info"),
        ("[1, 2]", "info"),
        ("{half", "info"),
        ('{"type": "system", "depth": ' + "[" * 10_000 + "]" * 10_000 + "}", "warn"),
        ('{"type": "assistant", "message": ' + "x" * 100_000, "warn"),
    ],
)
def test_what_cannot_be_read(line: str, level: str) -> None:
    """It is told as it is, shortened where it is long."""
    (fact,) = facts(Desk.at_work().step("line", "stdout", line))
    assert fact.type == f"log:{level}"
    assert len(fact.data["message"]) < 600
    (fact,) = facts(Desk.at_work().step("line", "stderr", line))
    assert fact.type in ("log:error", "log:warn")


def test_blank_lines() -> None:
    """They say nothing."""
    assert Desk.at_work().step("line", "stdout", " \t") == []


def test_the_end() -> None:
    """All agents have ended with it, done or not as the last turn was."""
    desk = Desk.at_work()
    desk.say(use("h1", "Task"))
    assert [each.type for each in facts(desk.step("ended"))] == ["agent:failed", "agent:failed"]
    assert desk.step("ended") == []
    desk = Desk.at_work()
    desk.result()
    assert [each.type for each in facts(desk.step("ended"))] == ["agent:completed"]
    assert Desk().step("ended") == []
