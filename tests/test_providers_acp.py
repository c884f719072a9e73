"""Tests of the driver for the Agent Client Protocol: lines in, outputs out, no process."""

from __future__ import annotations

import json
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.outputs import (
    Conversation,
    EndInput,
    Spent,
    Taken,
    TurnBegan,
    TurnEnded,
    Verdict,
    Withdrawn,
    Write,
)
from loki_twisted.agents.providers.acp import AcpDriver
from loki_twisted.agents.providers.acp_state import MOST_ASKED, MOST_CALLS
from loki_twisted.model.inputs import Effect, InputKind
from loki_twisted.model.spending import CostOrigin, Spending
from tests.acp_support import (
    AGENT,
    REQUEST,
    SESSION,
    Talk,
    answer,
    asked_in,
    facts_of,
    spent_in,
    texts_of,
    turns_of,
    written_in,
)

MOST_MEMORY = 256 * 1024
CANCELLED = {"outcome": {"outcome": "cancelled"}}


@pytest.fixture
def talk() -> Talk:
    """One in which the prompt was said."""
    talk = Talk()
    talk.open()
    return talk


def test_it_is_a_driver() -> None:
    """It provides the interface."""
    verifyObject(IDriver, AcpDriver(AGENT, REQUEST))


# How it begins


def test_the_greeting() -> None:
    """It offers neither files nor terminals, and remembers that it was said."""
    talk = Talk()
    (greeting,) = written_in(talk.outputs)
    assert greeting["method"] == "initialize"
    assert greeting["params"]["protocolVersion"] == 1
    assert greeting["params"]["clientCapabilities"] == {
        "fs": {"readTextFile": False, "writeTextFile": False},
        "terminal": False,
        "elicitation": {"form": {}},
    }
    assert talk.driver.memory()
    assert not AcpDriver(AGENT, REQUEST).memory()


def test_a_new_session() -> None:
    """The session's name is the conversation's, and the prompt is said in it at once."""
    talk = Talk()
    (opening,) = written_in(talk.reply({"protocolVersion": 1}))
    assert opening["method"] == "session/new"
    assert opening["params"] == {"cwd": "/p", "mcpServers": []}
    told = talk.reply({"sessionId": SESSION, "models": {"currentModelId": "model-1"}})
    assert told[0] == Conversation(SESSION)
    ((kind, data),) = facts_of(told)
    assert (kind, data) == ("agent:spawned", {"model": "model-1", "task": "Mend it, please"})
    assert told[2] == TurnBegan()
    (prompt,) = written_in(told)
    assert prompt["method"] == "session/prompt"
    assert prompt["params"] == {
        "sessionId": SESSION,
        "prompt": [{"type": "text", "text": "Mend it, please"}],
    }
    assert not talk.driver.is_ready


@pytest.mark.parametrize(
    ("result", "model"),
    [
        ({}, None),
        ({"configOptions": [{"category": "model", "currentValue": "m2"}]}, "m2"),
        ({"configOptions": [{"category": "mode", "currentValue": "ask"}]}, None),
        ({"configOptions": "none", "models": []}, None),
    ],
)
def test_the_model(result: dict[str, Any], model: str | None) -> None:
    """It is told where the agent says it."""
    talk = Talk()
    talk.reply({})
    ((_, data),) = facts_of(talk.reply({"sessionId": SESSION, **result}))
    assert data.get("model") == model


@pytest.mark.parametrize("prompt", ["/compact", "-x", "one"])
def test_a_prompt_is_said_as_it_is(prompt: str) -> None:
    """No command line takes it for anything else, so a command of the agent's own stays one."""
    talk = Talk(prompt=f" {prompt}\n")
    talk.open()
    assert talk.last_request["params"]["prompt"] == [{"type": "text", "text": prompt}]


def test_a_dry_run() -> None:
    """The mode in which it only looks is chosen, before it is told anything."""
    talk = Talk(dry_run=True)
    modes = [{"id": "default"}, {"id": "plan"}]
    talk.reply({})
    told = talk.reply({"sessionId": SESSION, "modes": {"availableModes": modes}})
    (choice,) = written_in(told)
    assert choice["method"] == "session/set_mode"
    assert choice["params"] == {"sessionId": SESSION, "modeId": "plan"}
    assert talk.reply({})[0] == TurnBegan()


@pytest.mark.parametrize("modes", [None, [], [{"id": "code"}, "plan"], {"id": "plan"}])
def test_a_dry_run_of_an_agent_that_cannot_only_look(modes: Any) -> None:
    """It is told nothing, and has failed."""
    talk = Talk(dry_run=True)
    talk.reply({})
    told = talk.reply({"sessionId": SESSION, "modes": {"availableModes": modes}})
    assert [each.verdict for each in turns_of(told)] == [Verdict.FAILED]
    assert told[-1] == EndInput()


def test_a_mode_that_is_refused() -> None:
    """Then nothing is told to the agent either."""
    talk = Talk(dry_run=True)
    talk.reply({})
    talk.reply({"sessionId": SESSION, "modes": {"availableModes": [{"id": "plan"}]}})
    assert talk.fail(-32603, "no") == [TurnEnded(Verdict.FAILED, "no"), EndInput()]
    assert [kind for kind, _ in facts_of(talk.driver.ended())] == ["agent:failed"]


def test_a_document() -> None:
    """A PRD is named in the prompt."""
    talk = Talk(prompt="Do it", prd_path="/p/prd.md")
    talk.open()
    (block,) = talk.last_request["params"]["prompt"]
    assert block["text"].startswith("Do it\n\nThe product requirements document is /p/prd.md")


def test_without_a_prompt() -> None:
    """One that stays open waits for the first message."""
    talk = Talk(prompt=None, stays_open=True)
    talk.open()
    assert talk.driver.is_ready
    assert talk.last_request["method"] == "session/new"


def test_another_version() -> None:
    """An agent that speaks another version of the protocol is given up, and told to end."""
    talk = Talk()
    told = talk.reply({"protocolVersion": 2})
    words = "It speaks version 2 of the protocol, and not 1."
    assert told == [TurnEnded(Verdict.FAILED, words), EndInput()]
    assert facts_of(talk.driver.ended()) == []


@pytest.mark.parametrize("name", [None, "", 7, "a\nb\x00", "x" * 300])
def test_a_session_without_a_name(name: Any) -> None:
    """Nothing can be said in it, so the run has failed."""
    talk = Talk()
    talk.reply({})
    told = talk.reply({"sessionId": name})
    assert told == [TurnEnded(Verdict.FAILED, "It gave the session no name."), EndInput()]


def test_who_has_not_logged_in() -> None:
    """The reason says so, and which ways to log in the agent knows."""
    talk = Talk()
    talk.reply({"authMethods": [{"id": "a", "name": "By browser"}, {"id": "key"}, 7]})
    told = talk.fail(-32000, "Authentication required")
    assert told == [
        TurnEnded(
            Verdict.FAILED,
            "It wants a login, which its own command can do (Authentication required)."
            " It knows these ways: By browser, key.",
        ),
        EndInput(),
    ]


# How a conversation is continued


def test_one_that_resumes() -> None:
    """``session/resume`` is taken before ``session/load``, because nothing is said again."""
    talk = Talk(conversation=SESSION)
    able = {"loadSession": True, "sessionCapabilities": {"resume": {}}}
    (opening,) = written_in(talk.reply({"agentCapabilities": able}))
    assert opening["method"] == "session/resume"
    assert opening["params"] == {"sessionId": SESSION, "cwd": "/p", "mcpServers": []}
    told = talk.reply({})
    assert told[0] == Conversation(SESSION)
    assert talk.last_request["method"] == "session/prompt"


def test_one_that_loads() -> None:
    """What was said before is not told again, whether it comes before the answer or behind it."""
    talk = Talk(conversation=SESSION)
    (opening,) = written_in(talk.reply({"agentCapabilities": {"loadSession": True}}))
    assert opening["method"] == "session/load"
    for outputs in (
        talk.say("Old", "user_message_chunk"),
        talk.say("Old\n\n"),
        talk.update("tool_call", toolCallId="c1", title="Old", status="completed"),
        talk.update("plan", entries=[{"content": "Old", "status": "completed"}]),
        talk.update("usage_update", cost={"amount": 0.5, "currency": "USD"}),
    ):
        assert not outputs
    told = talk.reply({})
    assert [kind for kind, _ in facts_of(told)] == ["agent:spawned"]
    # Some tell it only now, so the prompt waits until it is quiet.
    assert not talk.say("Older")
    assert not talk.driver.is_ready
    assert talk.quiet()[0] == TurnBegan()
    assert talk.last_request["method"] == "session/prompt"
    talk.say("New")
    assert texts_of(talk.quiet()) == ["New"]


@pytest.mark.parametrize(
    "able", [{}, {"loadSession": False}, {"sessionCapabilities": {"resume": None}}]
)
def test_one_that_cannot(able: dict[str, Any]) -> None:
    """No other conversation is begun in its place."""
    talk = Talk(conversation=SESSION)
    told = talk.reply({"agentCapabilities": able})
    (ended,) = turns_of(told)
    assert ended.verdict is Verdict.FAILED
    assert ended.reason == (
        "The conversation cannot be continued: It cannot go on with a conversation."
    )
    assert told[-1] == EndInput()


def test_a_conversation_that_is_gone() -> None:
    """What the agent says of it is the reason."""
    talk = Talk(conversation="gone")
    talk.reply({"agentCapabilities": {"loadSession": True}})
    (ended,) = turns_of(talk.fail(-32603, "Internal error", {"details": "No such session"}))
    assert ended.reason == ("The conversation cannot be continued: Internal error: No such session")


# What it reports


def test_pieces_are_joined(talk: Talk) -> None:
    """A sentence in forty pieces is one event, when something else comes."""
    for piece in "I look at the file, and at its neighbours.":
        assert not talk.say(piece)
    told = talk.update("tool_call", toolCallId="c1", title="Look", rawInput={"path": "a"})
    assert texts_of(told) == ["I look at the file, and at its neighbours."]


def test_thoughts_and_words_are_apart(talk: Talk) -> None:
    """A text ends where one of another kind, or of another message, begins."""
    talk.say("Hm", "agent_thought_chunk")
    assert texts_of(talk.say("Yes", messageId="m1"), "thinking") == ["Hm"]
    assert texts_of(talk.say("No", messageId="m2")) == ["Yes"]
    assert texts_of(talk.driver.quiet()) == ["No"]
    assert not talk.driver.quiet()


def test_long_texts_are_told_in_parts(talk: Talk) -> None:
    """What is held back is bounded, and nothing of it is lost."""
    words = " ".join(f"word{number}" for number in range(5_000))
    for start in range(0, len(words), 100):
        talk.say(words[start : start + 100])
        assert len(talk.driver.memory()) < 10_000
    talk.driver.ended()
    said = [*texts_of(talk.outputs)]
    assert len(said) < 60
    assert words.startswith("".join(said))
    assert len(words) - len("".join(said)) <= 2_048


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (
            {"type": "image", "mimeType": "image/png", "data": "AAAA"},
            "[image/png, 4 bytes as base64]",
        ),
        ({"type": "audio"}, "[media, 0 bytes as base64]"),
        ({"type": "resource_link", "name": "a", "uri": "file:///a"}, "[a: file:///a]"),
        ({"type": "resource", "resource": {"uri": "file:///a", "text": "x"}}, "[file:///a]\nx"),
        ({"type": "resource", "resource": {"uri": "file:///a", "blob": "AA"}}, "[file:///a]"),
    ],
)
def test_other_blocks(talk: Talk, block: dict[str, Any], said: str) -> None:
    """What is no text is told in a few words."""
    talk.update("agent_message_chunk", content=block)
    assert texts_of(talk.driver.quiet()) == [said]


def test_a_tool(talk: Talk) -> None:
    """It is told when it is known what it is called with, and once; then what it gave."""
    assert not talk.update("tool_call", toolCallId="c1", title="Run make", kind="execute")
    told = facts_of(talk.update("tool_call_update", toolCallId="c1", rawInput={"command": "make"}))
    assert told == [
        (
            "agent:output",
            {
                "kind": "tool_call",
                "tool": "execute",
                "callId": "c1",
                "output": "make",
                "input": {"command": "make"},
            },
        )
    ]
    assert not talk.update("tool_call_update", toolCallId="c1", status="in_progress")
    content = [{"type": "content", "content": {"type": "text", "text": "ok"}}]
    told = facts_of(
        talk.update("tool_call_update", toolCallId="c1", status="completed", content=content)
    )
    result = {"kind": "tool_result", "callId": "c1", "isError": False, "tool": "execute"}
    assert told == [("agent:output", {**result, "output": "ok"})]
    assert not talk.update("tool_call_update", toolCallId="c1", status="completed")


@pytest.mark.parametrize("later", ["quiet", "turn", "ended", "permission"])
def test_a_tool_of_which_nothing_more_is_said(talk: Talk, later: str) -> None:
    """It is told by its title, when no more can be waited for."""
    talk.update("tool_call", toolCallId="c1", title="Think hard", kind="other")
    if later == "quiet":
        told = talk.driver.quiet()
    elif later == "ended":
        told = talk.driver.ended()
    elif later == "turn":
        told = talk.reply({"stopReason": "end_turn"})
    else:
        _, told = talk.ask_permission(toolCall={"toolCallId": "c1"})
    ((_, data), *_) = facts_of(told)
    assert (data["kind"], data["tool"], data["output"]) == ("tool_call", "Think hard", "Think hard")


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (
            {"type": "diff", "path": "a.py", "oldText": "a\nb", "newText": "c"},
            "a.py\n- a\n- b\n+ c",
        ),
        ({"type": "diff", "path": "a.py", "oldText": None, "newText": "c"}, "a.py\n+ c"),
        ({"type": "terminal", "terminalId": "t1"}, "[terminal t1]"),
        ({"type": "unheard of"}, '{"code":0}'),
    ],
)
def test_what_a_tool_gives(talk: Talk, content: dict[str, Any], shown: str) -> None:
    """Changes to files and terminals as texts; its output as it was, where it has no content."""
    told = talk.update(
        "tool_call",
        toolCallId="c1",
        title="x",
        status="failed",
        content=[content],
        rawOutput={"code": 0},
    )
    (_, (_, data)) = facts_of(told)
    assert (data["output"], data["isError"]) == (shown, True)


def test_what_a_tool_gave_before_its_end(talk: Talk) -> None:
    """The beginning of it is told at the end, where the end says nothing."""
    content = [{"type": "content", "content": {"type": "text", "text": "ok " * 5_000}}]
    talk.update("tool_call", toolCallId="c1", title="x", status="in_progress", content=content)
    (_, data) = facts_of(talk.update("tool_call_update", toolCallId="c1", status="completed"))[-1]
    assert data["output"].startswith("ok ok ")
    assert len(data["output"]) <= 1024


def test_what_a_tool_gave_is_replaced(talk: Talk) -> None:
    """A content that is empty takes the place of the one before."""
    content = [{"type": "content", "content": {"type": "text", "text": "May I?"}}]
    talk.update("tool_call", toolCallId="c1", title="x", status="pending", content=content)
    told = facts_of(
        talk.update("tool_call_update", toolCallId="c1", status="completed", content=[])
    )
    assert told[-1][1]["output"] == ""


def test_large_changes_are_cut(talk: Talk) -> None:
    """A change to a file of a megabyte is told by its beginning."""
    content = [{"type": "diff", "path": "a", "oldText": "x" * 10**6, "newText": "y" * 10**6}]
    told = talk.update("tool_call", toolCallId="c1", status="completed", content=content)
    assert len(json.dumps(facts_of(told))) < 20_000


def test_a_plan(talk: Talk) -> None:
    """Its entries, which have no names, are tasks."""
    entries = [{"content": "Look", "status": "pending"}, {"content": "Write", "status": "pending"}]
    told = facts_of(talk.update("plan", entries=entries))
    assert [(kind, data["title"]) for kind, data in told] == [
        ("task:created", "Look"),
        ("task:created", "Write"),
    ]
    entries[0]["status"] = "in_progress"
    told = facts_of(talk.update("plan", entries=entries))
    assert told == [("task:started", {"taskId": "plan-1", "title": "Look", "status": "running"})]
    assert facts_of(talk.update("plan", entries=entries)) == []


def test_what_it_costs(talk: Talk) -> None:
    """Totals in US dollars are booked; how full its context is, is nothing that was spent."""
    assert spent_in(talk.update("usage_update", used=9, size=10)) == []
    (spent,) = spent_in(talk.update("usage_update", cost={"amount": 0.5, "currency": "USD"}))
    assert spent == Spent(Spending(cost=0.5), CostOrigin.REPORTED, "cost")


def test_what_it_costs_in_another_currency(talk: Talk) -> None:
    """It is said once that nobody knows it in US dollars."""
    for amount in (1, 2):
        talk.update("usage_update", cost={"amount": amount, "currency": "EUR"})
    assert spent_in(talk.outputs) == []
    logs = [data["message"] for kind, data in facts_of(talk.outputs) if kind == "log:info"]
    assert len(logs) == 1
    assert "EUR" in logs[0]


@pytest.mark.parametrize("amount", [-1, True, "1", None, 2**60, []])
def test_what_is_no_cost(talk: Talk, amount: Any) -> None:
    """Nothing is booked that is no amount of money."""
    talk.update("usage_update", cost={"amount": amount, "currency": "USD"})
    assert spent_in(talk.outputs) == []


@pytest.mark.parametrize(
    ("result", "spending"),
    [
        (
            {
                "usage": {
                    "totalTokens": 150,
                    "inputTokens": 100,
                    "outputTokens": 20,
                    "cachedReadTokens": 30,
                }
            },
            Spending(input_tokens=100, output_tokens=20, cache_read_tokens=30),
        ),
        (
            {
                "usage": {
                    "totalTokens": 120,
                    "inputTokens": 100,
                    "outputTokens": 20,
                    "cachedReadTokens": 30,
                }
            },
            Spending(input_tokens=70, output_tokens=20, cache_read_tokens=30),
        ),
        (
            {"usage": {"outputTokens": 20, "thoughtTokens": 5, "cachedWriteTokens": 7}},
            Spending(output_tokens=20, reasoning_tokens=5, cache_write_tokens=7),
        ),
        (
            {"_meta": {"quota": {"token_count": {"input_tokens": 40, "output_tokens": 2}}}},
            Spending(input_tokens=40, output_tokens=2),
        ),
        (
            {"_meta": {"quota": {"token_count": {"input_tokens": 40}, "model_usage": "none"}}},
            Spending(input_tokens=40),
        ),
    ],
)
def test_tokens_of_a_turn(talk: Talk, result: dict[str, Any], spending: Spending) -> None:
    """They are those of the turn; those of the cache are counted once."""
    told = talk.reply({"stopReason": "end_turn", **result})
    assert spent_in(told) == [Spent(spending)]


def test_tokens_of_models(talk: Talk) -> None:
    """Where it is said which model took how many, that is told."""
    usage = [
        {"model": name, "token_count": {"input_tokens": number, "output_tokens": 1}}
        for name, number in (("a", 40), ("b", 2))
    ]
    quota = {"token_count": {"input_tokens": 42, "output_tokens": 2}, "model_usage": usage}
    told = talk.reply({"stopReason": "end_turn", "_meta": {"quota": quota}})
    assert spent_in(told) == [
        Spent(Spending(input_tokens=40, output_tokens=1), model="a"),
        Spent(Spending(input_tokens=2, output_tokens=1), model="b"),
    ]


def test_tokens_of_an_agent_that_says_its_cost(talk: Talk) -> None:
    """Their cost is known then, because it was said."""
    talk.update("usage_update", cost={"amount": 0.5, "currency": "USD"})
    told = talk.reply({"stopReason": "end_turn", "usage": {"inputTokens": 5}})
    assert [each.origin for each in spent_in(told)] == [CostOrigin.REPORTED]


# How turns end


@pytest.mark.parametrize(
    ("stopped", "verdict", "words"),
    [
        ("end_turn", Verdict.DONE, None),
        ("max_tokens", Verdict.FAILED, "It reached the most tokens that it may use."),
        ("max_turn_requests", Verdict.FAILED, "It reached the most requests that a turn may have."),
        ("refusal", Verdict.FAILED, "It refused to go on."),
        ("cancelled", Verdict.INTERRUPTED, "The turn was cancelled."),
        ("sleepy", Verdict.FAILED, "It stopped: sleepy."),
        (None, Verdict.FAILED, "It stopped: it did not say why."),
    ],
)
def test_the_end_of_a_turn(talk: Talk, stopped: Any, verdict: Verdict, words: str | None) -> None:
    """Each reason has its verdict, and then the agent is told to end."""
    talk.say("Last words")
    told = talk.reply({"stopReason": stopped})
    assert texts_of(told) == ["Last words"]
    assert told[1:] == [TurnEnded(verdict, words), EndInput()]
    word = "completed" if verdict is Verdict.DONE else "failed"
    assert [kind for kind, _ in facts_of(talk.driver.ended())] == [f"agent:{word}"]
    assert not talk.driver.ended()


def test_a_turn_that_went_wrong(talk: Talk) -> None:
    """What the agent says of it is the reason."""
    told = talk.fail(-32603, "Internal error", {"details": "overloaded"})
    assert told == [TurnEnded(Verdict.FAILED, "Internal error: overloaded"), EndInput()]


def test_an_agent_that_ends_in_the_middle(talk: Talk) -> None:
    """It has failed, whatever it said before."""
    talk.say("Half a")
    told = talk.driver.ended()
    assert texts_of(told) == ["Half a"]
    assert facts_of(told)[-1][0] == "agent:failed"
    assert talk.driver.says_done


def test_one_that_stays_takes_messages() -> None:
    """Each is a turn, and is taken when it is said; none is taken during a turn."""
    talk = Talk(stays_open=True)
    talk.open()
    assert not talk.tell("too early")
    assert talk.reply({"stopReason": "end_turn"}) == [TurnEnded(Verdict.DONE)]
    assert not talk.driver.quiet()
    assert talk.driver.is_ready
    assert not talk.driver.takes_now
    told = talk.tell("Go on")
    assert told[0] == TurnBegan()
    assert told[-1] == Taken("message_1")
    (prompt,) = written_in(told)
    assert prompt["params"]["prompt"] == [{"type": "text", "text": "Go on"}]
    assert not talk.driver.is_ready


def test_a_message_that_waits_is_still_taken() -> None:
    """An agent that is told to end takes one all the same, and is told so again behind it."""
    talk = Talk()
    talk.open()
    assert talk.reply({"stopReason": "end_turn"})[-1] == EndInput()
    assert talk.driver.is_ready
    assert talk.tell("More")[-1] == Taken("message_1")
    assert talk.reply({"stopReason": "end_turn"})[-1] == EndInput()


# What it asks


def test_a_permission(talk: Talk) -> None:
    """The agent's own options are given, those that go least far first."""
    options = [
        {"optionId": "always", "name": "Always", "kind": "allow_always"},
        {"optionId": "yes", "name": "Yes", "kind": "allow_once"},
        {"optionId": "odd", "name": "Odd", "kind": "odd"},
        {"optionId": "never", "name": "Never", "kind": "reject_always"},
        {"optionId": "no", "name": "", "kind": "reject_once"},
    ]
    call = {
        "toolCallId": "c1",
        "title": "Run make",
        "kind": "execute",
        "rawInput": {"command": "make"},
        "content": [{"type": "diff", "path": "a", "newText": "b"}],
    }
    talk.say("May I?")
    number, told = talk.ask_permission(toolCall=call, options=options)
    assert texts_of(told) == ["May I?"]
    assert [data.get("kind") for _, data in facts_of(told)] == ["text", "tool_call"]
    (asked,) = asked_in(told)
    assert (asked.kind, asked.prompt) == (InputKind.PERMISSION, "Run make")
    assert asked.details == {
        "tool": "execute",
        "callId": "c1",
        "arguments": {"command": "make"},
        "content": "a\n+ b",
    }
    assert [(each.value, each.label, each.effect) for each in asked.options] == [
        ("yes", "Yes", Effect.ALLOW),
        ("always", "Always", Effect.ALLOW),
        ("no", "no", Effect.DENY),
        ("never", "Never", Effect.DENY),
        ("odd", "Odd", None),
    ]
    assert written_in(talk.driver.answer(asked.key, answer("always"))) == [
        {"id": number, "result": {"outcome": {"outcome": "selected", "optionId": "always"}}}
    ]
    assert not talk.driver.answer(asked.key, answer("always"))


def test_a_permission_that_is_titled_by_its_purpose(talk: Talk) -> None:
    """What is to be run is part of the question."""
    call = {"toolCallId": "c1", "title": "Tidy up", "rawInput": {"command": "rm -r build"}}
    _, told = talk.ask_permission(toolCall=call)
    (asked,) = asked_in(told)
    assert asked.prompt == "Tidy up: rm -r build"


def test_a_permission_that_cannot_be_denied(talk: Talk) -> None:
    """We can always say no: that is a cancelled request."""
    number, told = talk.ask_permission()
    (asked,) = asked_in(told)
    assert [each.effect for each in asked.options] == [Effect.ALLOW, Effect.DENY]
    given = talk.driver.answer(asked.key, answer(asked.options[1].value))
    assert written_in(given) == [{"id": number, "result": CANCELLED}]


def test_a_permission_that_is_about_a_plan(talk: Talk) -> None:
    """To leave the mode in which it plans is to go on with the plan."""
    _, told = talk.ask_permission(
        toolCall={"toolCallId": "c1", "title": "Ready to code?", "kind": "switch_mode"}
    )
    (asked,) = asked_in(told)
    assert asked.kind is InputKind.PLAN


def test_two_at_once(talk: Talk) -> None:
    """Each is answered by itself, in any order, and ids of numbers and of texts are kept apart."""
    params = {"toolCall": {"toolCallId": "c"}, "options": []}
    keys = []
    for request_id in (1, "1"):
        told = talk.send(id=request_id, method="session/request_permission", params=params)
        keys += [each.key for each in asked_in(told)]
    assert written_in(talk.driver.answer(keys[1], answer("yes")))[0]["id"] == "1"
    assert written_in(talk.driver.answer(keys[0], answer("no")))[0]["id"] == 1


def test_an_interrupted_turn(talk: Talk) -> None:
    """It is cancelled, and what is open is answered so and withdrawn; what comes late too."""
    first, told = talk.ask_permission()
    (asked,) = asked_in(told)
    told = talk.driver.interrupt()
    assert written_in(told) == [
        {"method": "session/cancel", "params": {"sessionId": SESSION}},
        {"id": first, "result": CANCELLED},
    ]
    assert [each.key for each in told if isinstance(each, Withdrawn)] == [asked.key]
    assert not talk.driver.interrupt()
    late, told = talk.ask_permission(toolCall={"toolCallId": "c2"})
    assert asked_in(told) == []
    assert written_in(told)[-1] == {"id": late, "result": CANCELLED}
    told = talk.reply({"stopReason": "cancelled"})
    # It is to stay, for what people want of it instead.
    assert told == [TurnEnded(Verdict.INTERRUPTED, "The turn was cancelled.")]
    assert talk.driver.is_ready


def test_an_interrupted_turn_that_fails(talk: Talk) -> None:
    """An error after it was told to leave off is that it has left off."""
    talk.driver.interrupt()
    (ended,) = turns_of(talk.fail(-32603, "aborted"))
    assert ended.verdict is Verdict.INTERRUPTED


def test_nothing_to_interrupt() -> None:
    """Before and between turns there is nothing to leave off."""
    talk = Talk()
    assert not talk.driver.interrupt()
    talk.open()
    talk.reply({"stopReason": "end_turn"})
    assert not talk.driver.interrupt()


def test_a_turn_that_ends_while_something_is_open(talk: Talk) -> None:
    """It is withdrawn, and answered all the same."""
    number, told = talk.ask_permission()
    (asked,) = asked_in(told)
    told = talk.reply({"stopReason": "end_turn"})
    assert [each.key for each in told if isinstance(each, Withdrawn)] == [asked.key]
    assert {"id": number, "result": CANCELLED} in written_in(told)


def test_a_question_that_the_agent_takes_back(talk: Talk) -> None:
    """It is withdrawn, and the request has its error."""
    number, told = talk.ask_permission()
    (asked,) = asked_in(told)
    told = talk.send(method="$/cancel_request", params={"requestId": number})
    assert told[0] == Withdrawn(asked.key, "The agent no longer wants to know.")
    assert written_in(told)[0]["error"]["code"] == -32800
    assert not talk.send(method="$/cancel_request", params={"requestId": number})


def test_more_questions_than_are_asked(talk: Talk) -> None:
    """What is beyond them is refused at once, so the agent does not wait."""
    told = [talk.ask_permission(toolCall={"toolCallId": f"c{n}"}) for n in range(MOST_ASKED + 1)]
    assert all(asked_in(outputs) for _, outputs in told[:-1])
    number, outputs = told[-1]
    assert asked_in(outputs) == []
    assert written_in(outputs) == [{"id": number, "result": CANCELLED}]


FIELDS = {
    "colour": {
        "type": "string",
        "title": "Which colour?",
        "oneOf": [{"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}],
        "default": "g",
    },
    "count": {"type": "integer", "description": "Of them"},
    "sizes": {"type": "array", "items": {"type": "string", "enum": ["s", "m", "l"]}},
    "fast": {"type": "boolean", "default": True},
    "price": {"type": "number"},
}


def ask_form(talk: Talk, properties: Any = None, **changes: Any) -> tuple[int, Any]:
    """Ask with a form."""
    schema = {"type": "object", "properties": FIELDS if properties is None else properties}
    params = {"mode": "form", "message": "Please say.", "requestedSchema": schema, **changes}
    return talk.ask("elicitation/create", **params)


def test_a_form(talk: Talk) -> None:
    """Each of its fields is a question, and it is answered when all of them are."""
    number, told = ask_form(talk)
    colour, count, sizes, fast, price = asked_in(told)
    assert colour.prompt == "Please say. Which colour?"
    assert [each.value for each in colour.options] == ["r", "g", "(decline)"]
    assert (colour.default, colour.takes_text, colour.multiple) == ("g", False, False)
    assert (count.takes_text, sizes.multiple, fast.default) == (True, True, "true")
    driver = talk.driver
    assert not driver.answer(count.key, answer("3"))
    assert not driver.answer(sizes.key, answer("s", "l"))
    assert not driver.answer(fast.key, answer("false"))
    assert not driver.answer(colour.key, answer("r"))
    content = {"colour": "r", "count": 3, "sizes": ["s", "l"], "fast": False, "price": 1.5}
    assert written_in(driver.answer(price.key, answer("1.5"))) == [
        {"id": number, "result": {"action": "accept", "content": content}}
    ]


@pytest.mark.parametrize("value", ["(decline)", "many", "", "1e999", "nan"])
def test_a_form_that_is_declined(talk: Talk, value: str) -> None:
    """One answer is enough, also one that means nothing in its field; the others are withdrawn."""
    number, told = ask_form(talk, {"price": {"type": "number"}, "name": {"type": "string"}})
    price, name = asked_in(told)
    told = talk.driver.answer(price.key, answer(value))
    assert Withdrawn(name.key, "The form was declined.") in told
    assert written_in(told) == [{"id": number, "result": {"action": "decline"}}]
    assert not talk.driver.answer(name.key, answer("x"))


def test_a_form_without_fields(talk: Talk) -> None:
    """It asks whether one agrees."""
    number, told = ask_form(talk, {})
    (asked,) = asked_in(told)
    assert [each.effect for each in asked.options] == [Effect.ALLOW, Effect.DENY]
    told = talk.driver.answer(asked.key, answer(asked.options[0].value))
    assert written_in(told) == [{"id": number, "result": {"action": "accept", "content": {}}}]


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "url", "url": "https://example.com"},
        {"requestedSchema": None},
        {"properties": {"x": {"type": "object"}}},
        {"properties": {"x": 7}},
        {"properties": {f"x{n}": {"type": "string"} for n in range(9)}},
    ],
)
def test_a_form_that_nobody_can_be_shown(talk: Talk, changes: dict[str, Any]) -> None:
    """It is declined at once, and people are told."""
    number, told = ask_form(talk, **changes)
    assert asked_in(told) == []
    assert written_in(told) == [{"id": number, "result": {"action": "decline"}}]
    assert facts_of(told)[0][0] == "log:warn"


def test_a_form_in_an_interrupted_turn(talk: Talk) -> None:
    """It is answered as cancelled, and only what is open of it is withdrawn."""
    number, told = ask_form(talk, {"a": {"type": "string"}, "b": {"type": "string"}})
    first, second = asked_in(told)
    talk.driver.answer(first.key, answer("x"))
    told = talk.driver.interrupt()
    assert [each.key for each in told if isinstance(each, Withdrawn)] == [second.key]
    assert written_in(told)[1:] == [{"id": number, "result": {"action": "cancel"}}]


@pytest.mark.parametrize(
    "method", ["fs/read_text_file", "fs/write_text_file", "terminal/create", "_vendor/ask", ""]
)
def test_whatever_else_it_wants(talk: Talk, method: str) -> None:
    """It is refused at once, so the agent never waits for it."""
    number, told = talk.ask(method, path="/etc/passwd")
    (refusal,) = written_in(told)
    assert (refusal["id"], refusal["error"]["code"]) == (number, -32601)


# What is none of it


@pytest.mark.parametrize(
    "line",
    ["[warn] old node", "null", "[1, 2]", '{"a": 1}', '{"half": ', "{" * 20_000, '{"id": 1}', "7"],
)
def test_what_is_no_message(talk: Talk, line: str) -> None:
    """It is a log line, behind what was said before it."""
    talk.say("Before.")
    told = talk.line(line)
    assert [kind for kind, _ in facts_of(told)] == ["agent:output", "log:info"]
    assert line.startswith(facts_of(told)[1][1]["message"][:100])


def test_standard_error(talk: Talk) -> None:
    """It is where such agents keep their log, so it is no error."""
    ((kind, data),) = facts_of(talk.line("Loaded \x1b[1mcached\x1b[0m credentials.", "stderr"))
    assert (kind, data["message"]) == ("log:info", "Loaded cached credentials.")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_blank_lines(talk: Talk, stream: str) -> None:
    """They say nothing."""
    assert not talk.line("  ", stream)


def test_half_a_character(talk: Talk) -> None:
    """Texts that were cut in the middle of a character are read all the same."""
    line = r'{"method":"session/update","params":{"update":{"sessionUpdate":"agent_message_chunk",'
    talk.line(line + r'"content":{"type":"text","text":"a\ud83d \\ud83d \ud83d\ude00"}}}}')
    assert texts_of(talk.driver.quiet()) == ["a\ufffd \\ud83d \U0001f600"]


def test_what_is_unknown_is_counted(talk: Talk) -> None:
    """It is told once, at the end or when there is very much of it, how much that was."""
    for _ in range(2_500):
        talk.update("state_update", state="running")
        assert len(talk.driver.memory()) < 1_000
    talk.send(method="_vendor/thing", params=[1])
    talk.send(id=99, result={})
    talk.send(id="x", error={"code": 1})
    counts = [
        data["message"]
        for kind, data in facts_of([*talk.outputs, *talk.driver.ended()])
        if kind == "log:debug"
    ]
    assert [each.split()[0] for each in counts] == ["1000", "1000", "502"]


def test_kinds_that_say_nothing_of_the_work(talk: Talk) -> None:
    """They are known, and neither told nor counted, and end no text."""
    talk.say("One ")
    for kind in ("available_commands_update", "current_mode_update", "session_info_update"):
        assert not talk.update(kind)
    talk.update("usage_update", cost={"amount": 1, "currency": "USD"})
    talk.say("text")
    assert [kind for kind, _ in facts_of(talk.driver.ended())] == ["agent:output", "agent:failed"]
    assert texts_of(talk.outputs) == []


# What it remembers


def test_memory_is_bounded(talk: Talk) -> None:
    """However much an agent announces, asks, plans and holds back."""
    awkward = '"\\\n' * 1_000
    for number in range(3 * MOST_CALLS):
        content = [{"type": "content", "content": {"type": "text", "text": awkward}}]
        talk.update(
            "tool_call",
            toolCallId=f"{number}{awkward}"[:250],
            title=awkward,
            kind=awkward,
            status="in_progress",
            content=content,
        )
    talk.update("plan", entries=[{"content": f"{n}{awkward}"} for n in range(600)])
    for number in range(3 * MOST_ASKED):
        properties = {f"{field}{awkward}"[:120]: {"type": "string"} for field in range(8)}
        schema = {"type": "object", "properties": properties}
        talk.send(
            id=f"{number}{awkward}"[:100],
            method="elicitation/create",
            params={"mode": "form", "requestedSchema": schema},
        )
    for asked in asked_in(talk.outputs):
        talk.driver.answer(asked.key, answer("x" * 20_000))
    talk.say(awkward[:2_000])
    assert len(talk.driver.memory().encode()) <= MOST_MEMORY


def test_memory_is_the_same_while_nothing_changes(talk: Talk) -> None:
    """The same text is given again."""
    before = talk.driver.memory()
    talk.driver.line("stderr", "noise")
    assert talk.driver.memory() is before


def test_a_request_with_a_name_that_is_too_long(talk: Talk) -> None:
    """It cannot be remembered, so it is refused at once."""
    params = {"toolCall": {"toolCallId": "c"}, "options": []}
    told = talk.send(id="x" * 1_000, method="session/request_permission", params=params)
    assert asked_in(told) == []
    assert any(isinstance(each, Write) for each in told)
