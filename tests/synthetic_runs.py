"""Runs of Loki Mode that nobody recorded, written as the facts about its files say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from tests.recordings_player import Write

_DAY = "2026-11-20T"


class RunWriter:
    """
    Writes the files of runs, a moment after the other.

    :ivar writes: All so far.
    """

    def __init__(self, session_id: str | None = None) -> None:
        self.writes: list[Write] = []
        self.second = 0
        self.pid = 0
        self.scope = "" if session_id is None else f"sessions/{session_id}/"

    @property
    def now(self) -> str:
        """The time in the run, as Loki writes it."""
        minutes, seconds = divmod(self.second, 60)
        return f"{_DAY}08:{minutes:02d}:{seconds:02d}Z"

    def put(self, path: str, value: Any, operation: str = "modify") -> None:
        """Write a file: text as it is, anything else as JSON."""
        data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.writes.append(
            Write(at_ms=self.second * 1000, path=path, operation=operation, data=data)
        )

    def drop(self, path: str) -> None:
        """Remove a file."""
        self.writes.append(Write(at_ms=self.second * 1000, path=path, operation="delete"))

    def event(self, kind: str, **data: Any) -> None:
        """Write a line of ``events.jsonl``."""
        line = json.dumps({"timestamp": self.now, "type": kind, "data": data})
        self.put("events.jsonl", line + "\n", "append")

    def begin(self, pid: int, provider: str = "claude") -> None:
        """Start a run."""
        self.second += 1
        self.pid = pid
        self.put(f"checkout-runs/{pid}", f"{pid}\n")
        if not any(write.path == "state/orchestrator.json" for write in self.writes):
            began = {"version": "9.22.12", "currentPhase": "BOOTSTRAP", "startedAt": self.now}
            self.put("state/orchestrator.json", began)
            self.directory_began = self.now
        self.put(f"{self.scope}loki.pid", f"{pid}\n")
        self.put(f"{self.scope}loki.pgid", f"pgid={pid} boot=1795000000 started=1795000100\n")
        self.put(f"pids/{pid}.json", {"pid": pid, "kind": "wrapper", "started": self.now})
        self.put("state/provider", provider)
        self.event("session_start", provider=provider, pid=pid)
        self.phase("BUILDING")

    def phase(self, word: str) -> None:
        """Enter a phase."""
        self.put(
            "state/orchestrator.json",
            {"version": "9.22.12", "currentPhase": word, "startedAt": self.directory_began},
        )

    def progress(self, status: str, iteration: int) -> None:
        """Say how far the run is."""
        value = {"iterationCount": iteration, "status": status, "lastRun": self.now}
        value |= {"prdPath": "./prd.md", "pid": self.pid, "lastExitCode": 0}
        self.put(f"{self.scope}autonomy-state.json", value, "rename")

    def iterate(self, number: int, *inside: Callable[[], None]) -> None:
        """Do an iteration, with something that happens in it."""
        self.second += 2
        task = {"id": f"iteration-{number}", "type": "iteration", "title": f"Iteration {number}"}
        task |= {"status": "in_progress", "startedAt": self.now}
        self.put("queue/in-progress.json", [task])
        self.put("queue/current-task.json", task, "rename")
        self.progress("running", number)
        for happens in inside:
            self.second += 1
            happens()
        self.second += 2
        self.progress("exited", number)
        done = {"id": task["id"], "title": f"Iteration {number} complete", "status": "completed"}
        self.put("queue/completed.json", [done | {"completedAt": self.now, "exitCode": 0}])
        self.put("queue/in-progress.json", [])
        self.put("queue/current-task.json", {}, "rename")

    def end(self, status: str, outcome: str, phase: str = "COMPLETED") -> None:
        """End the run as it does by itself."""
        self.second += 1
        self.progress(status, 1)
        self.put("state/completion.json", {"outcome": outcome, "timestamp": self.now}, "rename")
        self.event("session_end", result=0)
        self.phase(phase)
        self.second += 2
        self.drop(f"{self.scope}loki.pid")
        self.drop(f"{self.scope}loki.pgid")

    def agents(self, **statuses: str) -> None:
        """List agents."""
        listed = [
            {"agent_id": name[:8], "tool_id": name, "agent_type": "worker", "status": status}
            for name, status in statuses.items()
        ]
        self.put("state/agents.json", listed)


def sub_agents() -> list[Write]:
    """Agents whose short names are all the same come and go, and a monitor forgets them."""
    run = RunWriter()
    run.begin(40)
    run.put("queue/pending.json", {"tasks": [{"id": "prd-001", "title": "A"}]})
    run.iterate(
        1,
        lambda: run.agents(main="active"),
        lambda: run.agents(main="active", toolu_01a="active", toolu_01b="active"),
        lambda: run.put("state/agents.json", []),
        lambda: run.agents(main="active", toolu_01a="completed", toolu_01b="active"),
        lambda: run.put("state/agents.json", []),
        lambda: run.agents(main="completed", toolu_01a="completed", toolu_01b="completed"),
    )
    run.put("state/agents.json", [])
    run.end("council_approved", "complete")
    return run.writes


def two_runs() -> list[Write]:
    """A run that succeeds is followed by one that fails, with the same process id."""
    run = RunWriter()
    run.begin(41)
    run.put("metrics/result-cost-1.json", {"total_cost_usd": 1.5, "input_tokens": 10})
    run.iterate(1)
    run.end("completion_promise_fulfilled", "complete")
    run.second += 60
    run.begin(41)
    run.drop("metrics/result-cost-1.json")
    run.iterate(1)
    run.put("metrics/result-cost-1.json", {"total_cost_usd": 0.25, "input_tokens": 5})
    run.end("failed", "failed", "FAILED")
    return run.writes


def supervised_stop() -> list[Write]:
    """A supervisor stops a run within an iteration."""
    run = RunWriter()
    run.begin(42)

    def stopped() -> None:
        run.progress("interrupted", 1)
        value = {"terminated": True, "reason": "supervisor_signal", "exit_code": 143}
        run.put("state/termination.json", value | {"timestamp": run.now}, "rename")
        run.event("session_end", result=143, reason="supervisor_signal")
        run.drop("loki.pid")
        run.drop("loki.pgid")

    run.iterate(1, lambda: run.agents(main="active"), stopped)
    # What iterate() writes after that never happened.
    last = max(i for i, write in enumerate(run.writes) if write.path == "loki.pgid")
    return run.writes[: last + 1]


def named_session() -> list[Write]:
    """A run with a LOKI_SESSION_ID, whose own files lie in a directory of their own."""
    run = RunWriter("night-build")
    run.begin(43)
    run.iterate(1, lambda: run.agents(main="active"))
    run.end("deterministic_gates_passed", "complete")
    return run.writes


def unmeasured() -> list[Write]:
    """A provider that does not say what it uses: zeros that are none."""
    run = RunWriter()
    run.begin(44, "codex")
    run.iterate(1)
    zeros = {"iteration": 1, "input_tokens": 0, "output_tokens": 0, "cost_usd": 0}
    run.put("metrics/efficiency/iteration-1.json", zeros)
    run.end("max_iterations_reached", "max_iterations", "FAILED")
    return run.writes


def rotated() -> list[Write]:
    """The event file is moved aside and begun anew in the middle."""
    run = RunWriter()
    run.begin(45)
    run.iterate(1)
    lines = b"".join(w.data or b"" for w in run.writes if w.path == "events.jsonl")
    run.writes.append(
        Write(at_ms=run.second * 1000, path="events.jsonl.1", operation="move", data=lines)
    )
    run.event("iteration_start", iteration=2)
    run.end("council_force_approved", "complete")
    return run.writes


def never_whole() -> list[Write]:
    """Files that stay torn, empty or of a wrong shape, beside others that are well."""
    run = RunWriter()
    run.begin(46)
    run.put("queue/pending.json", '[{"id": "prd-001", "ti')
    run.put("queue/failed.json", "")
    run.put("state/agents.json", {"agents": "none"})
    run.put("metrics/budget.json", [1, 2])
    run.put("quality/gate-failure-count.json", {"tests": "many", "docs": 2})
    run.put("state/completion.json", "null")
    run.iterate(1)
    run.second += 1
    run.progress("gate_stuck_static_analysis", 1)
    run.drop("loki.pid")
    return run.writes


ALL_RUNS: Final = (
    sub_agents,
    two_runs,
    supervised_stop,
    named_session,
    unmeasured,
    rotated,
    never_whole,
)
