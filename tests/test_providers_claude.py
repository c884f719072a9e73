"""Tests of the driver of Claude Code: how it is started, its turns, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from zope.interface.verify import verifyObject

from loki_twisted.agents.driving import IDriver, IProvider
from loki_twisted.agents.outputs import (
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
    Write,
)
from loki_twisted.agents.providers.claude import ClaudeProvider
from loki_twisted.agents.providers.claude_writing import uuid_of
from loki_twisted.agents.providers.machine import Machine
from loki_twisted.model.errors import InvalidRequest, ProviderNotAvailable
from loki_twisted.model.messages import Delivery
from loki_twisted.model.spending import CostOrigin, Spending
from tests.claude_support import (
    REQUEST,
    UNTIL_MS,
    Desk,
    answer,
    facts,
    install,
    limit,
    message,
    of_type,
    text,
    words,
    written,
)

DONE = TurnEnded(Verdict.DONE)
HOSTILE = "--dangerously-skip-permissions"


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


def test_totals_by_model() -> None:
    """Each has a counter of its conversation, so that a continued one goes on with it."""
    used = {"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokens": 3}
    used |= {"cacheCreationInputTokens": 4, "thinkingTokens": 1, "costUSD": 0.5}
    desk = Desk.at_work()
    for part in ("a", "b"):
        reply = {"id": "msg_1", "model": "m", "content": [text(part)]}
        desk.line("assistant", message=reply)
    calls, spent = of_type(desk.result(modelUsage={"m[1m]": used, "n": {}}), Spent)
    assert calls == Spent(Spending(api_calls=1), CostOrigin.REPORTED, model="m[1m]")
    amount = Spending(
        input_tokens=1,
        output_tokens=2,
        cache_read_tokens=3,
        cache_write_tokens=4,
        reasoning_tokens=1,
        cost=0.5,
    )
    assert spent == Spent(amount, CostOrigin.REPORTED, "claude:c1:m[1m]", "m[1m]")


def test_calls_of_a_model_without_totals() -> None:
    """They are of the model that answered."""
    desk = Desk.at_work()
    desk.line("assistant", message={"id": "msg_1", "model": "m", "content": [text("a")]})
    assert of_type(desk.result(), Spent) == [
        Spent(Spending(api_calls=1), CostOrigin.REPORTED, model="m")
    ]


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
