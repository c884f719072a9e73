"""Tests of the driver of Claude Code, as lines in and outputs out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from loki_twisted.agents.interface import IDriver, IProvider
from loki_twisted.agents.outputs import (
    Asked,
    Conversation,
    EndInput,
    Freed,
    Hindered,
    Output,
    Spent,
    Taken,
    Trouble,
    TurnBegan,
    TurnEnded,
    Verdict,
    Withdrawn,
    Write,
)
from loki_twisted.agents.providers.claude import ClaudeProvider
from loki_twisted.agents.providers.claude_driver import ClaudeDriver
from loki_twisted.agents.providers.claude_writing import uuid_of
from loki_twisted.agents.providers.machine import Machine
from loki_twisted.model.errors import InvalidRequest, ProviderNotAvailable
from loki_twisted.model.events import EVENT_TYPES, Fact, event_as_frame, event_from_frame
from loki_twisted.model.inputs import Answer, Effect
from loki_twisted.model.messages import Delivery
from loki_twisted.model.spending import CostOrigin, Spending
from tests.claude_support import (
    REQUEST,
    Desk,
    answer,
    facts,
    install,
    message,
    of_type,
    words,
    written,
)

DONE = TurnEnded(Verdict.DONE)
HOSTILE = "--dangerously-skip-permissions"


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def use(call: str, tool: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call, "name": tool, "input": arguments}


def result_of(call: str, content: Any, **fields: Any) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": call, "content": content}
    return {"content": [{**block, **fields}]}


# How it is started


def test_interfaces(tmp_path: Path) -> None:
    """The provider is one, and so is its driver."""
    verifyObject(IProvider, ClaudeProvider())
    verifyObject(IDriver, ClaudeProvider().driver(REQUEST, ""))
    assert ClaudeProvider().program(install(tmp_path)) == str(tmp_path / "bin" / "claude")


def arguments_of(directory: Path, **changes: Any) -> list[str]:
    plan = ClaudeProvider().plan(attrs.evolve(REQUEST, **changes), install(directory))
    assert plan.accepts_input
    assert plan.cwd == "/p"
    return list(plan.argv[1:])


def test_the_command_line(tmp_path: Path) -> None:
    """Lines of JSON both ways, permissions by them too, and a mode in which it asks."""
    assert arguments_of(tmp_path) == [
        "-p",
        "--output-format=stream-json",
        "--verbose",
        "--input-format=stream-json",
        "--permission-prompt-tool=stdio",
        "--replay-user-messages",
        "--permission-mode=default",
    ]


def test_all_options(tmp_path: Path) -> None:
    """A dry run, a model and a conversation stand behind the names of their options."""
    called = arguments_of(tmp_path, dry_run=True, model="m", conversation="-x", verbose=True)
    assert called[-3:] == ["--permission-mode=plan", "--model=m", "--resume=-x"]


@pytest.mark.parametrize("prompt", ["Mend it", HOSTILE, "word", "zwei\nZeilen \u2028 ü"])
def test_what_is_said_stands_on_no_command_line(tmp_path: Path, prompt: str) -> None:
    """It goes in by the standard input alone, in a line of ASCII."""
    assert not any(prompt in each for each in arguments_of(tmp_path, prompt=prompt))
    outputs = Desk(prompt=prompt).step("begin")
    assert all(isinstance(each, Write) and each.text.isascii() for each in outputs)
    first, second = written(outputs)
    assert first["request"]["subtype"] == "initialize"
    assert second["message"] == {"role": "user", "content": second["message"]["content"]}
    assert second["message"]["content"].endswith(prompt)


def test_what_it_cannot_be_started_for(tmp_path: Path) -> None:
    """Without a program, and without anything to do."""
    with pytest.raises(ProviderNotAvailable):
        ClaudeProvider().plan(REQUEST, Machine({"PATH": "/nowhere"}))
    with pytest.raises(InvalidRequest):
        ClaudeProvider().plan(attrs.evolve(REQUEST, prompt=None), install(tmp_path))


# Turns


def test_the_first_line_names_the_conversation() -> None:
    """Before the agent is told, with its model; the second turn's line says nothing new."""
    desk = Desk()
    desk.step("begin")
    outputs = desk.line("system", subtype="init", session_id="c1", model="m")
    assert outputs[0] == Conversation("c1")
    assert facts(outputs)[0].data == {"agentId": "main", "type": "claude", "model": "m"}
    assert outputs[-1] == TurnBegan()
    assert desk.line("system", subtype="init", session_id="c1", model="m") == []


def test_a_conversation_that_is_begun_anew() -> None:
    """From there on another one is continued."""
    desk = Desk.at_work()
    assert of_type(desk.line("conversation_reset", new_conversation_id="c2"), Conversation) == [
        Conversation("c2")
    ]
    assert of_type(desk.say(text("x"), session_id="c2"), Conversation) == []


def test_the_input_ends_with_the_work() -> None:
    """Unless more is to come: then the agent is ready for it."""
    desk = Desk.at_work()
    assert of_type(desk.over(), TurnEnded, EndInput) == [DONE, EndInput()]
    assert not desk.driver.is_ready
    desk = Desk.at_work(stays_open=True)
    assert of_type(desk.over(), TurnEnded, EndInput) == [DONE]
    assert desk.driver.is_ready
    assert desk.step("quiet") == []


def test_a_result_that_is_none_of_ours() -> None:
    """A continued conversation first clears up; the turn that was asked for is still to come."""
    desk = Desk(conversation="c1")
    desk.step("begin")
    desk.line("system", subtype="task_notification", task_id="b0", status="stopped")
    assert of_type(desk.over(num_turns=0, result=""), TurnEnded, EndInput) == []
    desk.line("system", subtype="init", session_id="c1")
    assert of_type(desk.over(), TurnEnded, EndInput) == [DONE, EndInput()]


def test_turns_that_are_queued() -> None:
    """The input stays open for them."""
    desk = Desk.at_work()
    assert of_type(desk.over(queued_turn_count=1), EndInput) == []
    assert not desk.driver.is_ready
    desk.line("system", subtype="init")
    assert of_type(desk.over(), EndInput) == [EndInput()]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"is_error": True, "result": "API Error"}, "API Error"),
        ({"subtype": "error_during_execution", "errors": ["", "no disk"]}, "no disk"),
        ({"subtype": "error_max_turns", "result": ""}, "It reached its limit of turns."),
        ({"subtype": "error_max_budget_usd", "result": None}, "It reached its own limit of cost."),
        ({"subtype": "error_new", "result": ""}, "It says that it failed, and not why."),
        ({"is_error": True, "result": "\x1b[31mred\x1b[0m"}, "red"),
    ],
)
def test_reasons(fields: dict[str, Any], reason: str) -> None:
    """The first words that there are for it."""
    outputs = Desk.at_work().over(**fields)
    assert of_type(outputs, TurnEnded, EndInput) == [
        TurnEnded(Verdict.FAILED, reason),
        EndInput(),
    ]


def test_an_error_of_an_earlier_turn() -> None:
    """It is not the reason of a later one."""
    desk = Desk.at_work(stays_open=True)
    desk.say(text("Overloaded"), error="overloaded")
    (ended,) = of_type(desk.result(is_error=True, result="x"), TurnEnded)
    assert ended.reason == "x (overloaded)"
    desk.step("say", message("on"))
    desk.line("system", subtype="init")
    (ended,) = of_type(desk.result(is_error=True, result="y"), TurnEnded)
    assert ended.reason == "y"


# Messages


def test_a_message() -> None:
    """It is written once, under an id of its own, and taken when the agent confirms it."""
    desk = Desk.idle()
    outputs = desk.step("say", message("More"))
    (line,) = written(outputs)
    assert line["message"]["content"] == "More"
    assert line["uuid"] == uuid_of("message_1")
    assert not desk.driver.is_ready
    assert of_type(outputs, Taken) == []
    taken = desk.line("user", isReplay=True, uuid=line["uuid"], message=line["message"])
    assert taken == [TurnBegan(), Taken("message_1")]
    assert desk.line("user", isReplay=True, uuid=line["uuid"], message=line["message"]) == []


@pytest.mark.parametrize(
    "confirm",
    [
        lambda desk, uuid: desk.line("command_lifecycle", command_uuid=uuid, state="started"),
        lambda desk, uuid: desk.result(user_message_uuid=uuid),
        lambda desk, uuid: desk.result(user_message_uuids=["x", uuid]),
    ],
)
def test_other_receipts(confirm: Callable[[Desk, str], list[Output]]) -> None:
    """A message is taken by whichever sign comes first."""
    desk = Desk.at_work()
    desk.step("say", message("More", delivery=Delivery.NOW))
    desk.line("command_lifecycle", command_uuid=uuid_of("message_1"), state="queued")
    assert of_type(confirm(desk, uuid_of("message_1")), Taken) == [Taken("message_1")]


@pytest.mark.parametrize(
    ("delivery", "priority"), [(Delivery.NOW, "next"), (Delivery.NEXT, "later")]
)
def test_priorities(delivery: Delivery, priority: str) -> None:
    """A message goes into what is done, or behind it; none breaks it off."""
    (line,) = written(Desk.at_work().step("say", message("More", delivery=delivery)))
    assert line["priority"] == priority


def test_a_message_under_way() -> None:
    """The input does not end before it."""
    desk = Desk.at_work()
    assert desk.driver.takes_now
    desk.step("say", message("More", delivery=Delivery.NOW))
    assert of_type(desk.over(), TurnEnded, EndInput) == [DONE]
    assert desk.step("quiet") == []
    desk.line("user", isReplay=True, uuid=uuid_of("message_1"))
    assert of_type(desk.over(), EndInput) == [EndInput()]


def test_too_many_messages_under_way() -> None:
    """More are taken when some of them are confirmed."""
    desk = Desk.at_work()
    for number in range(64):
        assert desk.driver.takes_now
        desk.step("say", message("More", number, Delivery.NOW))
    assert not desk.driver.takes_now
    desk.line("user", isReplay=True, uuid=uuid_of("message_0"))
    assert desk.driver.takes_now


# What goes on in the background


def test_the_input_waits_for_the_background() -> None:
    """Ending it would break that off; when it has ended without a turn, a second is enough."""
    desk = Desk.at_work()
    desk.line("system", subtype="task_started", task_id="b1", is_backgrounded=True)
    assert of_type(desk.over(), TurnEnded, EndInput) == [DONE]
    assert desk.step("quiet") == []
    desk.line("system", subtype="background_tasks_changed", tasks=[])
    assert desk.step("quiet") == [EndInput()]
    assert desk.step("quiet") == []


@pytest.mark.parametrize(
    "line",
    [
        {"subtype": "task_started", "task_id": "b1", "is_backgrounded": False},
        {"subtype": "task_started", "task_id": "b1", "ambient": True},
        {"subtype": "task_started", "task_id": "b1", "owned_by_subagent": True},
        {"subtype": "background_tasks_changed", "tasks": [{"task_id": "b1", "ambient": True}]},
    ],
)
def test_what_is_no_background_work(line: dict[str, Any]) -> None:
    """Parts of a turn, and what the agent does for itself, keep nothing open."""
    desk = Desk.at_work()
    desk.line("system", **line)
    assert of_type(desk.over(), EndInput) == [EndInput()]


@pytest.mark.parametrize(
    "line",
    [
        {"subtype": "task_updated", "task_id": "b1", "patch": {"status": "killed"}},
        {"subtype": "task_updated", "task_id": "b1", "patch": {"is_backgrounded": False}},
        {"subtype": "task_notification", "task_id": "b1", "status": "completed", "summary": "x"},
        {"subtype": "background_tasks_changed", "tasks": [{"task_id": "b2", "ambient": True}]},
    ],
)
def test_ends_of_background_work(line: dict[str, Any]) -> None:
    """Whichever line says it."""
    desk = Desk.at_work()
    desk.line("system", subtype="task_started", task_id="b1", is_backgrounded=True)
    assert of_type(desk.over(), EndInput) == []
    desk.line("system", **line)
    assert desk.step("quiet") == [EndInput()]


def test_a_turn_that_begins_by_itself() -> None:
    """Its input is not ended before it, because it may ask something."""
    desk = Desk.at_work()
    assert of_type(desk.result(), EndInput) == []
    assert of_type(desk.line("system", subtype="init"), TurnBegan) == [TurnBegan()]
    assert desk.step("quiet") == []
    desk.asks("Bash")
    assert written(desk.step("answer", "p1#0", answer("allow")))
    assert of_type(desk.over(), EndInput) == [EndInput()]


def test_an_open_question_keeps_the_input_open() -> None:
    """Also where the turn is over: somebody may still answer."""
    desk = Desk.at_work()
    desk.asks("Bash")
    assert of_type(desk.over(), EndInput) == []
    desk.step("answer", "p1#0", answer("deny"))
    assert desk.step("quiet") == [EndInput()]


# Interruptions and hindrances


def test_an_interruption() -> None:
    """Only what is going on can be interrupted; an error then is no failure."""
    desk = Desk.at_work()
    (line,) = written(desk.step("interrupt"))
    assert line == {
        "type": "control_request",
        "request_id": "loki-2",
        "request": {"subtype": "interrupt"},
    }
    (ended,) = of_type(desk.result(is_error=True, subtype="error_during_execution"), TurnEnded)
    assert ended.verdict is Verdict.INTERRUPTED
    assert desk.step("interrupt") == []
    assert desk.driver.is_ready


def test_an_interruption_that_came_too_late() -> None:
    """The turn was done."""
    desk = Desk.at_work()
    desk.step("interrupt")
    assert of_type(desk.over(), TurnEnded, EndInput) == [DONE, EndInput()]


def limit(**info: Any) -> dict[str, Any]:
    return {"rate_limit_info": {"status": "rejected", "resetsAt": 1_780_000_000, **info}}


UNTIL_MS = 1_780_000_000_000


def test_a_limit() -> None:
    """The session is held up by it behind the end of the turn, and the input stays open."""
    desk = Desk.at_work()
    hindered = Hindered(Trouble.RATE_LIMITED, "Its provider's limit is used up.", UNTIL_MS)
    assert desk.line("rate_limit_event", **limit()) == [hindered]
    desk.say(text("You've hit your limit"), error="rate_limit")
    outputs = desk.result(is_error=True, result="You've hit your limit")
    assert of_type(outputs, TurnEnded, EndInput, Hindered) == [
        TurnEnded(Verdict.FAILED, "You've hit your limit (rate_limit)"),
        hindered,
    ]
    assert not desk.driver.is_ready
    outputs = desk.step("wake")
    assert outputs[0] == Freed()
    assert written(outputs)[0]["type"] == "user"
    assert of_type(desk.say(text("On")), TurnBegan) == [TurnBegan()]
    assert of_type(desk.over(), TurnEnded, EndInput) == [DONE, EndInput()]


def test_a_limit_that_ends_within_the_turn() -> None:
    """The turn may fail all the same, and is taken up again then."""
    desk = Desk.at_work()
    desk.line("rate_limit_event", **limit())
    assert desk.step("wake") == [Freed()]
    outputs = desk.result(is_error=True)
    assert of_type(outputs, Hindered, EndInput)[0].until_ms == UNTIL_MS
    assert written(desk.step("wake"))[0]["type"] == "user"


def test_a_limit_that_its_end_does_not_end() -> None:
    """It is not waited for twice."""
    desk = Desk.at_work()
    desk.line("rate_limit_event", **limit())
    desk.result(is_error=True)
    desk.step("wake")
    (hindered,) = of_type(desk.line("rate_limit_event", **limit()), Hindered)
    assert hindered.until_ms is None
    assert of_type(desk.over(is_error=True), EndInput) == [EndInput()]


@pytest.mark.parametrize("end", [None, "soon", -1, 0, True, 1e300, [1]])
def test_a_limit_without_an_end(end: Any) -> None:
    """Nothing will wake it, so the turn has failed."""
    desk = Desk.at_work()
    (hindered,) = of_type(desk.line("rate_limit_event", **limit(resetsAt=end)), Hindered)
    assert hindered.until_ms is None
    assert of_type(desk.over(is_error=True), EndInput) == [EndInput()]


@pytest.mark.parametrize(
    "info",
    [{"isUsingOverage": True}, {"overageInUse": True}, {"status": "allowed"}, {"status": 1}],
)
def test_what_is_no_limit(info: dict[str, Any]) -> None:
    """It goes on."""
    assert Desk.at_work().line("rate_limit_event", **limit(**info)) == []


def test_a_limit_that_is_lifted() -> None:
    """By what its provider says, or by an answer of its model."""
    desk = Desk.at_work()
    desk.line("rate_limit_event", **limit())
    assert desk.line("rate_limit_event", **limit(status="allowed")) == [Freed()]
    desk.line("rate_limit_event", **limit())
    assert of_type(desk.say(text("On")), Freed) == [Freed()]
    desk.line("rate_limit_event", **limit())
    desk.result(is_error=True)
    assert written(desk.line("rate_limit_event", **limit(status="allowed")))[0]["type"] == "user"


def test_a_limit_that_is_near() -> None:
    """It is told, and holds nothing up."""
    outputs = Desk.at_work().line(
        "rate_limit_event", **limit(status="allowed_warning", utilization=0.9)
    )
    assert words(outputs) == ["Of its provider's limit 90% is used."]


def test_a_wake_without_a_limit() -> None:
    """Nothing is to be done."""
    assert Desk.at_work().step("wake") == []


# What it costs


def test_totals_by_model() -> None:
    """Each has a counter of its conversation, so that a continued one goes on with it."""
    used = {"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokens": 3}
    used |= {"cacheCreationInputTokens": 4, "thinkingTokens": 1, "costUSD": 0.5}
    desk = Desk.at_work()
    desk.say(text("a"))
    desk.say(text("b"))
    calls, spent = of_type(desk.result(modelUsage={"m": used, "n": {}}), Spent)
    assert calls == Spent(Spending(api_calls=1), CostOrigin.REPORTED)
    amount = Spending(
        input_tokens=1,
        output_tokens=2,
        cache_read_tokens=3,
        cache_write_tokens=4,
        reasoning_tokens=1,
        cost=0.5,
    )
    assert spent == Spent(amount, CostOrigin.REPORTED, "claude:c1:m", "m")


def test_totals_without_models() -> None:
    """The tokens are those of the turn, the cost is that of the conversation."""
    usage = {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3}
    assert of_type(Desk.at_work().result(usage=usage, total_cost_usd=0.5), Spent) == [
        Spent(Spending(input_tokens=1, output_tokens=2, cache_read_tokens=3), CostOrigin.REPORTED),
        Spent(Spending(cost=0.5), CostOrigin.REPORTED, "claude:c1"),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"modelUsage": {"m": {"inputTokens": 0, "costUSD": 0}}, "total_cost_usd": 0},
        {"usage": {"input_tokens": 0}, "total_cost_usd": 0},
        {"usage": {"input_tokens": True, "output_tokens": -5}, "total_cost_usd": "much"},
        {"modelUsage": {"m": 5}, "total_cost_usd": 1},
        {},
    ],
)
def test_what_is_no_total(fields: dict[str, Any]) -> None:
    """A result after a crash sets no counter back, and nonsense is no number."""
    assert of_type(Desk.at_work().result(**fields), Spent) == []


# What it does


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


def test_the_plan_of_a_sub_agent() -> None:
    """It is no plan of the session's."""
    desk = Desk.at_work()
    todos = [{"content": "x", "status": "pending"}]
    outputs = desk.say(use("t1", "TodoWrite", todos=todos), parent_tool_use_id="h1")
    assert facts(outputs, "task:") == []
    assert facts(desk.say(use("t2", "TodoWrite", todos=todos)), "task:created")


def test_a_task_of_an_earlier_run() -> None:
    """It is known by its number, until it is named."""
    desk = Desk.at_work()
    (_, started) = facts(desk.say(use("u1", "TaskUpdate", taskId=7, status="in_progress")), "task:")
    assert started.data == {"taskId": "task-7", "title": "Task 7", "status": "running"}
    (named,) = facts(desk.say(use("u2", "TaskUpdate", taskId="7", subject="Read")), "task:")
    assert named.data == {"taskId": "task-7", "title": "Read", "status": "running"}
    assert facts(desk.say(use("u3", "TaskUpdate", taskId=None)), "task:") == []


# What it asks


def test_a_permission_of_a_sub_agent() -> None:
    """It is known by the use of the tool, else by the name that it gives."""
    desk = Desk.at_work()
    desk.say(use("t1", "Bash", command="ls"), parent_tool_use_id="h1")
    (asked,) = of_type(desk.asks("Bash", tool_use_id="t1", agent_id="a9"), Asked)
    assert asked.agent_id == "h1"
    (asked,) = of_type(desk.asks("Bash", "p2", tool_use_id="t2", agent_id="a9"), Asked)
    assert asked.agent_id == "a9"
    desk.say(use("t3", "Bash", command="ls"))
    (asked,) = of_type(desk.asks("Bash", "p3", tool_use_id="t3"), Asked)
    assert asked.agent_id is None


def test_what_a_permission_is_about() -> None:
    """Its own title is the prompt; why it asks is among the details."""
    (asked,) = of_type(
        Desk.at_work().asks(
            "Write",
            title="Write to \x1b[1m/etc\x1b[0m?",
            input={"file_path": "/etc/x", "content": "y"},
            decision_reason="outside",
            blocked_path="/etc",
            description="A file",
        ),
        Asked,
    )
    assert asked.prompt == "Write to /etc?"
    assert asked.details == {
        "tool": "Write",
        "arguments": {"file_path": "/etc/x", "content": "y"},
        "description": "A file",
        "reason": "outside",
        "path": "/etc",
    }
    assert [(each.value, each.effect) for each in asked.options] == [
        ("allow", Effect.ALLOW),
        ("deny", Effect.DENY),
    ]


RULE = {
    "type": "addRules",
    "rules": [{"toolName": "Read"}],
    "behavior": "allow",
    "destination": "session",
}


@pytest.mark.parametrize(
    ("suggested", "label"),
    [
        (RULE, "Read"),
        ({"type": "setMode", "mode": "acceptEdits"}, "mode acceptEdits"),
        ({"type": "addDirectories", "directories": ["/a", "/b"]}, "/a, /b"),
        ({"type": "setMode", "mode": "bypassPermissions"}, None),
        ({**RULE, "behavior": "deny"}, None),
        ({"type": "removeRules", "rules": []}, None),
        ({**RULE, "rules": [{"toolName": "x" * 2000}]}, None),
        ({}, None),
    ],
)
def test_what_is_offered_for_the_session(suggested: dict[str, Any], label: str | None) -> None:
    """What it suggests, as far as that allows something and not everything."""
    desk = Desk.at_work()
    (asked,) = of_type(desk.asks("Read", permission_suggestions=[suggested, 5]), Asked)
    labels = [each.label for each in asked.options if each.value == "allow_session"]
    assert labels == ([] if label is None else [f"Allow for this session: {label}"])
    (line,) = written(desk.step("answer", asked.key, answer("allow_session")))
    updates = line["response"]["response"].get("updatedPermissions")
    assert updates == (None if label is None else [{**suggested, "destination": "session"}])


def test_rules_that_must_not_be_offered() -> None:
    """It says so itself."""
    fields = {"permission_suggestions": [RULE], "suppress_always_allow_rule": True}
    (asked,) = of_type(Desk.at_work().asks("Read", **fields), Asked)
    assert len(asked.options) == 2


def test_arguments_that_are_too_long_to_keep() -> None:
    """Allowed, the tool is given none, and goes on with its own; so does a plan."""
    desk = Desk.at_work()
    (asked,) = of_type(desk.asks("Write", input={"content": "x" * 10_000}), Asked)
    (line,) = written(desk.step("answer", asked.key, answer("allow")))
    assert line["response"]["response"] == {"behavior": "allow", "updatedInput": {}}
    (asked,) = of_type(desk.asks("ExitPlanMode", input={"plan": "x"}), Asked)
    (line,) = written(desk.step("answer", asked.key, answer("allow")))
    assert line["response"]["response"] == {"behavior": "allow", "updatedInput": {}}


def test_answers_are_taken_once() -> None:
    """One to what is not open, or is no more, says nothing."""
    desk = Desk.at_work()
    desk.asks("Bash")
    for key in ("", "p1", "p1#1", "p1#x", "p2#0", "#", "p1#-0"):
        assert desk.step("answer", key, answer("allow")) == []
    assert written(desk.step("answer", "p1#0", answer("allow")))
    assert desk.step("answer", "p1#0", answer("allow")) == []


def test_what_is_asked_again() -> None:
    """Told with the answer to our request too, it is asked once."""
    desk = Desk()
    desk.step("begin")
    pending = {
        "type": "control_request",
        "request_id": "p1",
        "request": {"subtype": "can_use_tool", "tool_name": "Bash", "input": {}},
    }
    response = {
        "subtype": "success",
        "request_id": "loki-1",
        "pending_permission_requests": [pending],
    }
    assert len(of_type(desk.line("control_response", response=response), Asked)) == 1
    assert desk.asks("Bash") == []


def test_what_it_no_longer_wants_to_know() -> None:
    """Every open part is withdrawn, and an answer then is none."""
    desk = Desk.at_work()
    asked = [{"question": "One?"}, {"question": "Two?"}, {"question": "Three?"}]
    desk.asks("AskUserQuestion", input={"questions": asked})
    desk.step("answer", "p1#1", answer("x"))
    outputs = desk.line("control_cancel_request", request_id="p1")
    assert [each.key for each in of_type(outputs, Withdrawn)] == ["p1#0", "p1#2"]
    assert desk.step("answer", "p1#0", answer("x")) == []
    assert desk.line("control_cancel_request", request_id="p1") == []


def test_answers_in_its_own_words() -> None:
    """What was chosen by the name that we could show is what it called it itself."""
    desk = Desk.at_work()
    question = {
        "question": "Which\x07?",
        "options": [{"label": " \x1b[1mRed\x1b[0m"}, {"label": "Red"}, {"label": ""}, 5],
    }
    (asked,) = of_type(desk.asks("AskUserQuestion", input={"questions": [question, {}]}), Asked)
    assert asked.prompt == "Which?"
    assert [each.value for each in asked.options] == ["Red"]
    assert asked.takes_text
    (line,) = written(desk.step("answer", asked.key, answer("Red", words="or so")))
    given = line["response"]["response"]
    assert given["behavior"] == "allow"
    assert given["updatedInput"]["answers"] == {"Which\x07?": " \x1b[1mRed\x1b[0m. or so"}
    assert given["updatedInput"]["questions"][0] == question


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"questions": []},
        {"questions": [{"question": "x" * 20_000}]},
        {"questions": [{"question": "?"}] * 11},
    ],
)
def test_questions_that_cannot_be_asked(arguments: dict[str, Any]) -> None:
    """The agent is told so, and goes on."""
    outputs = Desk.at_work().asks("AskUserQuestion", input=arguments)
    assert of_type(outputs, Asked) == []
    assert written(outputs)[0]["response"]["response"]["behavior"] == "deny"


def test_a_dry_run_is_dry() -> None:
    """No permission is asked for or given; questions are asked."""
    desk = Desk.at_work(dry_run=True)
    for number, tool in enumerate(("Bash", "Write", "ExitPlanMode")):
        outputs = desk.asks(tool, f"p{number}", input={})
        assert of_type(outputs, Asked) == []
        assert written(outputs)[0]["response"]["response"]["behavior"] == "deny"
    assert of_type(
        desk.asks("AskUserQuestion", "q", input={"questions": [{"question": "?"}]}), Asked
    )


def elicitation(desk: Desk, **fields: Any) -> list[Output]:
    request = {"subtype": "elicitation", "mcp_server_name": "s", "message": "Who?", **fields}
    return desk.line("control_request", request_id="e1", request=request)


def schema(**properties: Any) -> dict[str, Any]:
    return {"requested_schema": {"type": "object", "properties": properties}}


@pytest.mark.parametrize(
    ("field", "options", "given", "value"),
    [
        ({"type": "string"}, [], ("Ada",), "Ada"),
        ({"type": "integer"}, [], ("36",), 36),
        ({"type": "number"}, [], ("1.5",), 1.5),
        ({"type": "integer"}, [], ("many",), "many"),
        ({"type": "boolean"}, ["yes", "no"], ("no",), False),
        ({"type": "string", "enum": ["a", "b"], "enumNames": ["A"]}, ["a", "b"], ("b",), "b"),
        ({"type": "string", "oneOf": [{"const": "a", "title": "A"}]}, ["a"], ("a",), "a"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, ["a", "b"], ("a", "b"), ["a", "b"]),
    ],
)
def test_forms(field: Any, options: list[str], given: tuple[str, ...], value: Any) -> None:
    """A value is asked for by its schema, and sent as that wants it."""
    desk = Desk.at_work()
    (asked,) = of_type(elicitation(desk, **schema(x=field)), Asked)
    assert [each.value for each in asked.options] == [*options, "decline"]
    assert asked.default == "decline"
    assert asked.takes_text == (not options)
    (line,) = written(desk.step("answer", asked.key, answer(*given)))
    assert line["response"]["response"] == {"action": "accept", "content": {"x": value}}


def test_a_form_that_is_refused() -> None:
    """One refusal is that of all of it."""
    desk = Desk.at_work()
    first, second = of_type(elicitation(desk, **schema(x={}, y={})), Asked)
    outputs = desk.step("answer", second.key, answer("decline"))
    assert [each.key for each in of_type(outputs, Withdrawn)] == [first.key]
    assert written(outputs)[0]["response"]["response"] == {"action": "decline"}


def test_what_is_only_to_be_accepted() -> None:
    """A page to open has no values."""
    desk = Desk.at_work()
    (asked,) = of_type(elicitation(desk, mode="url", url="https://example.org"), Asked)
    assert asked.details == {"server": "s", "url": "https://example.org"}
    (line,) = written(desk.step("answer", asked.key, answer("accept")))
    assert line["response"]["response"] == {"action": "accept", "content": {}}


def test_a_form_that_is_too_long() -> None:
    """It is refused in people's place."""
    outputs = elicitation(Desk.at_work(), **schema(**{f"x{number}": {} for number in range(11)}))
    assert written(outputs)[0]["response"]["response"] == {"action": "decline"}


def test_every_request_is_answered_or_open() -> None:
    """However many, and whatever they are named."""
    desk = Desk.at_work()
    for number in range(70):
        outputs = desk.asks("Bash", f"p{number}")
        assert bool(of_type(outputs, Asked)) == (number < 64)
        assert bool(written(outputs)) == (number >= 64)
    desk = Desk.at_work()
    assert written(desk.asks("Bash", "x" * 1000))[0]["response"]["subtype"] == "error"
    assert written(desk.asks("Bash", "two words"))[0]["response"]["subtype"] == "error"


def test_a_request_of_ours_that_fails() -> None:
    """It is told why. Our own answers are repeated to us, and are no news."""
    desk = Desk.at_work()
    response = {"subtype": "error", "request_id": "loki-1", "error": "no"}
    outputs = desk.line("control_response", response=response)
    assert words(outputs) == ["It did not do what it was asked: no"]
    assert desk.line("control_response", response={**response, "request_id": "p1"}) == []


# What it says of itself


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


# The end


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


# Laws

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


def check(output: Output) -> None:
    """What holds for all that a driver says."""
    if isinstance(output, Fact):
        assert output.type in EVENT_TYPES
        assert not output.type.startswith(("session:", "message:", "heartbeat", "input:"))
        told = event_from_frame(event_as_frame(1, 0, "session", output))
        assert told.data == output.data
    elif isinstance(output, Write):
        assert output.text.endswith("\n")
        assert all(isinstance(json.loads(each), dict) for each in output.text.splitlines())
    elif isinstance(output, Asked):
        assert output.prompt
        assert msgspec.json.encode(output.details)
        assert len({each.value for each in output.options}) == len(output.options)


@given(st.lists(STEPS, max_size=25), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=300)
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
@settings(deadline=None, max_examples=200)
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
    "line",
    [
        '{"type": "assistant", "message": {"content": "a\\u0000b \\ud800 c"}}',
        '{"type": "assistant", "message": {"content": "a\x00b \ud800 c"}}',
        '{"type": "result", "is_error": true, "result": "\\ud83d", "total_cost_usd": 1e999}',
        '{"type": "result", "usage": {"input_tokens": ' + "9" * 400 + ', "x": "\\ud83d"}}',
        '{"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "t", "name": "B",'
        ' "input": {"x": ' + "[" * 90 + "]" * 90 + ', "y": ' + "9" * 30 + "}}]}}",
        '{"type": "control_request", "request_id": "p", "request": {"subtype": "can_use_tool",'
        ' "tool_name": "\\udfff", "input": {"x": ' + "[" * 80 + "]" * 80 + "}}}",
    ],
)
def test_odd_lines(line: str) -> None:
    """Halves of characters, NUL, huge numbers and deep arguments are told all the same."""
    desk = Desk.at_work()
    outputs = desk.step("line", "stdout", line)
    assert outputs
    for output in outputs:
        check(output)


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
        calls.append(use(f"c{number:099d}", "TaskCreate", subject=long))
        say("assistant", message={"id": f"{number:0100d}", "content": calls}, error=long)
        say("system", subtype="task_started", task_id=f"{number:0100d}", tool_use_id=long[:100])
        say(long)
        driver.say(message("x", number))
    todos = [{"content": f"{number}{long}", "status": "pending"} for number in range(1000)]
    say("assistant", message={"content": [use("w", "TodoWrite", todos=todos)]})
    assert 100_000 < len(driver.memory().encode()) < 256 * 1024
