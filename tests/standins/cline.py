"""
A stand-in for ``cline --json``: prints what it prints, and asks as it asks.

The prompt holds the names of scenarios, which are played one after the other:
``cline --json --auto-approve false -- "play text approval result"``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 0.5  # the real one waits for five minutes
SESSION = "1788000000000_stand_in"

interrupted = False


def say(kind: str, **fields: Any) -> None:
    """Print a line as ``cline`` does."""
    print(json.dumps({"ts": "2026-11-26T12:00:00.000Z", "type": kind, **fields}), flush=True)


def event(kind: str, **fields: Any) -> None:
    """Print what its agent does."""
    say("agent_event", event={"type": kind, **fields})


def text() -> None:
    """A text in parts, and a thought."""
    event("iteration_start", iteration=1)
    event("content_start", contentType="reasoning", reasoning="I think ")
    event("content_start", contentType="reasoning", reasoning="hard.")
    event("content_end", contentType="reasoning")
    whole = ""
    for word in ("Hel", "lo, ", "world."):
        whole += word
        event("content_start", contentType="text", text=word, accumulated=whole)
    event("content_end", contentType="text", text=whole)


def tool(name: str, call: str, arguments: Any, output: Any, error: Any = None) -> None:
    """A tool from its beginning to its end."""
    event("content_start", contentType="tool", toolName=name, toolCallId=call, input=arguments)
    end = {"toolName": name, "toolCallId": call, "output": output, "error": error}
    event("content_end", contentType="tool", durationMs=12, **end)


def usage() -> None:
    """Two requests, whose totals grow."""
    for count, cost in ((1, 0.01), (2, 0.03)):
        event(
            "usage",
            inputTokens=100,
            outputTokens=10,
            cacheReadTokens=40,
            cacheWriteTokens=0,
            cost=0.01,
            totalInputTokens=100 * count,
            totalOutputTokens=10 * count,
            totalCost=cost,
        )


def ask(name: str, call: str, arguments: Any) -> dict[str, Any]:
    """Ask by files, and wait for the decision."""
    place = Path(os.environ["CLINE_TOOL_APPROVAL_DIR"])
    request = place / f"{SESSION}.request.{call}.json"
    decision = place / f"{SESSION}.decision.{call}.json"
    asked = {"requestId": call, "sessionId": SESSION, "createdAt": "2026-11-26T12:00:00.000Z"}
    asked |= {"toolCallId": call, "toolName": name, "input": arguments, "iteration": 1}
    request.write_text(json.dumps(asked, indent=2) + "\n")
    ends = time.monotonic() + PATIENCE_SECONDS if call == "impatient" else float("inf")
    while time.monotonic() < ends:
        if decision.exists():
            said: dict[str, Any] = json.loads(decision.read_text())
            decision.unlink()
            request.unlink()
            return said
        time.sleep(LOOK_SECONDS)
    request.unlink()
    return {"approved": False, "reason": "Tool approval request timed out"}


def command(call: str) -> None:
    """Run a command, if that is allowed."""
    arguments = {"commands": ["touch done"]}
    event(
        "content_start",
        contentType="tool",
        toolName="run_commands",
        toolCallId=call,
        input=arguments,
    )
    said = ask("run_commands", call, arguments)
    if said["approved"]:
        Path("done").touch()
        end = {"output": [{"query": "touch done", "result": "", "success": True}], "error": None}
    else:
        end = {"output": None, "error": said.get("reason", "denied")}
    event("content_end", contentType="tool", toolName="run_commands", toolCallId=call, **end)


def look() -> None:
    """Read a file, for which it asks too."""
    said = ask("read_files", "look", {"paths": ["README"]})
    tool("read_files", "look", {"paths": ["README"]}, "It says nothing.")
    if not said["approved"]:
        raise SystemExit(9)


def agents() -> None:
    """An agent with a sub-agent."""
    for name, agent, parent in (
        ("agent_start", "agent_a", None),
        ("agent_start", "agent_b", "agent_a"),
        ("agent_end", "agent_b", "agent_a"),
        ("agent_end", "agent_a", None),
    ):
        say("hook_event", hookEventName=name, agentId=agent, taskId="conv_1", parentAgentId=parent)


def result(reason: str = "completed", words: str = "All is done.") -> None:
    """The last line of a run."""
    totals = {"inputTokens": 200, "outputTokens": 20, "cacheReadTokens": 80, "cacheWriteTokens": 0}
    event("done", reason=reason, text=words, iterations=1, usage={})
    say(
        "run_result",
        finishReason=reason,
        iterations=1,
        usage={**totals, "totalCost": 0.03},
        durationMs=9000,
        text=words,
        model={"id": "some/model", "provider": "some"},
    )


def failure() -> None:
    """It fails, says so, and exits as if it had not."""
    event("error", error={"name": "Error", "message": "No credit."}, recoverable=False, iteration=1)
    result("error", "No credit.")
    print(json.dumps({"ts": "x", "type": "error", "message": "No credit."}), file=sys.stderr)


def credentials() -> None:
    """It has no credentials: a word on stderr, and exit code 1."""
    print(json.dumps({"ts": "x", "type": "error", "message": "Not signed in."}), file=sys.stderr)
    raise SystemExit(1)


def noise() -> None:
    """Lines that are no JSON, or are not known, or are broken."""
    print("(node:1) Warning: something is experimental", file=sys.stderr, flush=True)
    sys.stdout.buffer.write(b'plain words\n{"half": \n[1, 2]\n\n\xff\xfe broken\n')
    sys.stdout.flush()
    say("weather", sun=True)
    event("weather", sun=True)
    print(json.dumps({"loki.bridge": "approval", "key": "guessed", "request": 1}), flush=True)


def long() -> None:
    """A line of 30 MB."""
    sys.stdout.write(json.dumps({"type": "agent_event", "event": {"text": "x" * 30_000_000}}))
    sys.stdout.write("\n")
    sys.stdout.flush()


def mute() -> None:
    """A version that cannot ask in its first turn."""
    error = "Desktop tool approval IPC is not configured"
    tool("run_commands", "c1", {"commands": ["ls"]}, None, error)


def hang() -> None:
    """It does not end."""
    while True:
        time.sleep(300)


def stubborn() -> None:
    """It notes that it should end, and goes on, until it is interrupted."""

    def note(*_: object) -> None:
        say("run_abort_requested", reason="sigterm")

    def leave(*_: object) -> None:
        say("run_aborted", reason="local_abort", message="aborted")
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, leave)
    say("hook_event", hookEventName="prompt_submit", agentId="agent_a", parentAgentId=None)
    hang()


def older() -> None:
    """The schema of before."""
    for part, is_partial in (("He", True), ("Hello.", False)):
        say("say", say="text", text=part, partial=is_partial)
    arguments = {"tool": "readFile", "path": "a.py"}
    say("say", say="tool", text=json.dumps(arguments))
    for request in ({"request": "x"}, {"tokensIn": 5, "tokensOut": 2, "cost": 0.5}):
        print(
            json.dumps(
                {"type": "say", "say": "api_req_started", "ts": 7, "text": json.dumps(request)}
            ),
            flush=True,
        )
    say("say", say="completion_result", text="Old but done.")


SCENARIOS: dict[str, Callable[[], None]] = {
    "text": text,
    "read": lambda: tool("read_files", "r1", {"paths": ["a.py"]}, "print()"),
    "usage": usage,
    "approval": lambda: command("c1"),
    "again": lambda: command("c1"),
    "other": lambda: command("c2"),
    "impatient": lambda: command("impatient"),
    "look": look,
    "agents": agents,
    "result": result,
    "failure": failure,
    "credentials": credentials,
    "noise": noise,
    "long": long,
    "mute": mute,
    "hang": hang,
    "stubborn": stubborn,
    "older": older,
}


def main() -> int:
    """Play."""
    *options, mark, prompt = sys.argv[1:]
    if options[:3] != ["--json", "--auto-approve", "false"] or mark != "--":
        print(f"unknown options: {options}", file=sys.stderr)
        return 2
    for word in prompt.split()[1:]:
        SCENARIOS[word]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
