"""Tests of ``codex exec --json``: its driver, and the providers of both kinds of codex."""

from __future__ import annotations

from pathlib import Path

import pytest
from zope.interface.verify import verifyObject

from loki_twisted.agents.driving import IDriver, IProvider, Messaging
from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import (
    Conversation,
    EndInput,
    Freed,
    Hindered,
    Spent,
    Trouble,
    TurnBegan,
    TurnEnded,
    Verdict,
    Write,
)
from loki_twisted.agents.providers.codex import CodexExecProvider, CodexProvider, exec_arguments
from loki_twisted.agents.providers.codex_app_server import AppServerDriver
from loki_twisted.agents.providers.codex_exec import ExecDriver
from loki_twisted.agents.providers.machine import Machine
from loki_twisted.model.errors import InvalidRequest, ProviderNotAvailable
from loki_twisted.model.spending import Spending
from tests.codex_support import Play, facts, hear, line, of, request, said
from tests.standins.codex import THREAD

HOSTILE = "--dangerously-bypass-approvals-and-sandbox"


def play(prompt: str, **changes: object) -> Play:
    """A play of ``codex exec``."""
    wanted = request(prompt, **changes)
    return Play(lambda memory: ExecDriver(wanted, memory), exec_arguments(wanted))


def test_it_is_a_driver() -> None:
    """It provides the interface, gives its prompt at once, and takes nothing more."""
    driver = ExecDriver(request("Mend it"), "")
    verifyObject(IDriver, driver)
    assert driver.begin() == [Write("Mend it"), EndInput()]
    assert not driver.is_ready
    assert not driver.takes_now


@pytest.mark.parametrize("remade", [False, True])
def test_a_plain_run(remade: bool) -> None:
    """All is told as that of any agent is, also by drivers that are made anew at each line."""
    run = play("plain work", model="o9")
    assert run.run(remade=remade) == 0
    assert of(Conversation, run.outputs) == [Conversation(THREAD)]
    assert [each.type for each in facts(run.outputs)] == [
        "agent:spawned",
        "agent:output",
        "agent:output",
        "agent:output",
        "task:created",
        "task:completed",
        "agent:output",
        "log:info",
        "agent:completed",
    ]
    assert said(run.outputs, "thinking") == ["Hm"]
    assert said(run.outputs, "tool_call") == ["bash -lc ls"]
    assert said(run.outputs, "tool_result") == ["a\n"]
    assert said(run.outputs) == ["Done."]
    trouble = [each for each in run.outputs if isinstance(each, Hindered | Freed)]
    assert trouble == [Hindered(Trouble.RETRYING, "Reconnecting... 1/5"), Freed()]
    used = Spending(input_tokens=20, cache_read_tokens=80, output_tokens=20)
    assert of(Spent, run.outputs) == [Spent(used, counter=THREAD, model="o9")]
    assert of(TurnBegan, run.outputs) == [TurnBegan()]
    assert run.verdicts() == [TurnEnded(Verdict.DONE)]


def test_a_thread_that_is_continued() -> None:
    """It is the same one, and its totals count on."""
    run = play("plain work", conversation="0199-old")
    assert run.run() == 0
    assert of(Conversation, run.outputs) == [Conversation("0199-old")]
    [spent] = of(Spent, run.outputs)
    assert (spent.counter, spent.amount.tokens) == ("0199-old", 1120)


def test_a_turn_that_fails() -> None:
    """The reason is what it says."""
    run = play("fail at it")
    assert run.run() == 1
    assert run.verdicts() == [TurnEnded(Verdict.FAILED, "401 Unauthorized")]
    assert facts(run.outputs, "agent:failed")


def test_an_end_after_an_error() -> None:
    """What it said last is why it has failed, whatever its exit code."""
    run = play("vanish now")
    assert run.run() == 0
    assert run.verdicts() == [TurnEnded(Verdict.FAILED, "The disk is full.")]


def test_a_failure_without_words() -> None:
    """The error that was told before stands for them."""
    driver = ExecDriver(request(), "")
    outputs = hear(driver, line(type="error", message="Broken"), line(type="turn.failed"))
    assert outputs[-1] == TurnEnded(Verdict.FAILED, "Broken")
    assert TurnEnded(Verdict.FAILED, "Broken") not in driver.ended()


def test_sub_agents() -> None:
    """They are told from the states that codex tells of them."""
    driver = ExecDriver(request(), "")
    call = {"id": "i", "type": "collab_tool_call", "tool": "spawn_agent", "status": "completed"}
    states = {"a": {"status": "pending_init"}}
    done = {"a": {"status": "completed", "message": "Seen"}}
    told = {"receiver_thread_ids": ["a"], "prompt": "Look"}
    outputs = hear(
        driver,
        line(type="thread.started", thread_id="t"),
        line(type="item.completed", item={**call, **told, "agents_states": states}),
        line(type="item.completed", item={**call, "tool": "wait", "agents_states": done}),
    )
    agents = [
        (each.type, each.data["agentId"], each.data.get("output"))
        for each in facts(outputs, "agent:")
        if each.type != "agent:output"
    ]
    assert agents == [
        ("agent:spawned", "main", None),
        ("agent:spawned", "a", None),
        ("agent:completed", "a", "Seen"),
    ]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One on which codex is installed."""
    program = tmp_path / "codex"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    return Machine({"PATH": str(tmp_path), "OPENAI_API_KEY": "k"})


@pytest.mark.parametrize(
    ("provider", "kind"), [(CodexProvider(), AppServerDriver), (CodexExecProvider(), ExecDriver)]
)
def test_providers(
    machine: Machine, provider: CodexProvider | CodexExecProvider, kind: type[object]
) -> None:
    """Both find the same program, write to its input, and make a driver of their own kind."""
    verifyObject(IProvider, provider)
    plan = provider.plan(request(), machine)
    assert plan.argv[0] == provider.program(machine)
    assert plan.accepts_input
    assert plan.cwd == "/p"
    assert isinstance(provider.driver(request(), ""), kind)
    with pytest.raises(ProviderNotAvailable):
        provider.plan(request(), Machine({"PATH": "/nowhere"}))
    with pytest.raises(InvalidRequest):
        provider.plan(request(""), machine)


def test_what_they_can_do() -> None:
    """One asks and listens at any time; both can be continued."""
    asks, exec_ = CodexProvider().abilities, CodexExecProvider().abilities
    assert (asks.asks, asks.messaging, asks.continues) == (True, Messaging.NOW, True)
    assert (exec_.asks, exec_.messaging, exec_.continues) == (False, Messaging.NEVER, True)


@pytest.mark.parametrize(
    ("wanted", "arguments"),
    [
        (request(), ["--sandbox=workspace-write", "-"]),
        (request(dry_run=True, model="o9"), ["--sandbox=read-only", "--model=o9", "-"]),
        (request(conversation="t"), ["--sandbox=workspace-write", "resume", "--", "t", "-"]),
        (request(HOSTILE), ["--sandbox=workspace-write", "-"]),
        (
            request(conversation=HOSTILE),
            ["--sandbox=workspace-write", "resume", "--", HOSTILE, "-"],
        ),
    ],
)
def test_arguments(wanted: LaunchRequest, arguments: list[str]) -> None:
    """No text of a user is an option, and none that switches permissions off is given."""
    assert exec_arguments(wanted) == ["exec", "--json", "--skip-git-repo-check", *arguments]


def test_it_cannot_stay() -> None:
    """One that is to wait for messages is refused, and is told which provider can."""
    with pytest.raises(InvalidRequest, match="codex can stay"):
        exec_arguments(request(stays_open=True))
