"""Whole runs of ``codex app-server``: its driver, and a stand-in at the other end of pipes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loki_twisted.agents.outputs import (
    Asked,
    Conversation,
    EndInput,
    Freed,
    Hindered,
    Output,
    Refused,
    Spent,
    Taken,
    Trouble,
    TurnBegan,
    TurnEnded,
    Verdict,
    Withdrawn,
)
from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import InputKind
from loki_twisted.model.messages import Delivery
from loki_twisted.model.spending import Spending
from tests.codex_support import Play, app_server, choose, facts, message, of, said
from tests.standins.codex import HUGE, THREAD

DONE = [TurnEnded(Verdict.DONE)]


@pytest.mark.parametrize("remade", [False, True])
def test_a_plain_run(remade: bool) -> None:
    """All is told in order, spent and ended, also by drivers that are made anew at each line."""
    play = app_server("plain work")
    assert play.run(remade=remade) == 0
    assert of(Conversation, play.outputs) == [Conversation(THREAD)]
    told = [(each.type, each.data.get("kind")) for each in facts(play.outputs)]
    assert told == [
        ("agent:spawned", None),
        ("agent:output", "thinking"),
        ("agent:output", "tool_call"),
        ("agent:output", "tool_result"),
        ("agent:output", "tool_call"),
        ("agent:output", "tool_result"),
        ("agent:output", "text"),
        ("agent:completed", None),
    ]
    assert said(play.outputs) == ["Done."]
    assert said(play.outputs, "tool_call")[0] == '{"command":"ls","cwd":"/w"}'
    assert said(play.outputs, "tool_result") == ["a.py\n", "+x = 1"]
    assert play.verdicts() == DONE
    assert of(EndInput, play.outputs) == [EndInput()]
    used = Spending(input_tokens=20, cache_read_tokens=80, output_tokens=20)
    assert of(Spent, play.outputs) == [Spent(used, counter=THREAD, model="gpt-5.1-codex")]


@pytest.mark.parametrize(
    ("decision", "told"),
    [("accept", 'It was "accept".'), ("decline", 'It was "decline".')],
)
def test_an_approval(decision: str, told: str) -> None:
    """A command waits for its permission, and codex goes on with what was decided."""
    play = app_server("approve it")
    play.answering(choose(decision))
    play.run()
    [asked] = of(Asked, play.outputs)
    assert asked.kind is InputKind.PERMISSION
    assert asked.prompt == "Run a command: rm -r build"
    assert asked.details["reason"] == "Tidy up"
    assert [each.value for each in asked.options] == [
        "accept",
        "acceptForSession",
        "decline",
        "cancel",
    ]
    assert told in said(play.outputs)
    assert of(Withdrawn, play.outputs) == []
    assert play.verdicts() == DONE


def test_a_turn_that_is_cancelled() -> None:
    """Denied with that, codex leaves off by itself and the run is over."""
    play = app_server("approve it")
    play.answering(choose("cancel"))
    play.run()
    assert play.verdicts() == [TurnEnded(Verdict.INTERRUPTED, "It was interrupted.")]
    assert of(EndInput, play.outputs)


def test_words_beside_an_answer() -> None:
    """They are said into the turn, which has no other place for them."""
    play = app_server("explain it")
    play.answering(choose("decline", message="Keep it"))
    play.run()
    assert said(play.outputs) == ["It was decline: Keep it"]
    assert play.verdicts() == DONE


def test_files_are_named() -> None:
    """Who is asked for a change sees which files it is about, though codex has said that before."""
    play = app_server("files please")
    play.answering(choose("acceptForSession"))
    play.run(remade=True)
    [asked] = of(Asked, play.outputs)
    assert asked.prompt == "Change files: a.py, b.py"
    assert "It was acceptForSession." in said(play.outputs)


@pytest.mark.parametrize(
    ("choice", "granted"),
    [
        ("accept", {"permissions": {"network": {"enabled": True}, "fileSystem": None}}),
        ("decline", {"permissions": {}}),
    ],
)
def test_permissions(choice: str, granted: dict[str, Any]) -> None:
    """What was asked for is granted as a whole, or nothing of it."""
    play = app_server("permissions please")
    play.answering(choose(choice))
    play.run()
    [told] = said(play.outputs)
    assert json.loads(told).items() >= granted.items()


def test_a_question_that_is_withdrawn() -> None:
    """It is open until codex says that it no longer is."""
    play = app_server("withdrawn later")
    play.run()
    [asked] = of(Asked, play.outputs)
    [gone] = of(Withdrawn, play.outputs)
    assert gone.key == asked.key
    assert play.verdicts() == DONE


@pytest.mark.parametrize("remade", [False, True])
def test_questions(remade: bool) -> None:
    """Several at once are asked one by one, and answered together."""
    play = app_server("questions please")
    play.answering(choose("SQLite", message="small"), choose("app"))
    play.run(remade=remade)
    first, second = of(Asked, play.outputs)
    assert (first.kind, first.prompt, first.takes_text) == (
        InputKind.QUESTION,
        "Which one?",
        True,
    )
    assert [each.value for each in first.options] == ["Postgres", "SQLite"]
    assert first.timeout_ms == 60000
    assert (second.options, second.takes_text) == ([], True)
    [told] = said(play.outputs)
    assert json.loads(told) == {
        "answers": {"q1": {"answers": ["SQLite", "small"]}, "q2": {"answers": ["app"]}}
    }


@pytest.mark.parametrize(
    ("answers", "result"),
    [
        (
            ("8080", "https", "true"),
            {"action": "accept", "content": {"port": 8080, "kind": "https", "open": True}},
        ),
        (("8080", "http", "(decline)"), {"action": "decline", "content": None}),
        (("eighty", "http", "true"), {"action": "decline", "content": None}),
    ],
)
def test_a_form(answers: tuple[str, ...], result: dict[str, Any]) -> None:
    """It is filled in with the types that it wants, or declined."""
    play = app_server("form please")
    play.answering(*(choose(each) for each in answers))
    play.run()
    asked = of(Asked, play.outputs)
    assert [each.prompt for each in asked] == [
        "web: Where?\nPort",
        "web: Where?\nkind",
        "web: Where?\nopen",
    ]
    assert asked[0].default == "80"
    [told] = said(play.outputs)
    assert json.loads(told) == result


def test_a_plan() -> None:
    """Its steps are tasks, each told when something changes."""
    play = app_server("plan it")
    play.run()
    told = [(each.type, each.data["title"]) for each in facts(play.outputs, "task:")]
    assert told == [
        ("task:created", "Test"),
        ("task:started", "Test"),
        ("task:created", "Mend"),
        ("task:completed", "Test"),
        ("task:started", "Mend"),
    ]


def test_an_error_that_it_gets_over() -> None:
    """It is retrying until it is at work again."""
    play = app_server("retry it")
    play.run()
    trouble = [each for each in play.outputs if isinstance(each, Hindered | Freed)]
    assert trouble == [Hindered(Trouble.RETRYING, "Reconnecting... 1/5"), Freed()]
    assert play.verdicts() == DONE


def test_a_turn_that_fails() -> None:
    """It has failed, though the process ends with 0."""
    play = app_server("fail at it")
    assert play.run() == 0
    assert play.verdicts() == [TurnEnded(Verdict.FAILED, "401 Unauthorized")]
    assert facts(play.outputs, "agent:failed")


def test_a_limit() -> None:
    """It waits for the time at which the account may do more, and goes on then."""
    play = app_server("limit me")

    def react(output: Output) -> None:
        if isinstance(output, Hindered):
            assert not play.driver.is_ready
            play.take(play.driver.wake())

    play.react = react
    play.run()
    [hindered] = of(Hindered, play.outputs)
    assert hindered.trouble is Trouble.RATE_LIMITED
    assert hindered.until_ms == 1_700_000_000_000
    assert play.verdicts() == [
        TurnEnded(Verdict.FAILED, "You've hit your usage limit."),
        TurnEnded(Verdict.DONE),
    ]
    assert said(play.outputs) == ["You said: Go on with what you were doing."]


def test_an_end_without_a_word() -> None:
    """Nothing is said of a turn of whose end nothing is known."""
    play = app_server("vanish now")
    assert play.run() == 0
    assert play.verdicts() == []
    assert play.driver.says_done


def test_an_end_after_an_error() -> None:
    """What it said last is why it has failed."""
    play = app_server("crash now")
    assert play.run() == 0
    assert play.verdicts() == [TurnEnded(Verdict.FAILED, "The disk is full.")]


def test_done_without_an_end() -> None:
    """The turn is done and the input has ended, whatever the process does after that."""
    play = app_server("linger on")

    def react(output: Output) -> None:
        if isinstance(output, EndInput):
            play.stop()

    play.react = react
    play.run()
    assert play.verdicts() == DONE


def test_noise() -> None:
    """What is none of its messages is a log line, and what is not known is counted."""
    play = app_server("noise please")
    play.run()
    logs = facts(play.outputs, "log:")
    told = [(each.type, each.data["message"]) for each in logs if each.type != "log:debug"]
    assert told == [
        ("log:info", "Not JSON"),
        ("log:info", "[1, 2]"),
        ("log:info", '{"half": '),
        ("log:info", "{}"),
        ("log:info", "red"),
        ("log:warn", "2026-01-01T00:00:00Z  WARN codex_core: Slow down"),
    ]
    [counted] = [each for each in logs if each.type == "log:debug"]
    assert counted.data["context"] == {"some/newThing": 1, "item somethingNew": 2}
    assert said(play.outputs) == ["Done."]
    assert play.verdicts() == DONE


def test_a_huge_line() -> None:
    """A line of 9 MB is one result, cut, and what comes after it is told."""
    play = app_server("huge output")
    play.run()
    [result] = said(play.outputs, "tool_result")
    assert len(result.encode()) <= 64 * 1024
    assert f"{HUGE // 3 * 2} bytes in all" in result
    assert said(play.outputs) == ["Done."]


def test_a_thread_that_is_continued() -> None:
    """The same conversation goes on, and its totals begin where they were."""
    play = app_server("plain work", conversation="0199-old")
    play.run()
    assert of(Conversation, play.outputs) == [Conversation("0199-old")]
    totals = [(each.counter, each.amount.tokens) for each in of(Spent, play.outputs)]
    assert totals == [("0199-old", 1200), ("0199-old", 1320)]
    assert play.verdicts() == DONE


def test_a_thread_that_is_lost() -> None:
    """It cannot be continued, and codex says why."""
    play = app_server("plain work", conversation="lost")
    play.run()
    [ended] = play.verdicts()
    assert ended.verdict is Verdict.FAILED
    assert "no rollout found" in ended.reason
    assert of(TurnBegan, play.outputs) == []


def tell_once(play: Play, words: str, act: str, **how: Any) -> None:
    """When an agent says some words, say something to it, or interrupt it."""

    def react(output: Output) -> None:
        is_it = isinstance(output, Fact) and output.data.get("output") == words
        if is_it and act == "interrupt":
            play.take(play.driver.interrupt())
        elif is_it:
            play.take(play.driver.say(message(act, **how)))

    play.react = react


def test_a_message_into_the_turn() -> None:
    """Codex has it while it works."""
    play = app_server("steer me")
    tell_once(play, "Working.", "the docs")
    play.run(remade=True)
    assert said(play.outputs) == ["Working.", "Also: the docs"]
    assert of(Taken, play.outputs) == [Taken("m1")]
    assert len(of(TurnBegan, play.outputs)) == 1


def test_a_message_that_the_turn_does_not_take() -> None:
    """It is the next turn, and arrives once."""
    play = app_server("deaf today")
    tell_once(play, "Working.", "the docs")
    play.run(remade=True)
    assert said(play.outputs) == ["Working.", "You said: the docs"]
    assert of(Taken, play.outputs) == [Taken("m1")]
    assert of(Refused, play.outputs) == []
    assert len(of(TurnBegan, play.outputs)) == 2
    assert len(of(EndInput, play.outputs)) == 1


def test_a_message_after_the_turn() -> None:
    """One that stays open takes it as its next turn, and ends only when it is told to."""
    play = app_server("plain work", stays_open=True)

    def react(output: Output) -> None:
        if isinstance(output, TurnEnded):
            more = len(play.verdicts()) == 1
            assert play.driver.is_ready
            assert not play.driver.takes_now
            play.take(play.driver.say(message("more", Delivery.NEXT)) if more else [EndInput()])

    play.react = react
    play.run()
    assert said(play.outputs) == ["Done.", "You said: more"]
    assert of(Taken, play.outputs) == [Taken("m1")]
    assert len(play.verdicts()) == 2


def test_an_interruption() -> None:
    """It leaves off and stays: what is said next is its next turn."""
    play = app_server("wait here")
    tell_once(play, "Working.", "interrupt")
    first = play.react

    def react(output: Output) -> None:
        first(output)
        if isinstance(output, TurnEnded) and output.verdict is Verdict.INTERRUPTED:
            play.take(play.driver.say(message("plain work")))

    play.react = react
    play.run()
    assert [each.verdict for each in play.verdicts()] == [Verdict.INTERRUPTED, Verdict.DONE]
    assert said(play.outputs) == ["Working.", "Done."]


def test_a_request_that_nobody_knows() -> None:
    """It is answered by an error, so that codex does not wait for ever."""
    play = app_server("unknown please")
    play.run()
    assert said(play.outputs) == ["It was -32601."]
    assert play.verdicts() == DONE


def test_sub_agents() -> None:
    """They are told with their parent, speak and ask by their names, and do not end the run."""
    play = app_server("agents please")
    play.answering(choose("accept"))
    play.run()
    spawned = [each.data for each in facts(play.outputs, "agent:spawned")]
    assert [(each["agentId"], each.get("parentId")) for each in spawned] == [
        ("main", None),
        ("agent-1", "main"),
    ]
    assert spawned[1]["task"] == "Look"
    told = [
        (each.data["agentId"], each.data["output"])
        for each in facts(play.outputs, "agent:output")
        if each.data["kind"] == "text"
    ]
    assert told == [("agent-1", "I look."), ("main", "It has looked.")]
    [asked] = of(Asked, play.outputs)
    assert asked.agent_id == "agent-1"
    ended = [each.data["agentId"] for each in facts(play.outputs, "agent:completed")]
    assert ended == ["agent-1", "main"]
    assert play.verdicts() == DONE


def test_a_codex_that_has_no_app_server() -> None:
    """Nothing is claimed of its work, and a log line names the provider that needs none."""
    play = app_server("plain work")
    play = Play(play.make, ["--old", "app-server"])
    assert play.run() == 2
    assert play.verdicts() == []
    logs = [each.data["message"] for each in facts(play.outputs, "log:error")]
    assert "unrecognized subcommand" in logs[0]
    assert "codex-exec" in logs[1]


def test_a_codex_that_is_not_logged_in() -> None:
    """It has failed at once, and the reason says what is to be done."""
    play = Play(app_server("plain work").make, ["app-server", "--logged-out"])
    assert play.run() == 0
    [ended] = play.verdicts()
    assert ended.verdict is Verdict.FAILED
    assert "codex login" in ended.reason
    assert of(TurnBegan, play.outputs) == []


def test_a_dry_run() -> None:
    """It may read, and asks for no more."""
    play = app_server("plain work", dry_run=True, model="o9")
    play.run()
    [asked] = [each for each in play.written() if each.get("method") == "thread/start"]
    assert asked["params"] == {"sandbox": "read-only", "approvalPolicy": "never", "model": "o9"}
