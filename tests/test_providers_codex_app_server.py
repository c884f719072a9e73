"""Tests of the driver of ``codex app-server``, line by line."""

from __future__ import annotations

from typing import Any

import pytest
from zope.interface.verify import verifyObject

from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.outputs import (
    Asked,
    EndInput,
    Freed,
    Hindered,
    Refused,
    Spent,
    Taken,
    Trouble,
    TurnBegan,
    TurnEnded,
    Verdict,
    Withdrawn,
)
from loki_twisted.agents.providers.codex_app_server import AppServerDriver
from loki_twisted.model.inputs import Effect
from loki_twisted.model.messages import Delivery
from tests.codex_support import (
    OPENING,
    ask,
    begun,
    choose,
    facts,
    hear,
    line,
    message,
    of,
    over,
    request,
    said,
    tell,
    working,
    written,
)

COMMAND = "item/commandExecution/requestApproval"


def item(kind: str, name: str = "i1", *, done: bool = True, **members: Any) -> str:
    """An item that has begun, or is done."""
    method = "item/completed" if done else "item/started"
    return tell(method, item={"type": kind, "id": name, **members})


def values(asked: Asked) -> list[tuple[str, Effect | None]]:
    return [(each.value, each.effect) for each in asked.options]


def test_it_is_a_driver() -> None:
    """It provides the interface, and says nothing of a silence."""
    driver = AppServerDriver(request(), "")
    verifyObject(IDriver, driver)
    assert (driver.is_ready, driver.takes_now, driver.memory()) == (False, False, "")
    assert driver.quiet() == ()


def test_the_opening() -> None:
    """One request after the other, each when the one before is answered."""
    driver = AppServerDriver(request("Mend it"), "")
    [hello] = written(driver.begin())
    assert (hello["id"], hello["method"]) == (1, "initialize")
    assert hello["params"]["clientInfo"]["name"] == "loki_twisted"
    initialized, account = written(hear(driver, OPENING[0]))
    assert initialized == {"method": "initialized"}
    assert account["method"] == "account/read"
    [start] = written(hear(driver, OPENING[1]))
    assert start["params"] == {"sandbox": "workspace-write", "approvalPolicy": "on-request"}
    [turn] = written(hear(driver, OPENING[2]))
    assert turn["method"] == "turn/start"
    assert turn["params"] == {"threadId": "t", "input": [{"type": "text", "text": "Mend it"}]}


@pytest.mark.parametrize("before", [0, 2])
def test_it_cannot_begin(before: int) -> None:
    """Refused at the opening it has failed, for the reason that it gives."""
    driver = AppServerDriver(request(), "")
    driver.begin()
    hear(driver, *OPENING[:before])
    outputs = hear(driver, line(id=before + 1, error={"code": -1, "message": "no account"}))
    assert outputs == [TurnEnded(Verdict.FAILED, "no account"), EndInput()]
    assert not driver.is_ready


@pytest.mark.parametrize(
    "answer",
    [
        {"result": {"account": None, "requiresOpenaiAuth": False}},
        {"result": {"requiresOpenaiAuth": "perhaps"}},
        {"error": {"code": -32600, "message": "Invalid request: unknown variant"}},
    ],
)
def test_an_account_that_is_not_needed(answer: dict[str, Any]) -> None:
    """It goes on where none is needed, and where codex cannot say."""
    driver = AppServerDriver(request(), "")
    driver.begin()
    hear(driver, OPENING[0])
    [start] = written(hear(driver, line(id=2, **answer)))
    assert start["method"] == "thread/start"


def test_an_older_codex() -> None:
    """One that cannot leave out what was said in a thread is asked for it with all of that."""
    driver = AppServerDriver(request(conversation="t"), "")
    driver.begin()
    [resume] = written(hear(driver, *OPENING[:2]))[-1:]
    assert resume["params"]["excludeTurns"] is True
    [again] = written(hear(driver, line(id=3, error={"code": -32600, "message": "what?"})))
    assert (again["id"], again["method"]) == (4, "thread/resume")
    assert "excludeTurns" not in again["params"]
    [turn] = written(hear(driver, line(id=4, result={"thread": {"id": "t"}})))
    assert turn["method"] == "turn/start"


def test_a_first_turn_that_does_not_begin() -> None:
    """It has failed, and its input ends."""
    driver = AppServerDriver(request(), "")
    driver.begin()
    hear(driver, *OPENING)
    outputs = hear(driver, line(id=4, error={"code": -32001, "message": "overloaded"}))
    assert outputs == [TurnEnded(Verdict.FAILED, "overloaded"), EndInput()]


@pytest.mark.parametrize("answer_first", [False, True])
def test_a_turn_begins_once(answer_first: bool) -> None:
    """Whether the answer comes first or the notification."""
    driver = AppServerDriver(request(), "")
    driver.begin()
    hear(driver, *OPENING)
    lines = [line(id=4, result={"turn": {"id": "u1"}}), begun()]
    outputs = hear(driver, *(lines if answer_first else reversed(lines)))
    assert of(TurnBegan, outputs) == [TurnBegan()]
    assert driver.takes_now
    assert hear(driver, over()) == [TurnEnded(Verdict.DONE), EndInput()]


def test_a_turn_that_is_over_before_its_answer() -> None:
    """The input ends when the answer is there, and no turn begins anew by it."""
    driver = AppServerDriver(request(), "")
    driver.begin()
    hear(driver, *OPENING)
    assert hear(driver, begun(), over()) == [TurnBegan(), TurnEnded(Verdict.DONE)]
    assert hear(driver, line(id=4, result={"turn": {"id": "u1"}})) == [EndInput()]


def test_a_turn_that_ends_twice() -> None:
    """It is told once."""
    driver = working(stays_open=True)
    assert len(hear(driver, over(), over())) == 1


def test_an_end_of_unknown_status() -> None:
    """What is not known to be done is not done."""
    outputs = hear(working(), over("exploded"))
    assert outputs[0] == TurnEnded(Verdict.FAILED, "It has failed.")


def test_what_it_is_told_after_its_end() -> None:
    """A message that comes when the input was to end is a turn all the same."""
    driver = working()
    hear(driver, over())
    assert driver.is_ready
    [turn] = written(driver.say(message("more")))
    assert turn["method"] == "turn/start"
    assert of(Taken, hear(driver, line(id=turn["id"], result={"turn": {"id": "u2"}})))
    assert hear(driver, over(turn="u2")) == [TurnEnded(Verdict.DONE), EndInput()]


def test_a_message_that_is_refused() -> None:
    """The one that sent it is told why, and the run ends as it would have."""
    driver = working()
    hear(driver, over())
    driver.say(message("more"))
    outputs = hear(driver, line(id=5, error={"code": -32600, "message": "too long"}))
    assert outputs == [Refused("m1", "too long"), EndInput()]


def test_a_message_for_the_next_turn() -> None:
    """Given while a turn is on it waits for the end of that."""
    driver = working()
    assert driver.say(message("more", Delivery.NEXT)) == ()
    ended, turn = hear(driver, over())
    assert ended == TurnEnded(Verdict.DONE)
    assert written([turn])[0]["params"]["input"][0]["text"] == "more"


def test_a_message_too_long_to_be_kept() -> None:
    """What was said into a turn that did not take it, and cannot be said again, is refused."""
    driver = working()
    driver.say(message("x" * 100_000))
    assert len(driver.memory()) < 2000
    outputs = hear(driver, line(id=5, error={"code": -32600, "message": "no active turn"}))
    assert outputs == [Refused("m1", "no active turn")]


def test_the_input_stays_open_while_something_is_on_its_way() -> None:
    """A message that was said just before the end is not cut off."""
    driver = working()
    driver.say(message("more"))
    assert hear(driver, over()) == [TurnEnded(Verdict.DONE)]
    [turn] = written(hear(driver, line(id=5, error={"code": -1, "message": "no active turn"})))
    assert turn["params"]["input"][0]["text"] == "more"


def test_an_interruption() -> None:
    """Nothing to interrupt is nothing to say; else it stays after the turn."""
    driver = AppServerDriver(request(), "")
    driver.begin()
    assert list(driver.interrupt()) == []
    driver = working()
    [asked] = written(driver.interrupt())
    assert asked["params"] == {"threadId": "t", "turnId": "u1"}
    hear(driver, line(id=asked["id"], result={}))
    reason = "It was interrupted."
    assert hear(driver, over("interrupted")) == [TurnEnded(Verdict.INTERRUPTED, reason)]
    assert driver.is_ready


def test_decisions_that_are_offered() -> None:
    """They are the options, with what they mean, and go back as they came."""
    rule = {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": ["make"]}}
    hosts = [
        {"applyNetworkPolicyAmendment": {"network_policy_amendment": {"host": "a", "action": each}}}
        for each in ("allow", "deny")
    ]
    driver = working()
    offered = ["accept", rule, *hosts, "ponder", "cancel", 7, {}]
    [asked] = hear(driver, ask(COMMAND, command="make", availableDecisions=offered))
    assert values(asked) == [
        ("accept", Effect.ALLOW),
        ("acceptWithExecpolicyAmendment", Effect.ALLOW),
        ("applyNetworkPolicyAmendment", Effect.ALLOW),
        ("applyNetworkPolicyAmendment-3", Effect.DENY),
        ("ponder", None),
        ("decline", Effect.DENY),
        ("cancel", Effect.DENY),
    ]
    [answer] = written(driver.answer(asked.key, choose("applyNetworkPolicyAmendment-3")))
    assert answer == {"id": 70, "result": {"decision": hosts[1]}}


@pytest.mark.parametrize("offered", [["accept"], [{"x": 1}], ["decline"], [7]])
def test_one_can_always_deny(offered: list[Any]) -> None:
    """A denial with which codex goes on is among the choices, whatever it offers."""
    [asked] = hear(working(), ask(COMMAND, command="make", availableDecisions=offered))
    assert [name for name, _ in values(asked)].count("decline") == 1


def test_decisions_that_are_proposed() -> None:
    """Where no decisions are offered, what codex proposes is offered beside the usual ones."""
    driver = working()
    hosts = [{"host": "a", "action": "allow"}]
    params = {"proposedExecpolicyAmendment": ["make"], "proposedNetworkPolicyAmendments": hosts}
    [asked] = hear(driver, ask(COMMAND, command="make", **params))
    assert [name for name, _ in values(asked)] == [
        "accept",
        "acceptForSession",
        "acceptWithExecpolicyAmendment",
        "applyNetworkPolicyAmendment",
        "decline",
        "cancel",
    ]


def test_access_to_a_host() -> None:
    """A request without a command names the host."""
    place = {"host": "example.com", "protocol": "https"}
    [asked] = hear(working(), ask(COMMAND, networkApprovalContext=place))
    assert asked.prompt == "Reach example.com (https)"


def test_requests_of_the_same_name() -> None:
    """A number and the text of it are two requests."""
    driver = working()
    first, second = hear(driver, ask(COMMAND, 70), ask(COMMAND, "70"))
    assert written(driver.answer(second.key, choose("accept")))[0]["id"] == "70"
    assert written(driver.answer(first.key, choose("accept")))[0]["id"] == 70
    assert driver.answer(first.key, choose("accept")) == ()


def test_no_answer_that_it_knows() -> None:
    """What is none of the choices denies."""
    for answer in (choose("perhaps"), choose()):
        driver = working()
        [asked] = hear(driver, ask(COMMAND))
        assert written(driver.answer(asked.key, answer))[0]["result"] == {"decision": "decline"}


def test_what_is_open_at_the_end_of_a_turn() -> None:
    """It is withdrawn with it, and an answer that comes too late is passed over."""
    driver = working()
    [asked] = hear(driver, ask(COMMAND))
    withdrawn, ended, _ = hear(driver, over("interrupted"))
    assert isinstance(withdrawn, Withdrawn)
    assert withdrawn.key == asked.key
    assert isinstance(ended, TurnEnded)
    assert driver.answer(asked.key, choose("accept")) == ()


def test_some_of_several_questions() -> None:
    """Those that were answered are not withdrawn again."""
    driver = working()
    questions = [{"id": each, "header": each, "question": each} for each in "abc"]
    asked = hear(driver, ask("item/tool/requestUserInput", questions=questions))
    assert driver.answer(asked[1].key, choose("x")) == ()
    assert driver.answer(asked[1].key, choose("y")) == ()
    gone = hear(driver, line(method="serverRequest/resolved", params={"requestId": 70}))
    assert [each.key for each in gone] == [asked[0].key, asked[2].key]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("item/tool/call", {"tool": "x"}),
        ("account/chatgptAuthTokens/refresh", {"reason": "unauthorized"}),
        ("execCommandApproval", {"command": ["ls"]}),
        ("item/tool/requestUserInput", {"questions": []}),
        ("item/tool/requestUserInput", {"questions": [{"id": str(n)} for n in range(21)]}),
        ("mcpServer/elicitation/request", {"mode": "openai/form"}),
        (COMMAND, {"availableDecisions": [{"x": "y" * 100_000}]}),
    ],
)
def test_what_nobody_can_answer(method: str, params: dict[str, Any]) -> None:
    """It is answered by an error at once."""
    [answer] = written(hear(working(), ask(method, **params)))
    assert answer["id"] == 70
    assert answer["error"]["code"] == -32601


@pytest.mark.parametrize(
    ("params", "choice", "result"),
    [
        ({"mode": "url", "url": "http://a/"}, "accept", {"action": "accept", "content": {}}),
        ({"mode": "form"}, "decline", {"action": "decline", "content": None}),
        (
            {"mode": "form", "_meta": {"persist": ["session", "always"]}},
            "accept-always",
            {"action": "accept", "content": {}, "_meta": {"persist": "always"}},
        ),
    ],
)
def test_what_an_mcp_server_wants_a_yes_for(
    params: dict[str, Any], choice: str, result: dict[str, Any]
) -> None:
    """It is a permission, for as long as codex offers to keep it."""
    driver = working()
    whole = {"serverName": "web", "message": "Go there?", "requestedSchema": {}, **params}
    [asked] = hear(driver, ask("mcpServer/elicitation/request", **whole))
    assert asked.prompt == "web: Go there?"
    assert written(driver.answer(asked.key, choose(choice)))[0]["result"] == result


def test_choices_of_a_form() -> None:
    """Lists of choices of either form are read, several may be chosen where it says so."""
    driver = working()
    schema = {
        "properties": {
            "one": {"oneOf": [{"const": "a", "title": "A"}, {"const": "b", "title": "B"}]},
            "some": {"type": "array", "items": {"enum": ["x", "y"]}},
            "named": {"enum": ["p"], "enumNames": ["P"], "description": "Which?"},
            "much": {"type": "number"},
        }
    }
    whole = {"serverName": "web", "mode": "form", "message": "Say", "requestedSchema": schema}
    asked = hear(driver, ask("mcpServer/elicitation/request", **whole))
    labels = [[each.label for each in one.options] for one in asked]
    assert labels == [["A", "B", "Decline"], ["x", "y", "Decline"], ["P", "Decline"], ["Decline"]]
    assert [each.multiple for each in asked] == [False, True, False, False]
    assert asked[2].prompt == "web: Say\nnamed: Which?"
    answers = [choose("b"), choose("x", "y"), choose("p"), choose("2.5")]
    outputs = [
        output
        for one, answer in zip(asked, answers, strict=True)
        for output in driver.answer(one.key, answer)
    ]
    content = {"one": "b", "some": ["x", "y"], "named": "p", "much": 2.5}
    assert written(outputs)[0]["result"] == {"action": "accept", "content": content}


def test_a_limit_that_is_reached() -> None:
    """It is hindered until the time that codex gives, or until it is at work again."""
    driver = working()
    window = {"usedPercent": 100, "resetsAt": 1_800_000_000}
    limits = {"primary": window, "rateLimitReachedType": "rate_limit_reached"}
    [told] = hear(driver, line(method="account/rateLimits/updated", params={"rateLimits": limits}))
    assert (told.trouble, told.until_ms) == (Trouble.RATE_LIMITED, 1_800_000_000_000)
    assert hear(driver, tell("item/agentMessage/delta")) == [Freed()]


def test_limits_that_are_far() -> None:
    """What an account has left is nothing to tell, and a turn that fails then has failed."""
    driver = working()
    limits = {"primary": {"usedPercent": 30, "resetsAt": 1_800_000_000}}
    assert (
        hear(driver, line(method="account/rateLimits/updated", params={"rateLimits": limits})) == []
    )
    error = {"message": "Enough", "codexErrorInfo": "usageLimitExceeded"}
    assert hear(driver, over("failed", error=error)) == [
        TurnEnded(Verdict.FAILED, "Enough"),
        EndInput(),
    ]


def remade(driver: AppServerDriver) -> AppServerDriver:
    """The driver that the next server makes."""
    return AppServerDriver(request(), driver.memory())


def limited(driver: AppServerDriver, turn: str, until: int) -> list[Any]:
    """Let a turn end at a limit."""
    error = {"message": "Enough", "codexErrorInfo": "usageLimitExceeded"}
    tell_limit(driver, until)
    return hear(driver, over("failed", turn, error))


def tell_limit(driver: AppServerDriver, until: int) -> None:
    """Tell that the account may do no more until a time."""
    limits = {"primary": {"usedPercent": 100, "resetsAt": until}}
    hear(driver, line(method="account/rateLimits/updated", params={"rateLimits": limits}))


def test_it_does_not_wait_twice_for_the_same_time() -> None:
    """A limit that is there when its time has come is a failure, a later one is waited for."""
    driver = working()
    tell_limit(driver, 100)
    driver = remade(driver)
    error = {"message": "Enough", "codexErrorInfo": "usageLimitExceeded"}
    assert of(Hindered, hear(driver, over("failed", "u1", error))) == [
        Hindered(Trouble.RATE_LIMITED, "Enough", 100_000)
    ]
    assert not driver.is_ready
    for turn, until in (("u2", 200), ("u3", 200)):
        driver = remade(driver)
        [asked] = written(driver.wake())
        hear(driver, line(id=asked["id"], result={"turn": {"id": turn}}))
        outputs = limited(driver, turn, until)
    assert outputs == [TurnEnded(Verdict.FAILED, "Enough"), EndInput()]


def test_an_interruption_at_a_limit() -> None:
    """It waits no longer for the time, but for a message."""
    driver = working()
    limited(driver, "u1", 100)
    assert driver.interrupt() == [Freed()]
    assert driver.is_ready
    assert list(driver.wake()) == []


def test_a_time_that_is_none() -> None:
    """A limit that begins anew in some ten thousand years is one without a known end."""
    outputs = limited(working(), "u1", 10**13)
    assert outputs == [TurnEnded(Verdict.FAILED, "Enough"), EndInput()]


def test_totals() -> None:
    """What codex counts as input holds what came from the cache; totals of nothing are none."""
    driver = working()
    total = {
        "inputTokens": 10,
        "cachedInputTokens": 7,
        "outputTokens": 5,
        "reasoningOutputTokens": 2,
    }
    usage = "thread/tokenUsage/updated"
    [spent] = hear(driver, tell(usage, tokenUsage={"total": total}), tell(usage, tokenUsage={}))
    assert isinstance(spent, Spent)
    assert (spent.counter, spent.model, spent.amount.tokens) == ("t", "gpt", 15)
    assert spent.amount.input_tokens == 3


def test_tools() -> None:
    """Calls and results are told with their tools; what had no beginning has both at once."""
    driver = working()
    call = {"server": "web", "tool": "get", "arguments": {"url": "u", "deep": True}}
    result = {"content": [{"type": "text", "text": "page"}]}
    outputs = hear(
        driver,
        item("mcpToolCall", done=False, **call),
        item("mcpToolCall", **call, result=result, status="completed"),
        item("dynamicToolCall", "i2", tool="dig", arguments={}, success=False),
        item("webSearch", "i3", done=False, query=""),
        item("webSearch", "i3", query="twisted"),
        item("imageGeneration", "i4", result="iVBOR" * 1000, savedPath="/p/a.png"),
        item("commandExecution", "i5", command="false", status="failed", exitCode=1),
    )
    told = [(each.data["kind"], each.data["callId"]) for each in facts(outputs)]
    assert told == [
        ("tool_call", "i1"),
        ("tool_result", "i1"),
        ("tool_call", "i2"),
        ("tool_result", "i2"),
        ("tool_call", "i3"),
        ("tool_call", "i4"),
        ("tool_call", "i5"),
        ("tool_result", "i5"),
    ]
    data = [each.data for each in facts(outputs)]
    assert (data[0]["tool"], data[0]["input"]) == ("web.get", {"url": "u", "deep": True})
    assert [data[each]["isError"] for each in (1, 3, 7)] == [False, True, True]
    assert data[1]["output"] == "page"
    assert data[4]["output"] == "twisted"
    assert "iVBOR" not in str(data)
    assert data[7]["output"] == "failed (exit code 1)"


def test_words() -> None:
    """Messages, thoughts, reviews and plans are told as what they are, if they say anything."""
    outputs = hear(
        working(),
        item("userMessage", content=[]),
        item("agentMessage", text=""),
        item("agentMessage", text="Hello", done=False),
        item("agentMessage", text="Hello"),
        item("reasoning", summary=[], content=["deep"]),
        item("reasoning", summary=["one", "two"], content=["deep"]),
        item("plan", text="A plan"),
        item("exitedReviewMode", review="Fine"),
        item("contextCompaction"),
    )
    told = [each.data.get("output", each.data.get("message")) for each in facts(outputs)]
    assert told[:5] == ["Hello", "deep", "one\n\ntwo", "A plan", "Fine"]
    assert [each.type for each in facts(outputs)][5:] == ["log:info"]


def test_warnings() -> None:
    """What codex warns of is told; an MCP server that starts is no news."""
    driver = working()
    status = "mcpServer/startupStatus/updated"
    outputs = hear(
        driver,
        line(method="warning", params={"message": "Careful"}),
        line(method="configWarning", params={"summary": "Odd setting"}),
        tell(status, name="web", status="ready"),
        tell(status, name="web", status="failed", error="no such file"),
    )
    assert [each.data["message"] for each in facts(outputs, "log:warn")] == [
        "Careful",
        "Odd setting",
        "The MCP server web did not start: no such file",
    ]


def test_sub_agents_that_end_otherwise() -> None:
    """Failed, at work again, left at the end: each is told as that."""
    driver = working()

    def states(**statuses: str) -> str:
        told = {name: {"status": status} for name, status in statuses.items()}
        return item("collabAgentToolCall", tool="wait", status="completed", agentsStates=told)

    outputs = hear(
        driver,
        states(a="running", b="pendingInit", t="running"),
        states(a="errored", b="running"),
        states(a="running", b="notFound"),
        over("failed"),
    )
    outputs += driver.ended()
    told = [
        (each.type, each.data["agentId"])
        for each in facts(outputs, "agent:")
        if each.type != "agent:output"
    ]
    assert told == [
        ("agent:spawned", "a"),
        ("agent:spawned", "b"),
        ("agent:failed", "a"),
        ("agent:spawned", "a"),
        ("agent:failed", "a"),
        ("agent:failed", "b"),
        ("agent:failed", "main"),
    ]


def test_what_is_not_known_is_counted() -> None:
    """It is told at each thousand, with what it was."""
    driver = working()
    outputs = hear(driver, *[tell(f"new/thing{number % 40}") for number in range(1000)])
    [told] = facts(outputs)
    assert told.type == "log:debug"
    assert sum(told.data["context"].values()) == 1000
    assert len(told.data["context"]) <= 33
    assert facts(driver.ended(), "log:debug") == []


def test_what_other_threads_say() -> None:
    """The plan and the turns of a sub-agent are not those of codex itself."""
    driver = working()
    steps = [{"step": "x", "status": "pending"}]
    outputs = hear(
        driver,
        tell("turn/plan/updated", threadId="other", plan=steps),
        line(method="turn/started", params={"threadId": "other", "turn": {"id": "o1"}}),
        line(
            method="turn/completed",
            params={"threadId": "other", "turn": {"id": "o1", "status": "failed"}},
        ),
    )
    assert [each.type for each in facts(outputs)] == ["agent:spawned", "agent:failed"]
    assert driver.takes_now


def test_memory_stays_the_same() -> None:
    """Lines that change nothing leave the very same text."""
    driver = working()
    before = driver.memory()
    hear(driver, tell("item/agentMessage/delta", delta="x"), tell("turn/diff/updated", diff="y"))
    assert driver.memory() is before
    assert said(hear(driver, item("agentMessage", text="z"))) == ["z"]
    assert driver.memory() == before
