"""Tests of ``opencode run``, the fallback: a real process that prints, and lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import Conversation, TurnEnded, Verdict
from loki_twisted.agents.providers.opencode.provider import OpencodeRunProvider, run_arguments
from loki_twisted.agents.providers.opencode.run import OpencodeRunDriver
from tests.opencode_support import Play, costs, play
from tests.test_providers_opencode import JSON, mutated, st

REQUEST = LaunchRequest(
    session_id="s1",
    project_dir="/p",
    loki_dir="/p",
    provider="opencode-run",
    prompt="Mend the test",
)
DONE = TurnEnded(Verdict.DONE)
HOSTILE = "--yolo --model=x ; rm -rf /"


def finished(tmp_path: Path, prompt: str, **request: Any) -> tuple[Play, int]:
    """A run of the stand-in, and its exit code."""
    with play(OpencodeRunProvider(), tmp_path, prompt, **request) as run:
        return run, run.finish()


def test_the_command_line() -> None:
    """A model, a dry run, a conversation; what the user says stands behind ``--``."""
    wanted = attrs.evolve(REQUEST, model="acme/large", dry_run=True, conversation="ses_1")
    assert run_arguments(attrs.evolve(wanted, prompt=HOSTILE)) == [
        "run",
        "--format=json",
        "--model=acme/large",
        "--agent=plan",
        "--session=ses_1",
        "--",
        f"Your task: {HOSTILE}",
    ]


def test_a_plain_run(tmp_path: Path) -> None:
    """Facts as they are complete, and the end when no more can come."""
    run, code = finished(tmp_path, "plain work")
    assert code == 0
    assert run.said == ["I look at the files.", "Done: plain work"]
    assert len(run.told("tool_call")) == len(run.told("tool_result")) == 1
    assert len(run.all_of(Conversation)) == 1
    assert costs(run) == [0.25, 0.25]
    assert run.ends == [DONE]
    assert run.facts[-1].type == "agent:completed"


def test_a_conversation_is_continued(tmp_path: Path) -> None:
    """By the name that it was given."""
    run, _ = finished(tmp_path, "plain work", conversation="ses_7")
    assert run.all_of(Conversation) == [Conversation("ses_7")]


def test_what_it_may_not_do(tmp_path: Path) -> None:
    """It is refused by itself, which is said, and exit code 0 is no success then."""
    run, code = finished(tmp_path, "permission")
    assert code == 0
    assert "warn: ! permission requested: bash; auto-rejecting" in run.logged
    why = "It has left off, because it was not allowed to go on."
    assert run.ends == [TurnEnded(Verdict.FAILED, why)]


def test_an_error(tmp_path: Path) -> None:
    """It says why."""
    run, code = finished(tmp_path, "error")
    assert code == 1
    assert run.ends == [TurnEnded(Verdict.FAILED, "the key is not valid")]


def test_it_dies(tmp_path: Path) -> None:
    """It has not answered, so it has failed."""
    run, code = finished(tmp_path, "die")
    assert code == 3
    assert run.ends[-1].verdict is Verdict.FAILED


def test_a_plan_is_read_from_the_tool_that_writes_it() -> None:
    """There is no other event of it."""
    driver = OpencodeRunDriver(REQUEST, "")
    state = {"status": "completed", "input": {"todos": [{"content": "Write", "status": "pending"}]}}
    part = {"type": "tool", "tool": "todowrite", "callID": "c", "state": state}
    line = json.dumps({"type": "tool_use", "sessionID": "ses_1", "part": part})
    assert "task:created" in str(driver.line("stdout", line))


LINES = [
    {"type": "step_start", "sessionID": "s", "part": {}},
    {"type": "text", "sessionID": "s", "part": {"text": "Hello", "time": {"end": 2}}},
    {"type": "reasoning", "sessionID": "s", "part": {"text": "Hm"}},
    {"type": "tool_use", "part": {"tool": "todowrite", "state": {"status": "completed"}}},
    {"type": "step_finish", "part": {"reason": "stop", "cost": 1, "tokens": {"input": 2}}},
    {"type": "error", "error": {"name": "x", "data": {"message": "bad"}}},
    {"type": "done", "reason": "idle"},
]


@given(st.lists(st.tuples(st.sampled_from(LINES), st.lists(st.integers(0, 5)), JSON), max_size=10))
def test_no_line_breaks_it_and_all_of_it_is_remembered(made: list[Any]) -> None:
    """A driver that is made anew from its memory at each line says the same, whatever comes."""
    lasting = OpencodeRunDriver(REQUEST, "")
    memory = ""
    for line, choices, other in made:
        text = json.dumps(mutated(line, choices, other))
        anew = OpencodeRunDriver(REQUEST, memory)
        assert list(anew.line("stdout", text)) == list(lasting.line("stdout", text))
        memory = anew.memory()
        assert memory == lasting.memory()
    assert list(OpencodeRunDriver(REQUEST, memory).ended()) == list(lasting.ended())


@pytest.mark.parametrize("line", ["", "{", "{" * 10_000, "\ud800", "text", "{}", "null"])
def test_no_shape_of_a_line_breaks_it(line: str) -> None:
    """What is no JSON is a line of a log."""
    driver = OpencodeRunDriver(REQUEST, "")
    driver.line("stdout", line)
    assert driver.ended()
