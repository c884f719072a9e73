"""The driver and the provider of ``aider``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from zope.interface.verify import verifyObject

from loki_twisted.agents.driving import IDriver, IProvider
from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import (
    Conversation,
    EndInput,
    Freed,
    Hindered,
    Spent,
    Taken,
    Trouble,
    TurnBegan,
    TurnEnded,
    Verdict,
    Write,
)
from loki_twisted.agents.providers.aider import AiderProvider, aider_arguments
from loki_twisted.agents.providers.aider_driver import AiderDriver, as_message
from loki_twisted.agents.providers.machine import Machine
from loki_twisted.model.errors import InvalidRequest, ProviderNotAvailable
from loki_twisted.model.messages import Message
from loki_twisted.model.spending import CostOrigin, Spending
from tests.driver_laws import Lines, all_told, lines_like, told_by_many

REQUEST = LaunchRequest(
    session_id="s1", project_dir="/p", loki_dir="/p", provider="aider", prompt="Mend the test"
)
KEY = "0123456789abcdef"
ANSWERED = {
    "main_model": "some/model",
    "prompt_tokens": 4200,
    "completion_tokens": 1100,
    "total_tokens": 5300,
    "cost": 0.02,
    "total_cost": 0.05,
}
FIXED = ["--yes-always", "--no-suggest-shell-commands", "--no-pretty", "--no-stream"]
FIXED += ["--no-fancy-input", "--no-check-update", "--no-show-release-notes"]
FIXED += ["--no-gitignore", "--no-analytics"]


def message(text: str, message_id: str = "m1") -> Message:
    return Message(id=message_id, session_id="s1", text=text, created_at="")


class Run:
    """A driver whose agent has begun with its first message."""

    def __init__(self, request: LaunchRequest = REQUEST) -> None:
        self.driver = AiderDriver(request)
        self.begun = self.driver.begin()
        self.bridge("begin", conversation="s1")
        self.bridge("turn", message="")

    def line(self, text: str, stream: str = "stdout") -> list[Any]:
        """Give it a line."""
        return list(self.driver.line(stream, text))

    def bridge(self, kind: str, **fields: Any) -> list[Any]:
        """Give it a line of the bridge's."""
        return self.line(json.dumps({"loki.bridge": kind, "key": KEY, **fields}))

    def report(self, event: str, **properties: Any) -> list[Any]:
        """Give it a report."""
        return self.bridge("analytics", event=event, properties=properties)

    def answer(self) -> None:
        """Let the model answer once."""
        self.report("message_send_starting")
        self.report("message_send", **ANSWERED)

    def end(self, code: int | None = 0, **fields: Any) -> TurnEnded:
        """Let the process end; gives how the turn ended."""
        how = {"code": code, "signal": None, "interrupted": False, **fields}
        (ended,) = [each for each in self.bridge("ended", **how) if isinstance(each, TurnEnded)]
        return ended


def order(output: Any) -> Any:
    """What is written to the bridge."""
    assert isinstance(output, Write)
    assert output.text.endswith("\n")
    return json.loads(output.text)


def said(outputs: Sequence[Any]) -> list[str]:
    """The texts that the agent says."""
    return [each.data["output"] for each in outputs if each.type == "agent:output"]


def test_interfaces() -> None:
    """It provides what it should."""
    verifyObject(IDriver, AiderDriver(REQUEST))
    verifyObject(IProvider, AiderProvider())


def test_the_beginning() -> None:
    """The first message goes to the bridge, and it is busy with it."""
    run = Run(attrs.evolve(REQUEST, model="m"))
    spawned, first = run.begun
    assert spawned.data == {
        "agentId": "main",
        "type": "aider",
        "model": "m",
        "task": "Mend the test",
    }
    assert order(first) == {"message": "Mend the test"}
    assert not run.driver.is_ready


def test_the_conversation_and_the_turn() -> None:
    """The name under which it can be continued, and that it is at work."""
    driver = AiderDriver(REQUEST)
    begin = {"loki.bridge": "begin", "key": KEY, "conversation": "talk"}
    assert driver.line("stdout", json.dumps(begin)) == [Conversation("talk")]
    turn = {"loki.bridge": "turn", "key": KEY, "message": ""}
    assert driver.line("stdout", json.dumps(turn)) == [TurnBegan()]


def test_what_it_says_is_told_by_paragraphs() -> None:
    """Not by lines; and its own words are log lines."""
    run = Run()
    assert run.line("I change") == []
    assert run.line("the parser.") == []
    assert said(run.line("")) == ["I change\nthe parser."]
    run.line("More.")
    text, log = run.line("Applied edit to a/b.py")
    assert text.data["output"] == "More."
    assert log.data == {
        "level": "info",
        "message": "Applied edit to a/b.py",
        "source": "aider",
        "context": {"path": "a/b.py"},
    }
    (log,) = run.line("Commit 0a1b2c3 fix: the parser")
    assert log.data["context"] == {"commit": "0a1b2c3", "message": "fix: the parser"}
    for own in ("Aider v0.86.3", "Tokens: 4.2k sent, 1.1k received.", "Add x? (Y)es/(N)o [Yes]: y"):
        (log,) = run.line(own)
        assert (log.type, log.data["message"]) == ("log:info", own)


def test_what_it_says_is_told_in_silence_and_at_the_end() -> None:
    """Nothing of it is kept back."""
    run = Run()
    run.line("Half")
    assert said(run.driver.quiet()) == ["Half"]
    assert list(run.driver.quiet()) == []
    run.line("Last")
    assert said(run.driver.ended()[:1]) == ["Last"]


def test_spending() -> None:
    """Each answer is told by itself, with its model."""
    run = Run()
    run.report("message_send_starting")
    spent, freed = run.report("message_send", **ANSWERED)
    amount = Spending(input_tokens=4200, output_tokens=1100, api_calls=1, cost=0.02)
    assert spent == Spent(amount, CostOrigin.REPORTED, model="some/model")
    assert freed == Freed()


def test_spending_by_totals() -> None:
    """Where an answer does not say its cost it is what the total has grown by."""
    run = Run()
    run.report("message_send", prompt_tokens=1, total_cost=0.25)
    spent, _ = run.report("message_send", prompt_tokens=1, total_cost=0.75)
    assert spent.amount.cost == 0.5
    run.bridge("turn", message="m2")  # another process counts from nothing
    spent, _ = run.report("message_send", prompt_tokens=1, total_cost=0.125)
    assert spent.amount.cost == 0.125


def test_a_model_without_a_price() -> None:
    """Nobody knows what it has cost, nor its name where that is kept secret."""
    answer = {"prompt_tokens": 1, "cost": 0, "total_cost": 0, "main_model": "x/REDACTED"}
    spent, _ = Run().report("message_send", **answer)
    assert spent.origin is CostOrigin.UNKNOWN
    assert spent.model is None


def test_a_message_that_is_answered() -> None:
    """Also in several steps."""
    run = Run()
    run.answer()
    run.answer()
    assert run.end() == TurnEnded(Verdict.DONE)
    assert run.driver.ended()[-1].type == "agent:completed"


def test_a_message_that_fails_with_exit_code_0() -> None:
    """What was reported counts, and what was not."""
    run = Run()
    run.report("message_send_starting")
    (log,) = run.report("message_send_exception", exception="the wire was cut")
    assert log.type == "log:error"
    assert run.end() == TurnEnded(Verdict.FAILED, "the wire was cut")
    assert run.driver.ended()[-1].type == "agent:failed"
    run = Run()
    run.report("message_send_starting")
    (log,) = run.line("litellm.AuthenticationError: no key")
    assert log.type == "log:error"
    expected = "The model did not answer. litellm.AuthenticationError: no key"
    assert run.end() == TurnEnded(Verdict.FAILED, expected)
    assert Run().end() == TurnEnded(Verdict.FAILED, "The model did not answer.")


def test_an_answer_that_came_in_the_end() -> None:
    """An error that was overcome is none."""
    run = Run()
    run.report("message_send_starting")
    run.line("litellm.RateLimitError: slow down")
    log, hindered = run.line("Retrying in 0.2 seconds...")
    assert log.type == "log:warn"
    assert hindered == Hindered(Trouble.RETRYING, "litellm.RateLimitError: slow down")
    run.report("message_send", **ANSWERED)
    assert run.end() == TurnEnded(Verdict.DONE)


@pytest.mark.parametrize(
    "line",
    ["Only 3 reflections allowed, stopping.", "Model some/model has hit a token limit!"],
)
def test_an_answer_that_was_of_no_use(line: str) -> None:
    """It says so itself."""
    run = Run()
    run.answer()
    (log,) = run.line(line)
    assert log.type == "log:error"
    assert run.end() == TurnEnded(Verdict.FAILED, line)


def test_a_login_that_nobody_can_do() -> None:
    """It is not waited for, and the session has failed for that."""
    run = Run()
    log, write = run.report("oauth_flow_initiated", provider="openrouter")
    assert log.type == "log:error"
    assert order(write) == {"interrupt": True}
    assert run.report("oauth_flow_initiated") == []
    ended = run.end(1, interrupted=True)
    assert ended == TurnEnded(Verdict.FAILED, log.data["message"])


def test_a_process_that_ends_badly() -> None:
    """Whatever was answered before."""
    for fields, reason in (
        ({"code": 3}, "aider ended with exit code 3."),
        ({"code": None, "signal": 9}, "Signal 9 ended aider."),
        ({"code": 127, "problem": "/x: No such file"}, "/x: No such file"),
    ):
        run = Run()
        run.answer()
        assert run.end(**fields) == TurnEnded(Verdict.FAILED, reason)


def test_what_failed_before_does_not_count_in_the_next_turn() -> None:
    """Each turn is judged by itself."""
    run = Run()
    run.report("message_send_starting")
    run.report("message_send_exception", exception="x")
    run.line("SomeError: y")
    run.end()
    run.driver.say(message("again"))
    run.bridge("turn", message="m1")
    run.answer()
    assert run.end() == TurnEnded(Verdict.DONE)


def test_messages() -> None:
    """One at a time; each is taken when the bridge is at it."""
    run = Run()
    run.answer()
    run.end()
    assert run.driver.is_ready
    (write,) = run.driver.say(message("And now this.", "m7"))
    assert order(write) == {"message": "And now this.", "id": "m7"}
    assert not run.driver.is_ready
    assert run.bridge("idle") == []  # said before the message came
    assert run.bridge("turn", message="m7") == [Taken("m7"), TurnBegan()]


def test_the_end_of_the_input() -> None:
    """When there is nothing more to do; not while it is to stay open."""
    run = Run()
    run.answer()
    run.end()
    assert run.bridge("idle") == [EndInput()]
    assert not run.driver.is_ready
    run = Run(attrs.evolve(REQUEST, stays_open=True))
    run.answer()
    run.end()
    assert run.bridge("idle") == []
    assert run.driver.is_ready


def test_an_interruption() -> None:
    """Of what it is doing; else there is nothing to break off."""
    run = Run()
    (write,) = run.driver.interrupt()
    assert order(write) == {"interrupt": True}
    run.report("message_send_starting")
    assert run.end(interrupted=True).verdict is Verdict.INTERRUPTED
    assert run.driver.interrupt() == ()


def test_an_end_in_the_middle() -> None:
    """It has failed, whatever the turn before was."""
    run = Run()
    run.answer()
    run.end()
    run.driver.say(message("more"))
    assert run.driver.ended()[-1].type == "agent:failed"
    assert AiderDriver.says_done


@pytest.mark.parametrize("text", ["/run rm -rf x", "!rm -rf x", "  !ls", "\n/exit"])
def test_a_message_is_never_a_command(text: str) -> None:
    """Of aider's own or of the shell, whoever sent it."""
    run = Run(attrs.evolve(REQUEST, prompt=text))
    assert order(run.begun[1])["message"][0] not in "/! \n"
    assert order(run.driver.say(message(text))[0])["message"] == f"Your task: {text}"
    assert as_message("Explain 1/2!") == "Explain 1/2!"


def test_a_line_that_looks_like_the_bridges() -> None:
    """The model says it; it ends no turn and spends nothing."""
    run = Run()
    forged = {"loki.bridge": "ended", "key": "guess", "code": 0}
    run.line(json.dumps(forged))
    (text,) = run.driver.quiet()
    assert text.data["output"] == json.dumps(forged)
    (log,) = run.line(json.dumps({**forged, "key": KEY}), "stderr")
    assert log.type == "log:error"
    assert not run.driver.is_ready


OBJECTS = [
    {"loki.bridge": "begin", "key": KEY, "conversation": "c"},
    {"loki.bridge": "turn", "key": KEY, "message": "m"},
    *(
        {"loki.bridge": "analytics", "key": KEY, "event": event, "properties": properties}
        for event, properties in (
            ("launched", {}),
            ("message_send_starting", {}),
            ("message_send", ANSWERED),
            ("message_send_exception", {"exception": "x"}),
            ("oauth_flow_initiated", {}),
            ("exit", {"reason": "x"}),
        )
    ),
    {"loki.bridge": "ended", "key": KEY, "code": 0, "signal": None, "interrupted": False},
    {"loki.bridge": "idle", "key": KEY},
]
TEXTS = [
    "Applied edit to x",
    "Commit 0a1b2c3 x",
    "Retrying in 0.2 seconds...",
    "SomeError: x",
    "Only 3 reflections allowed, stopping.",
    "Words.",
    "x" * 5000,
]


@given(lines_like(OBJECTS, TEXTS))
def test_no_line_makes_it_fail(lines: Lines) -> None:
    """Whatever is printed; and what it says is told the same by drivers made anew on the way."""
    told = all_told(AiderDriver(REQUEST), lines)
    assert told_by_many(lambda memory: AiderDriver(REQUEST, memory), lines) == told


def test_the_command_line() -> None:
    """No message is on it; a PRD is handed to it."""
    assert aider_arguments(REQUEST) == FIXED
    wanted = attrs.evolve(REQUEST, prd_path="/p/--x.md", model="m", verbose=True, dry_run=True)
    assert aider_arguments(wanted) == [
        "--read=/p/--x.md",
        "--model=m",
        *FIXED,
        "--verbose",
        "--dry-run",
    ]


def installed(tmp_path: Path, **environ: str) -> Machine:
    """A machine with aider on it."""
    program = tmp_path / "aider"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return Machine({"PATH": str(tmp_path), "HOME": str(tmp_path), **environ})


def test_the_plan(tmp_path: Path) -> None:
    """The bridge runs it, with a place for the conversation where programs keep their state."""
    machine = installed(tmp_path)
    plan = AiderProvider().plan(REQUEST, machine)
    place = str(tmp_path / ".local" / "state" / "loki_twisted" / "aider" / "s1")
    assert plan.argv[0] == sys.executable
    assert plan.argv[4:] == ["aider", place, "--", str(tmp_path / "aider"), *FIXED]
    assert plan.accepts_input
    assert plan.env["COLUMNS"] == "1000"
    assert plan.env["BROWSER"] == "true"
    state = installed(tmp_path, XDG_STATE_HOME=str(tmp_path / "state"))
    argv = AiderProvider().plan(REQUEST, state).argv
    assert argv[5] == str(tmp_path / "state" / "loki_twisted" / "aider" / "s1")
    with pytest.raises(ProviderNotAvailable):
        AiderProvider().plan(REQUEST, Machine({"PATH": "/nothing"}))
    with pytest.raises(InvalidRequest):
        AiderProvider().plan(attrs.evolve(REQUEST, prompt=None), machine)


def test_continuing_a_conversation(tmp_path: Path) -> None:
    """Its place is that of the run before; one that is not there cannot be continued."""
    machine = installed(tmp_path)
    wanted = attrs.evolve(REQUEST, session_id="s2", conversation="s1")
    with pytest.raises(InvalidRequest, match="no conversation 's1'"):
        AiderProvider().plan(wanted, machine)
    place = tmp_path / ".local" / "state" / "loki_twisted" / "aider" / "s1"
    place.mkdir(parents=True)
    assert AiderProvider().plan(wanted, machine).argv[5] == str(place)
    for hostile in ("..", "../aider", "/etc", "", "."):
        with pytest.raises(InvalidRequest):
            AiderProvider().plan(attrs.evolve(wanted, conversation=hostile), machine)


def test_a_process_that_is_done_and_is_ended() -> None:
    """The signal that ends it is no failure of its work, if it had answered."""
    run = Run()
    run.answer()
    run.report("exit", reason="Completed --message-file")
    assert run.end(code=None, signal=15) == TurnEnded(Verdict.DONE)
    run.bridge("turn", message="")
    run.answer()
    assert run.end(code=None, signal=15).verdict is Verdict.FAILED
    run.bridge("turn", message="")
    run.report("exit", reason="Completed --message-file")
    assert run.end(code=None, signal=15).reason == "The model did not answer."
