"""The driver and the provider of ``cline``."""

from __future__ import annotations

import json
import os
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
from loki_twisted.agents.lines import CUT_MARK
from loki_twisted.agents.outputs import (
    Asked,
    Conversation,
    EndInput,
    Hindered,
    Spent,
    Trouble,
    TurnBegan,
    TurnEnded,
    Verdict,
    Withdrawn,
    Write,
)
from loki_twisted.agents.providers.cline import ClineProvider, cline_arguments
from loki_twisted.agents.providers.cline_driver import PATIENCE_MS, ClineDriver
from loki_twisted.agents.providers.machine import Machine
from loki_twisted.model.errors import InvalidRequest, ProviderNotAvailable
from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import Answer, InputKind
from loki_twisted.model.spending import CostOrigin, Spending
from tests.driver_laws import Lines, all_told, lines_like, told_by_many

REQUEST = LaunchRequest(
    session_id="s1", project_dir="/p", loki_dir="/p", provider="cline", prompt="Mend the test"
)
KEY = "0123456789abcdef"


class Run:
    """A driver in the middle of a run."""

    def __init__(self, request: LaunchRequest = REQUEST) -> None:
        self.driver = ClineDriver(request)
        self.begun = self.driver.begin()
        assert self.bridge("begin") == []

    def line(self, text: str, stream: str = "stdout") -> list[Any]:
        """Give it a line."""
        return list(self.driver.line(stream, text))

    def say(self, kind: str, *, stream: str = "stdout", **fields: Any) -> list[Any]:
        """Give it a line of cline's."""
        return self.line(json.dumps({"ts": "t", "type": kind, **fields}), stream)

    def event(self, kind: str, **fields: Any) -> list[Any]:
        """Give it something that the agent does."""
        return self.say("agent_event", event={"type": kind, **fields})

    def bridge(self, kind: str, **fields: Any) -> list[Any]:
        """Give it a line of the bridge's."""
        return self.line(json.dumps({"loki.bridge": kind, "key": KEY, **fields}))

    def part(self, whole: str, part: str) -> list[Any]:
        """Give it a part of a text."""
        return self.event("content_start", contentType="text", text=part, accumulated=whole)

    def ask(self, number: int = 1, tool: str = "run_commands", **fields: Any) -> list[Any]:
        """Let it ask for an approval."""
        asked = {"toolName": tool, "toolCallId": "c1", "input": {"commands": ["ls"]}, **fields}
        return self.bridge("approval", request=number, asked=asked)


def said(outputs: Sequence[Any]) -> list[str]:
    """The texts that the agent says."""
    return [each.data["output"] for each in outputs if each.type == "agent:output"]


def order(output: Any) -> Any:
    """What is written to the bridge."""
    assert isinstance(output, Write)
    assert output.text.endswith("\n")
    return json.loads(output.text)


def spent(outputs: Sequence[Any]) -> Spent:
    (found,) = [each for each in outputs if isinstance(each, Spent)]
    return found


def test_interfaces() -> None:
    """It provides what it should."""
    verifyObject(IDriver, ClineDriver(REQUEST))
    verifyObject(IProvider, ClineProvider())


def test_the_beginning() -> None:
    """It works on the prompt of its command line."""
    spawned, began = Run(attrs.evolve(REQUEST, model="m")).begun
    assert spawned.type == "agent:spawned"
    assert spawned.data == {
        "agentId": "main",
        "type": "cline",
        "model": "m",
        "task": "Mend the test",
    }
    assert began == TurnBegan()


def test_a_text_in_parts_is_one() -> None:
    """It is told when it has ended, once, whether its end repeats it or not."""
    for end in ({"text": "Hello, world."}, {}):
        run = Run()
        assert run.part("Hello, ", "Hello, ") == []
        assert run.part("Hello, world.", "world.") == []
        assert said(run.event("content_end", contentType="text", **end)) == ["Hello, world."]
        assert run.event("iteration_end", iteration=1) == []


def test_a_text_whose_parts_do_not_hold_all_so_far() -> None:
    """They are put together."""
    run = Run()
    run.event("content_start", contentType="text", text="Hello, ")
    run.event("content_start", contentType="text", text="world.")
    assert said(run.event("iteration_end", iteration=1)) == ["Hello, world."]


def test_a_text_that_comes_at_once() -> None:
    """A version that tells only ends of texts loses nothing."""
    assert said(Run().event("content_end", contentType="text", text="Hello.")) == ["Hello."]


def test_a_part_that_was_lost() -> None:
    """The next one holds what was in it."""
    run = Run()
    run.part("one ", "one ")
    run.part("one two three", "three")
    assert said(run.driver.quiet()) == ["one two three"]


def test_silence_in_the_middle_of_a_text() -> None:
    """What there is is told, and the rest later, with nothing twice."""
    run = Run()
    run.part("Hello, ", "Hello, ")
    assert said(run.driver.quiet()) == ["Hello, "]
    assert run.driver.quiet() == []
    run.part("Hello, world.", "world.")
    told = run.event("content_end", contentType="text", text="Hello, world.")
    assert said(told) == ["world."]


def test_a_long_text_is_told_by_paragraphs() -> None:
    """It is not held without end, and is whole when put together."""
    run, whole, told = Run(), "", []
    for number in range(400):
        part = f"This is sentence {number}.{chr(10) * 2 if number % 10 == 9 else ' '}"
        whole += part
        told += said(run.part(whole, part))
    told += said(run.event("content_end", contentType="text", text=whole))
    assert "".join(told) == whole
    assert 3 <= len(told) <= 6
    assert all(each.endswith("\n\n") for each in told[:-1])


def test_two_texts_without_an_end_between() -> None:
    """A text that begins anew is another one."""
    run = Run()
    run.part("The first one.", "The first one.")
    assert said(run.part("Second", "Second")) == ["The first one."]
    assert said(run.event("iteration_start", iteration=2)) == ["Second"]


def test_thinking() -> None:
    """It is marked as that, and stands before what is said."""
    run = Run()
    run.event("content_start", contentType="reasoning", reasoning="I wonder ")
    run.event("content_start", contentType="reasoning", reasoning="why.")
    (thought,) = run.part("Yes.", "Yes.")
    assert thought.data == thought.data | {"kind": "thinking", "output": "I wonder why."}


def test_a_tool() -> None:
    """What it is called with, and what it has given."""
    run = Run()
    run.part("I look.", "I look.")
    text, call = run.event(
        "content_start", contentType="tool", toolName="read", toolCallId="c1", input={"p": "a"}
    )
    assert text.data["output"] == "I look."
    assert call.data == {
        "agentId": "main",
        "type": "cline",
        "kind": "tool_call",
        "tool": "read",
        "callId": "c1",
        "output": "a",
        "input": {"p": "a"},
    }
    assert run.event("content_update", contentType="tool", toolCallId="c1", update={}) == []
    (result,) = run.event(
        "content_end", contentType="tool", toolName="read", toolCallId="c1", output="x", error=None
    )
    assert result.data == result.data | {"kind": "tool_result", "output": "x", "isError": False}


@pytest.mark.parametrize(
    "end", [{"error": "no such file"}, {"output": [{"query": "x", "success": False}]}]
)
def test_a_tool_that_fails(end: dict[str, Any]) -> None:
    """It says so, in either of two ways."""
    (result,) = Run().event("content_end", contentType="tool", toolCallId="c1", **end)
    assert result.data["isError"] is True


def test_usage_is_a_total() -> None:
    """That grows; of the cache only parts are told, and what was read from it is not new input."""
    run = Run()
    part = {"inputTokens": 100, "outputTokens": 10, "cacheReadTokens": 40, "cacheWriteTokens": 5}
    run.event("usage", **part, totalInputTokens=100, totalOutputTokens=10, totalCost=0.01)
    told = spent(
        run.event("usage", **part, totalInputTokens=200, totalOutputTokens=20, totalCost=0.03)
    )
    total = Spending(
        input_tokens=110,
        output_tokens=20,
        cache_read_tokens=80,
        cache_write_tokens=10,
        api_calls=2,
        cost=0.03,
    )
    assert told == Spent(total, CostOrigin.REPORTED, counter="cline")
    result = {"inputTokens": 200, "outputTokens": 20, "cacheReadTokens": 80}
    result |= {"cacheWriteTokens": 10, "totalCost": 0.03}
    assert not any(
        isinstance(each, Spent)
        for each in run.say("run_result", finishReason="completed", usage=result)
    )


def test_what_sub_agents_have_spent() -> None:
    """It is in the last total alone, and is told with the model."""
    run = Run()
    run.event("usage", inputTokens=5, outputTokens=1, cost=0.5)
    told = run.say(
        "run_result",
        finishReason="completed",
        usage={"inputTokens": 5, "outputTokens": 1, "totalCost": 0.5},
        aggregateUsage={"inputTokens": 50, "outputTokens": 9, "totalCost": 2.5},
        model={"id": "some/model"},
    )
    total = Spending(input_tokens=50, output_tokens=9, api_calls=1, cost=2.5)
    assert spent(told) == Spent(total, CostOrigin.REPORTED, counter="cline", model="some/model")


def test_usage_without_a_cost() -> None:
    """Nobody knows what it has cost."""
    for cost in ({}, {"totalCost": 0}):
        told = spent(Run().event("usage", inputTokens=5, outputTokens=1, **cost))
        assert told.origin is CostOrigin.UNKNOWN


def test_the_end() -> None:
    """Its own word decides; the bridge is told that the work is done."""
    run = Run()
    assert run.event("done", reason="completed", text="Done.") == []
    completed, ended, done, end = run.say("run_result", finishReason="completed", text="All done.")
    assert completed.type == "agent:completed"
    assert completed.data["output"] == "All done."
    assert ended == TurnEnded(Verdict.DONE)
    assert order(done) == {"done": True}
    assert end == EndInput()
    assert run.driver.ended() == []


def test_an_end_that_is_no_success() -> None:
    """Whatever the exit code is."""
    run = Run()
    error = {"name": "E", "message": "No credit."}
    (log,) = run.event("error", error=error, recoverable=False)
    assert log.type == "log:error"
    failed, ended, _, _ = run.say("run_result", finishReason="error", text="No credit.")
    assert failed.type == "agent:failed"
    assert ended == TurnEnded(Verdict.FAILED, "cline ended with 'error': No credit.")


def test_a_run_that_was_aborted() -> None:
    """The last line counts, also after one that said it was completed."""
    run = Run()
    run.say("run_abort_requested", reason="sigterm")
    run.say("run_result", finishReason="completed")
    assert run.say("run_aborted", reason="local_abort") == [
        TurnEnded(Verdict.INTERRUPTED, "Its work was broken off.")
    ]
    alone = Run()
    assert TurnEnded(Verdict.INTERRUPTED, "Its work was broken off.") in alone.say("run_aborted")


def test_an_end_without_a_result() -> None:
    """What the agent said last counts: done, an error, or nothing at all."""
    run = Run()
    run.event("done", reason="completed", text="Done.")
    completed, ended = run.driver.ended()
    assert completed.type == "agent:completed"
    assert ended == TurnEnded(Verdict.DONE)
    run = Run()
    (log,) = run.say("error", message="Not signed in.", stream="stderr")
    assert log.data["message"] == "Not signed in."
    failed, ended = run.driver.ended()
    assert failed.data["output"] == "Not signed in."
    assert ended == TurnEnded(Verdict.FAILED, "Not signed in.")
    (failed,) = Run().driver.ended()
    assert failed.type == "agent:failed"


def test_trouble_on_the_way() -> None:
    """It tries again, which is no failure."""
    run = Run()
    log, hindered = run.event("notice", noticeType="recovery", reason="api_error", message="503")
    assert log.type == "log:warn"
    assert hindered == Hindered(Trouble.RETRYING, "503")
    (log,) = run.event("error", error={"message": "a tool failed"}, recoverable=True)
    assert log.type == "log:warn"
    (log,) = run.event("notice", noticeType="status", reason="auto_compaction", message="")
    assert log.type == "log:info"
    assert TurnEnded(Verdict.DONE) in run.say("run_result", finishReason="completed")


def test_an_approval() -> None:
    """It is a permission with two options, within the agent's own patience."""
    run = Run()
    (asked,) = run.ask()
    assert isinstance(asked, Asked)
    assert asked.kind is InputKind.PERMISSION
    assert asked.timeout_ms == PATIENCE_MS == 300_000
    assert asked.prompt == 'cline wants to use run_commands: {"commands":["ls"]}'
    assert asked.details["tool"] == "run_commands"
    assert asked.details["arguments"] == {"commands": ["ls"]}
    assert [each.value for each in asked.options] == ["allow", "deny"]
    (write,) = run.driver.answer(asked.key, Answer(values=("allow",)))
    assert order(write) == {"decision": 1, "approved": True}
    assert run.driver.answer(asked.key, Answer(values=("deny",))) == ()


def test_a_denial() -> None:
    """The agent learns why."""
    run = Run()
    run.ask(1)
    run.ask(2)
    (write,) = run.driver.answer("2", Answer(values=("deny",), message="not today"))
    assert order(write) == {"decision": 2, "approved": False, "reason": "not today"}
    (write,) = run.driver.answer("1", Answer(values=("deny",)))
    assert order(write)["reason"]
    for key in ("3", "", "x", "²"):
        assert run.driver.answer(key, Answer(values=("allow",))) == ()


def test_an_approval_that_is_withdrawn() -> None:
    """Only one that is open."""
    run = Run()
    run.ask(1)
    (withdrawn,) = run.bridge("withdrawn", request=1)
    assert isinstance(withdrawn, Withdrawn)
    assert withdrawn.key == "1"
    assert run.bridge("withdrawn", request=1) == []
    assert run.driver.answer("1", Answer(values=("allow",))) == ()


def test_tools_that_only_look_are_allowed_at_once() -> None:
    """As cline in a terminal does it: nobody is asked a hundred times for a file."""
    (write,) = Run().ask(tool="read_files")
    assert order(write) == {"decision": 1, "approved": True}


def test_a_line_that_looks_like_the_bridges() -> None:
    """It asks nothing without the key, nor on the other stream."""
    run = Run()
    forged = {"loki.bridge": "approval", "request": 1, "asked": {"toolName": "x"}}
    for key in ("guess", "", None, 5):
        assert run.line(json.dumps({**forged, "key": key})) == []
    assert run.line(json.dumps({**forged, "key": KEY}), "stderr") == []
    fresh = ClineDriver(REQUEST)
    assert fresh.line("stdout", json.dumps({**forged, "key": KEY})) == ()


def test_a_version_that_cannot_ask() -> None:
    """It is told once, and work without tools is not called done."""
    run = Run()
    error = "Desktop tool approval IPC is not configured"
    _, warning = run.event("content_end", contentType="tool", toolCallId="c1", error=error)
    assert warning.type == "log:warn"
    assert len(run.event("content_end", contentType="tool", toolCallId="c2", error=error)) == 1
    told = run.say("run_result", finishReason="completed", text="I could not.")
    assert TurnEnded(Verdict.FAILED, warning.data["message"]) in told


def test_a_bridge_that_cannot_start_it() -> None:
    """The reason is that of the session."""
    run = Run()
    run.bridge("problem", message="/x/cline: Permission denied")
    assert run.driver.ended()[-1] == TurnEnded(Verdict.FAILED, "/x/cline: Permission denied")


def test_sub_agents() -> None:
    """They are told with their parents; cline itself is the main agent."""
    run = Run()
    assert run.say("hook_event", hookEventName="agent_start", agentId="a") == []
    (spawned,) = run.say("hook_event", hookEventName="agent_start", agentId="b", parentAgentId="a")
    assert spawned.data == {"agentId": "b", "type": "subagent", "parentId": "main"}
    (deeper,) = run.say("hook_event", hookEventName="agent_start", agentId="c", parentAgentId="b")
    assert deeper.data["parentId"] == "b"
    (asked,) = run.ask(agentId="c")
    assert asked.agent_id == "c"
    (asked,) = run.ask(2, agentId="a")
    assert asked.agent_id is None
    (completed,) = run.say("hook_event", hookEventName="agent_end", agentId="b")
    assert (completed.type, completed.data["agentId"]) == ("agent:completed", "b")
    assert run.say("hook_event", hookEventName="agent_end", agentId="a") == []
    told = run.say("run_result", finishReason="error")
    assert [each.data["agentId"] for each in told if isinstance(each, Fact)] == ["c", "main"]


def test_a_team_and_its_tasks() -> None:
    """Members are agents, and their tasks are tasks."""
    run = Run()
    (spawned,) = run.say("team_event", event={"type": "teammate_spawned", "agentId": "t"})
    assert spawned.data["agentId"] == "t"
    task = {"id": "1", "title": "Write it", "status": "pending"}
    (created,) = run.say("team_event", event={"type": "team_task_updated", "task": task})
    assert created.type == "task:created"
    task = {**task, "status": "completed"}
    (completed,) = run.say("team_event", event={"type": "team_task_updated", "task": task})
    assert completed.type == "task:completed"
    assert completed.data["title"] == "Write it"
    assert run.say("team_event", event={"type": "run_progress", "message": "heartbeat"}) == []


def test_the_start_of_a_verbose_run() -> None:
    """It names its conversation and its model."""
    run = Run()
    assert run.say("run_start", sessionId="17_x", modelId="m") == [Conversation("17_x")]
    assert spent(run.event("usage", inputTokens=1, totalCost=0.1)).model == "m"


def test_the_older_schema() -> None:
    """What it says, does, has spent and how it ends."""
    run = Run()
    assert run.say("say", say="text", text="He", partial=True) == []
    assert said(run.say("say", say="text", text="Hello.", partial=False)) == ["Hello."]
    (call,) = run.say("say", say="tool", text=json.dumps({"tool": "readFile", "path": "a"}))
    assert (call.data["tool"], call.data["kind"]) == ("readFile", "tool_call")
    (call,) = run.say("ask", ask="command", text="ls")
    assert call.data["input"] == {"command": "ls"}
    (result,) = run.say("say", say="command_output", text="a.py")
    assert result.data["kind"] == "tool_result"
    assert run.say("say", say="api_req_started", ts=7, text='{"request": "x"}') == []
    usage = json.dumps({"tokensIn": 5, "tokensOut": 2, "cost": 0.5})
    run.line(json.dumps({"type": "say", "say": "api_req_started", "ts": 7, "text": usage}))
    assert (
        run.line(json.dumps({"type": "say", "say": "api_req_started", "ts": 7, "text": usage}))
        == []
    )
    (thought,) = run.say("say", say="reasoning", reasoning="Hm.")
    assert thought.data["kind"] == "thinking"
    (question,) = run.say("ask", ask="followup", text=json.dumps({"question": "Which?"}))
    assert question.data["output"] == "Which?"
    told = run.say("say", say="completion_result", text="Done.")
    assert said([each for each in told if isinstance(each, Fact)])[0] == "Done."
    assert TurnEnded(Verdict.DONE) in told


def test_the_older_schema_that_fails() -> None:
    """An error without a completion is the end that it is."""
    run = Run()
    run.say("ask", ask="api_req_failed", text="No credit.")
    assert run.driver.ended()[-1] == TurnEnded(Verdict.FAILED, "No credit.")


def test_noise() -> None:
    """A line that is no JSON is a log line, an empty one nothing."""
    run = Run()
    run.part("Text.", "Text.")
    text, log = run.line("(node:1) Warning", "stderr")
    assert text.data["output"] == "Text."
    assert log.type == "log:warn"
    assert run.line("plain")[0].data == {"level": "info", "message": "plain", "source": "cline"}
    assert run.line("  ") == []
    (cut,) = run.line('{"type": "agent_event", "event": {' + CUT_MARK)
    assert cut.type == "log:warn"
    assert "was not read" in cut.data["message"]


def test_unknown_lines_are_counted() -> None:
    """That is told each thousand, and once at the end."""
    run = Run()
    told = [each for _ in range(1001) for each in run.say("weather", sun=True)]
    assert [each.type for each in told] == ["log:debug"]
    run.event("weather")
    count, _ = run.driver.ended()
    assert count.data["message"].startswith("1002 lines")


OBJECTS = [
    {"type": "run_start", "modelId": "m", "sessionId": "s"},
    {"type": "hook_event", "hookEventName": "agent_start", "agentId": "a", "parentAgentId": None},
    {"type": "hook_event", "hookEventName": "agent_start", "agentId": "b", "parentAgentId": "a"},
    {"type": "hook_event", "hookEventName": "agent_end", "agentId": "b", "parentAgentId": "a"},
    *(
        {"type": "agent_event", "event": event}
        for event in (
            {"type": "iteration_start", "iteration": 1},
            {"type": "content_start", "contentType": "text", "text": "a", "accumulated": "a"},
            {"type": "content_start", "contentType": "text", "text": "b", "accumulated": "ab"},
            {"type": "content_start", "contentType": "reasoning", "reasoning": "r"},
            {"type": "content_start", "contentType": "tool", "toolName": "t", "input": {"a": [1]}},
            {"type": "content_end", "contentType": "tool", "output": [{"success": False}]},
            {"type": "content_end", "contentType": "text", "text": "ab"},
            {"type": "usage", "inputTokens": 3, "cacheReadTokens": 1, "totalInputTokens": 9},
            {"type": "usage", "inputTokens": 3, "cost": 0.1, "totalCost": 0.2},
            {"type": "notice", "reason": "api_error", "message": "x"},
            {"type": "error", "error": {"message": "x"}, "recoverable": False},
            {"type": "done", "reason": "completed", "text": "x"},
        )
    ),
    {"type": "run_result", "finishReason": "completed", "usage": {"inputTokens": 1}, "text": "x"},
    {"type": "run_aborted", "reason": "x"},
    {"type": "error", "message": "x"},
    {"type": "team_event", "event": {"type": "teammate_spawned", "agentId": "t"}},
    {"type": "team_event", "event": {"type": "team_task_updated", "task": {"id": "1"}}},
    {"type": "say", "say": "text", "text": "x", "partial": True},
    {"type": "say", "say": "api_req_started", "ts": 1, "text": '{"tokensIn": 1, "cost": 1}'},
    {"type": "say", "say": "tool", "text": '{"tool": "x"}'},
    {"type": "ask", "ask": "completion_result", "text": "x"},
    {"loki.bridge": "begin", "key": KEY},
    {"loki.bridge": "approval", "key": KEY, "request": 1, "asked": {"toolName": "x", "input": {}}},
    {"loki.bridge": "withdrawn", "key": KEY, "request": 1},
    {"loki.bridge": "problem", "key": KEY, "message": "x"},
]


@given(lines_like(OBJECTS))
def test_no_line_makes_it_fail(lines: Lines) -> None:
    """Whatever is printed; and what it says is told the same by drivers made anew on the way."""
    told = all_told(ClineDriver(REQUEST), lines)
    assert told_by_many(lambda memory: ClineDriver(REQUEST, memory), lines) == told


def test_a_run_whose_memory_is_large() -> None:
    """What is remembered stays within its bound, whatever is said."""
    run = Run()
    for number in range(1000):
        name = f"{number}-" + "n" * 300
        run.say("hook_event", hookEventName="agent_start", agentId=name, parentAgentId="a" * 300)
        task = {"id": name, "title": "t" * 3000, "status": "pending"}
        run.say("team_event", event={"type": "team_task_updated", "task": task})
        run.ask(number + 1)
    run.event("done", reason="r" * 10_000, text="w" * 10_000)
    assert len(run.driver.memory()) <= 256 * 1024


def test_the_command_line() -> None:
    """JSON, questions, and the prompt behind everything that could be an option."""
    assert cline_arguments(REQUEST) == ["--json", "--auto-approve", "false", "--", "Mend the test"]
    wanted = attrs.evolve(REQUEST, model="m", dry_run=True, verbose=True, prompt="--yolo")
    assert list(cline_arguments(wanted))[3:] == [
        "--model=m",
        "--verbose",
        "--plan",
        "--",
        "Your task: --yolo",
    ]
    with pytest.raises(InvalidRequest):
        cline_arguments(attrs.evolve(REQUEST, prompt=None))


def test_the_plan(tmp_path: Path) -> None:
    """The bridge runs it, with the way of asking that it knows, and without a daemon."""
    program = tmp_path / "cline"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    machine = Machine({"PATH": str(tmp_path), "CLINE_TOOL_APPROVAL_MODE": "other"})
    plan = ClineProvider().plan(REQUEST, machine)
    python, *flags, bridge, name, mark, found = plan.argv[:7]
    assert (python, flags, name, mark) == (sys.executable, ["-I", "-S"], "cline", "--")
    assert os.path.exists(bridge)
    assert found == str(program)
    assert plan.accepts_input
    assert plan.env["CLINE_TOOL_APPROVAL_MODE"] == "desktop"
    assert plan.env["CLINE_SESSION_BACKEND_MODE"] == "local"
    assert "false" in plan.argv
    trusting = Machine({"PATH": str(tmp_path), "LOKI_CLINE_AUTO_APPROVE": "true"})
    assert list(ClineProvider().plan(REQUEST, trusting).argv)[7:10] == [
        "--json",
        "--auto-approve",
        "true",
    ]
    with pytest.raises(InvalidRequest, match="cannot continue"):
        ClineProvider().plan(attrs.evolve(REQUEST, conversation="c"), machine)
    with pytest.raises(ProviderNotAvailable):
        ClineProvider().plan(REQUEST, Machine({"PATH": "/nothing"}))
