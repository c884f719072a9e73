"""Claude Code's driver beside the stand-in, which does what the program is known to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

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
)
from loki_twisted.model.inputs import Answer, InputKind
from loki_twisted.model.messages import Delivery
from loki_twisted.model.spending import NOTHING, Spending, booked, plus
from tests.claude_support import Play, answer, facts, message, of_type, words

DONE = TurnEnded(Verdict.DONE)
RULE = {
    "type": "addRules",
    "rules": [{"toolName": "Bash", "ruleContent": "rm -r build"}],
    "behavior": "allow",
    "destination": "session",
}


def play(directory: Path, prompt: str, *arguments: Any, **changes: Any) -> Play:
    return Play(directory, prompt, *arguments, **changes).run()


def kinds(outputs: list[Output]) -> list[str]:
    return [each.type for each in facts(outputs)]


def test_a_run(tmp_path: Path) -> None:
    """Words, thoughts and uses of tools are told, the turn ends, then the input and the agent."""
    run = play(tmp_path, "plain please")
    told = [each.data for each in facts(run.outputs, "agent:output")]
    assert [each["kind"] for each in told] == [
        "thinking",
        "text",
        "tool_call",
        "tool_result",
        "text",
    ]
    assert told[1]["output"] == "You say: plain please"
    assert told[2]["input"] == {"command": "ls"}
    assert told[3] | {"output": ""} == told[3] | {"output": "", "tool": "Bash", "isError": False}
    assert kinds(run.outputs)[0] == "agent:spawned"
    assert kinds(run.outputs)[-1] == "agent:completed"
    assert of_type(run.outputs, TurnBegan, TurnEnded, EndInput) == [TurnBegan(), DONE, EndInput()]
    assert run.code == 0


def test_the_conversation_comes_first(tmp_path: Path) -> None:
    """Its name is told before anything of it, and continues it in another run."""
    first = play(tmp_path, "plain please")
    (conversation,) = of_type(first.outputs, Conversation)
    assert not facts(first.outputs[: first.outputs.index(conversation)])
    second = play(tmp_path, "plain again", conversation=conversation.id)
    assert of_type(second.outputs, Conversation) == [conversation]
    assert of_type(second.outputs, TurnEnded) == [DONE]


def test_a_conversation_that_is_not_there(tmp_path: Path) -> None:
    """Its own words say why it failed."""
    run = play(tmp_path, "plain please", conversation="c-0")
    (ended,) = of_type(run.outputs, TurnEnded)
    assert ended.verdict is Verdict.FAILED
    assert ended.reason == "No conversation found with session ID: c-0"
    assert run.code == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (answer("allow"), ['used with {"command": "rm -r build"}', "Rules: []"]),
        (
            answer("allow_session"),
            [
                'used with {"command": "rm -r build"}',
                f"Rules: {json.dumps([RULE])}",
            ],
        ),
        (answer("deny", words="Not now"), ["Not now", "Was not allowed: Bash"]),
        (answer("deny"), ["The user does not want that.", "Was not allowed: Bash"]),
    ],
)
def test_a_permission(tmp_path: Path, given: Answer, said: list[str]) -> None:
    """It is asked for with what it is about; the answer is what the agent goes on with."""
    run = play(tmp_path, "permission please", lambda _: given)
    (asked,) = of_type(run.outputs, Asked)
    assert asked.kind is InputKind.PERMISSION
    assert asked.prompt == "May it use Bash? rm -r build"
    assert asked.details == {"tool": "Bash", "arguments": {"command": "rm -r build"}}
    assert [each.value for each in asked.options] == ["allow", "allow_session", "deny"]
    assert asked.options[1].label == "Allow for this session: Bash(rm -r build)"
    assert [each for each in words(run.outputs) if each in said] == said
    assert of_type(run.outputs, TurnEnded) == [DONE]


def test_two_permissions_at_once(tmp_path: Path) -> None:
    """Each answer reaches its own request, in whatever order they are given."""
    waiting: list[Asked] = []

    def then(output: Output) -> list[tuple[Any, ...]]:
        if isinstance(output, Asked):
            waiting.append(output)
        if len(waiting) < 2:
            return []
        first, second = waiting
        waiting.clear()
        return [("answer", second.key, answer("deny")), ("answer", first.key, answer("allow"))]

    run = play(tmp_path, "two please", lambda _: None, then)
    assert "Answers: allow deny" in words(run.outputs)


def test_a_permission_that_is_withdrawn(tmp_path: Path) -> None:
    """People are told, and the turn goes on."""
    run = play(tmp_path, "withdrawn please")
    (asked,) = of_type(run.outputs, Asked)
    assert [each.key for each in of_type(run.outputs, Withdrawn)] == [asked.key]
    assert of_type(run.outputs, TurnEnded) == [DONE]


def test_questions(tmp_path: Path) -> None:
    """Each is asked for itself; the answers go together, by the words of the questions."""
    given = {"Which colour?": answer("Green"), "Which parts?": answer("Door", "Roof")}
    run = play(tmp_path, "questions please", lambda asked: given[asked.prompt])
    first, second = of_type(run.outputs, Asked)
    assert (first.kind, first.multiple, second.multiple) == (InputKind.QUESTION, False, True)
    assert [each.value for each in first.options] == ["Red", "Blue"]
    assert first.options[0].description == "Like a rose"
    assert first.details["header"] == "Colour"
    expected = {"Which colour?": "Green", "Which parts?": "Door, Roof"}
    assert json.dumps(expected) in words(run.outputs)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (answer("allow"), 'used with {"plan": "1. Read\\n2. Write"}'),
        (answer("Write first"), "Write first"),
    ],
)
def test_a_plan(tmp_path: Path, given: Answer, said: str) -> None:
    """It can be approved; a text instead is what is to be changed in it."""
    run = play(tmp_path, "plan please", lambda _: given)
    (asked,) = of_type(run.outputs, Asked)
    assert asked.kind is InputKind.PLAN
    assert asked.details == {"plan": "1. Read\n2. Write"}
    assert said in words(run.outputs)


def test_a_dry_run(tmp_path: Path) -> None:
    """Nobody is asked: it may plan, and nothing else."""
    run = play(tmp_path, "plan please", dry_run=True)
    assert of_type(run.outputs, Asked) == []
    assert any(each.startswith("This is a dry run") for each in words(run.outputs))
    assert of_type(run.outputs, TurnEnded) == [DONE]


def test_a_list_of_things_to_do(tmp_path: Path) -> None:
    """What changes in it is told as tasks."""
    run = play(tmp_path, "todo please")
    told = [(each.type, each.data["title"]) for each in facts(run.outputs, "task:")]
    assert told == [
        ("task:created", "Read"),
        ("task:started", "Read"),
        ("task:created", "Write"),
        ("task:completed", "Read"),
        ("task:started", "Write"),
        ("task:completed", "Write"),
    ]


def test_tasks_one_by_one(tmp_path: Path) -> None:
    """The newer tools name an entry by the number that it is given."""
    run = play(tmp_path, "tasks please")
    told = [(each.type, *each.data.values()) for each in facts(run.outputs, "task:")]
    assert told == [
        ("task:created", "task-1", "Read", "pending"),
        ("task:created", "task-2", "Write", "pending"),
        ("task:started", "task-1", "Read", "running"),
        ("task:completed", "task-1", "Read", "completed"),
        ("task:completed", "task-2", "Write", "skipped"),
    ]


def test_a_sub_agent(tmp_path: Path) -> None:
    """It is spawned by its parent, says things in its own name, and is done with its result."""
    run = play(tmp_path, "helper please")
    told = [each for each in facts(run.outputs, "agent:") if each.data["agentId"] == "toolu_sub"]
    assert [each.type for each in told] == [
        "agent:spawned",
        *["agent:output"] * 3,
        "agent:completed",
    ]
    assert told[0].data == {
        "agentId": "toolu_sub",
        "type": "Explore",
        "task": "Look",
        "parentId": "main",
    }
    assert told[1].data["output"] == "I look."
    assert told[-1].data["output"] == "Nothing there."


def test_work_in_the_background(tmp_path: Path) -> None:
    """The input stays open until it has ended and the turn that it wakes is over."""
    run = play(tmp_path, "background please")
    assert of_type(run.outputs, TurnBegan, TurnEnded, EndInput) == [
        TurnBegan(),
        DONE,
        TurnBegan(),
        DONE,
        EndInput(),
    ]
    told = [each for each in facts(run.outputs, "agent:") if each.data["agentId"] == "toolu_bg"]
    assert [each.type for each in told] == ["agent:spawned", "agent:completed"]
    assert told[-1].data["output"] == "Look has ended"


def test_a_result_without_an_exit(tmp_path: Path) -> None:
    """The turn is done and the input has ended, so whoever waits for the exit may end it."""

    def then(output: Output) -> list[tuple[Any, ...]]:
        if isinstance(output, EndInput):
            run.kill()
        return []

    run = Play(tmp_path, "lingers please", then=then)
    run.run()
    assert of_type(run.outputs, TurnEnded, EndInput) == [DONE, EndInput()]
    assert run.code == -9


def test_an_exit_without_a_result(tmp_path: Path) -> None:
    """There is no word of the end of the turn, and the agent has failed."""
    run = play(tmp_path, "vanishes please")
    assert of_type(run.outputs, TurnBegan, TurnEnded) == [TurnBegan()]
    assert kinds(run.outputs)[-1] == "agent:failed"
    assert run.desk.driver.says_done


@pytest.mark.parametrize(
    ("scenario", "reason"),
    [
        ("error", "API Error: 500 Internal server error (server_error)"),
        ("turns", "It reached its limit of turns."),
        ("login", "Not logged in · Please run /login (authentication_failed)"),
    ],
)
def test_failures(tmp_path: Path, scenario: str, reason: str) -> None:
    """An error is one whatever it is called, and its reason is told."""
    run = play(tmp_path, f"{scenario} please")
    assert of_type(run.outputs, TurnEnded) == [TurnEnded(Verdict.FAILED, reason)]
    assert reason in words(facts(run.outputs, "log:error"))
    assert run.code == 1


def test_noise(tmp_path: Path) -> None:
    """What is no line of the protocol is a log line, what is not known is counted."""
    run = play(tmp_path, "noise please")
    said = words(run.outputs)
    assert "[sandbox] debug line that is no JSON" in said
    assert "{half of an object" in said
    assert '["a", "list"]' in said
    assert "half a character: \ufffd" in said
    assert "Between the noise." in said
    assert "a warning" in words(facts(run.outputs, "log:error"))
    assert words(facts(run.outputs, "log:debug"))[-1] == (
        "2 lines are of kinds that are not known here: ?, from_the_future"
    )


def test_a_line_of_7_mb(tmp_path: Path) -> None:
    """It is read; what is told of it is bounded, and says how long it was."""
    run = play(tmp_path, "huge please")
    told = next(
        each.data
        for each in facts(run.outputs, "agent:output")
        if each.data["kind"] == "tool_result"
    )
    assert told["output"].endswith("[cut, 7340032 bytes in all]")
    assert len(told["output"]) < 65_536
    assert of_type(run.outputs, TurnEnded) == [DONE]


def totals(*runs: Play) -> Spending:
    """What a book of counters comes to that goes on from run to run."""
    counters: dict[str, Spending] = {}
    total = NOTHING
    for spent in (each for run in runs for each in of_type(run.outputs, Spent)):
        amount = spent.amount
        if spent.counter is not None:
            amount = booked(counters.get(spent.counter, NOTHING), amount)
            counters[spent.counter] = spent.amount
        total = plus(total, amount)
    return total


def test_totals_over_turns_and_runs(tmp_path: Path) -> None:
    """What is booked is what the last total says, however many turns and runs lead to it."""
    first = _run_with_message(tmp_path, "plain please", "Hm.", message("plain again"))
    (conversation,) = of_type(first.outputs, Conversation)
    second = play(tmp_path, "plain once more", conversation=conversation.id)
    total = totals(first, second)
    assert total.input_tokens == 3 * 107
    assert total.output_tokens == 3 * 51
    assert total.cache_read_tokens == 3 * 900
    assert total.cost == pytest.approx(3 * 0.011)
    assert total.api_calls == 3 * 3


def _run_with_message(directory: Path, prompt: str, sign: str, said: Any) -> Play:
    """Say something when the agent first says something."""

    def then(output: Output) -> list[tuple[Any, ...]]:
        if signs and signs[0] in words([output]):
            signs.clear()
            return [("say", said)]
        return []

    signs = [sign]
    return Play(directory, prompt, then=then).run()


def test_a_message_that_waits(tmp_path: Path) -> None:
    """The input stays open for it; it has a turn of its own, with which it is confirmed."""
    run = _run_with_message(tmp_path, "plain please", "Hm.", message("plain again"))
    assert of_type(run.outputs, TurnBegan, Taken, TurnEnded, EndInput) == [
        TurnBegan(),
        DONE,
        TurnBegan(),
        Taken("message_1"),
        DONE,
        EndInput(),
    ]


def test_a_message_into_a_turn(tmp_path: Path) -> None:
    """It is taken between two steps, without breaking off what goes on."""
    said = message("hurry", delivery=Delivery.NOW)
    run = _run_with_message(tmp_path, "steer please", "I work, and listen.", said)
    assert of_type(run.outputs, TurnBegan, Taken, TurnEnded, EndInput) == [
        TurnBegan(),
        Taken("message_1"),
        DONE,
        EndInput(),
    ]
    assert "I was told: hurry (next)" in words(run.outputs)


def test_an_interruption(tmp_path: Path) -> None:
    """The turn is broken off, and the agent stays for what it is told then."""

    def then(output: Output) -> list[tuple[Any, ...]]:
        if "I work." in words([output]):
            return [("interrupt",)]
        if isinstance(output, TurnEnded) and output.verdict is Verdict.INTERRUPTED:
            return [("quiet",), ("say", message("plain then"))]
        return []

    run = Play(tmp_path, "work please", then=then).run()
    assert of_type(run.outputs, TurnBegan, TurnEnded, EndInput) == [
        TurnBegan(),
        TurnEnded(Verdict.INTERRUPTED, "It was interrupted."),
        TurnBegan(),
        DONE,
        EndInput(),
    ]
    assert run.code == 0


def test_a_limit_with_an_end(tmp_path: Path) -> None:
    """When that has come, it is told to go on, and does."""
    run = play(tmp_path, "limit please")
    hindered = of_type(run.outputs, Hindered)
    assert {each.trouble for each in hindered} == {Trouble.RATE_LIMITED}
    assert hindered[0].words == "Its provider's limit (five hour) is used up."
    assert hindered[0].until_ms % 1000 == 0
    assert [type(each) for each in of_type(run.outputs, TurnEnded, Freed, EndInput)] == [
        TurnEnded,
        Freed,
        TurnEnded,
        EndInput,
    ]
    assert of_type(run.outputs, TurnEnded)[1] == DONE
    assert run.code == 0


def test_it_tries_again(tmp_path: Path) -> None:
    """That is what holds it up, until there is an answer."""
    run = play(tmp_path, "retry please")
    assert of_type(run.outputs, Hindered, Freed, TurnEnded) == [
        Hindered(Trouble.RETRYING, "overloaded (529): attempt 1 of 10, again in 0 s."),
        Freed(),
        DONE,
    ]


def test_a_slow_start(tmp_path: Path) -> None:
    """A second of silence before the first line is no end of anything."""
    run = Play(tmp_path, "slow please")
    assert run.desk.step("quiet") == []
    run.run()
    assert of_type(run.outputs, TurnEnded) == [DONE]


def test_a_form(tmp_path: Path) -> None:
    """What an MCP server wants to know is asked value by value, and sent as it wants it."""
    given = {"(Your name)": "Ada", "(age)": "36", "(agreed)": "yes"}
    run = play(
        tmp_path,
        "form please",
        lambda asked: answer(given[asked.prompt.removeprefix("Who are you? ")]),
    )
    expected = {"action": "accept", "content": {"name": "Ada", "age": 36, "agreed": True}}
    assert json.dumps(expected) in words(run.outputs)


def test_what_cannot_be_served(tmp_path: Path) -> None:
    """It gets an answer at once, so the agent never waits for one that does not come."""
    run = play(tmp_path, "odd please")
    assert "success error error error" in words(run.outputs)
    assert of_type(run.outputs, TurnEnded) == [DONE]


def test_nothing_of_the_account_is_told(tmp_path: Path) -> None:
    """The answer to our first request names who is logged in."""
    run = play(tmp_path, "plain please")
    assert "secret@example.org" not in repr(run.outputs)
