"""The main job from outside: a server process, real agents, and a plain HTTP client."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loki_twisted.model.redaction import redact
from tests.system import Server, StreamEvent

LOOK_SECONDS = 0.02  # others want the processor too, the server not least
HERE = Path(__file__).parent
ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def install(path: Path, *command: str) -> None:
    """Write a small executable that runs a command."""
    path.parent.mkdir(parents=True, exist_ok=True)
    words = " ".join(f"'{word}'" for word in command)
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def install_runner(home: Path, script: str) -> None:
    """Make a shell script the agent of a Loki installation."""
    path = home / "autonomy" / "run.sh"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory for LOKI_DIR."""
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    """A server on it, with a runner that a test may write later."""
    install_runner(home, "exit 0")
    with Server(home) as running:
        yield running


def messages(events: list[StreamEvent]) -> list[str]:
    return [event.data["message"] for event in events if event.type.startswith("log:")]


def test_the_demo_from_start_to_end(home: Path) -> None:
    """The built-in agent goes through its phases and tasks, asks, is answered, and completes."""
    with Server(home, LOKI_DEMO_SPEED="20", LOKI_DEMO_TIMEOUT="600") as server:
        session_id = server.start(provider="demo")
        asked = server.wait_for(session_id, "input:requested")
        assert asked.data["prompt"]
        server.post(f"/api/sessions/{session_id}/input", {"input": "yes"})
        events = server.until_end(session_id)
        kinds = [event.type for event in events]
        assert kinds[0] == "session:started"
        assert kinds[-1] == "session:completed"
        assert {"phase:started", "task:created", "task:started", "task:completed"} <= set(kinds)
        assert {"agent:spawned", "agent:completed", "metrics:update", "log:info"} <= set(kinds)
        assert kinds.count("task:created") == kinds.count("task:completed")
        phases = [event.data["phase"] for event in events if event.type == "phase:started"]
        assert len(phases) == len(set(phases))
        detail = server.get(f"/api/sessions/{session_id}")
        assert detail["session"]["status"] == "completed"
        assert detail["session"]["exitCode"] == 0
        assert detail["tasks"]["completed"] == detail["tasks"]["total"] > 0
        assert detail["agents"] == {"active": 0, "spawned": 2, "completed": 2}
        assert detail["session"]["usage"]["tokensUsed"] > 0
        numbers = [int(str(event.id).split("_")[1]) for event in events]
        assert numbers == sorted(set(numbers))


def test_input_reaches_the_agent(server: Server, home: Path) -> None:
    """What is sent is what the agent reads from its standard input, line by line."""
    install_runner(
        home, 'while read -r line; do echo "got $line"; [ "$line" = end ] && exit 7; done'
    )
    session_id = server.start()
    for line in ("one", "zwei ü", "end"):
        server.post(f"/api/sessions/{session_id}/input", {"input": line})
    events = server.until_end(session_id)
    assert messages(events) == ["got one", "got zwei ü", "got end"]
    assert events[-1].type == "session:failed"
    assert events[-1].data["exitCode"] == 7


def test_pause_halts_the_tree_and_resume_continues_it(server: Server, home: Path) -> None:
    """While it is paused no process of the tree runs; afterwards it goes on where it was."""
    install_runner(
        home, 'sh -c "sleep 300" & echo "child $!"; read -r line; echo "got $line"; kill $!'
    )
    session_id = server.start()
    child = int(server.wait_for(session_id, "log:info").data["message"].split()[1])
    answer = server.post(f"/api/sessions/{session_id}/pause")
    assert answer["status"] == "paused"
    pid = server.get(f"/api/sessions/{session_id}")["session"]["pid"]
    until(lambda: state_of(pid) == state_of(child) == "T")
    server.post(f"/api/sessions/{session_id}/input", {"input": "hello"})
    assert state_of(pid) == "T"
    assert server.request("POST", f"/api/sessions/{session_id}/pause").status == 409
    assert server.post(f"/api/sessions/{session_id}/resume")["status"] == "running"
    events = server.until_end(session_id)
    kinds = [event.type for event in events if event.type.startswith("session:")]
    assert kinds == [
        "session:started",
        "session:paused",
        "session:resumed",
        "session:completed",
    ]
    assert messages(events)[1:] == ["got hello"]


def state_of(pid: int) -> str:
    """The state letter of a process, or an empty string if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text.rpartition(")")[2].split()[0]


def until(condition: Callable[[], object]) -> None:
    """Wait for something that no event tells, bounded by the suite's own limit."""
    while not condition():
        time.sleep(LOOK_SECONDS)


@pytest.mark.promise("R10")
def test_stop_is_answered_at_once_and_leaves_nothing(server: Server, home: Path) -> None:
    """An agent that ignores SIGTERM, with a child in a session of its own, is gone."""
    install_runner(
        home,
        "trap '' TERM; setsid sleep 300 & echo \"child $!\"; while :; do sleep 300; done",
    )
    session_id = server.start()
    child = int(server.wait_for(session_id, "log:info").data["message"].split()[1])
    pid = server.get(f"/api/sessions/{session_id}")["session"]["pid"]
    answer = server.post(f"/api/sessions/{session_id}/stop")
    assert answer["status"] == "stopping"
    events = server.until_end(session_id)
    assert [e.type for e in events if e.type.startswith("session:")] == [
        "session:started",
        "session:stopped",
    ]
    assert state_of(pid) == state_of(child) == ""
    assert server.request("POST", f"/api/sessions/{session_id}/stop").status == 409
    assert server.request("DELETE", f"/api/sessions/{session_id}").status == 200
    assert server.request("GET", f"/api/sessions/{session_id}").status == 404


def test_output_whose_files_are_away(tmp_path: Path) -> None:
    """It is not found, and nobody takes it for empty; when they are there again all of it is."""
    install_runner(tmp_path, "echo printed")
    with Server(tmp_path) as server:
        session_id = server.start()
        server.until_end(session_id)
        path = f"/api/sessions/{session_id}/output"
        assert server.request("GET", path).body == b"printed\n"
        [files] = (tmp_path / ".loki" / "server").rglob(session_id)
        files.rename(tmp_path / "away")
        for query in ("", "?stream=stderr", "?follow=true", "?after=5"):
            gone = server.request("GET", path + query)
            assert (gone.status, gone.json["code"]) == (404, "NOT_FOUND")
            assert gone.json["details"] == {"sessionId": session_id}
        (tmp_path / "away").rename(files)
        assert server.request("GET", path).body == b"printed\n"


@pytest.mark.threat("T13")
def test_the_servers_secrets_are_not_in_an_agents_environment(home: Path) -> None:
    """The token is the server's, whatever else the agent inherits."""
    install_runner(home, "env; cat /proc/self/cmdline | tr '\\0' ' '; echo")
    with Server(home, LOKI_API_TOKEN="a-very-secret-token", OTHER_SECRET="hidden") as server:
        events = server.until_end(server.start())
        said = "\n".join(messages(events))
        assert "LOKI_SESSION_ID=session_" in said
        assert "LOKI_API_MODE=true" in said
        assert "a-very-secret-token" not in said
        assert "hidden" not in said
        pid = server.pid
        assert b"a-very-secret-token" not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_recorded_run_of_loki_mode(home: Path, tmp_path: Path) -> None:
    """Every console line of a real run is an event once, in order, without colours and keys."""
    recording = HERE / "data" / "run1-simple"
    install(
        tmp_path / "bin" / "loki",
        sys.executable,
        str(HERE / "standins" / "replay.py"),
        str(recording),
        "10",
    )
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    with Server(home, PATH=path) as server:
        session_id = server.start(provider="claude")
        events = server.until_end(session_id)
        tasks = server.get(f"/api/sessions/{session_id}/tasks")["tasks"]
        listed = server.get("/api/sessions")
    assert listed["total"] == 1
    assert {task["id"]: task["status"] for task in tasks} == {
        "prd-001": "pending",
        "prd-002": "pending",
        "iteration-1": "completed",
        "iteration-2": "completed",
        "todo-0": "skipped",
    }
    phases = [event.data["phase"] for event in events if event.type == "phase:started"]
    assert phases[:2] == ["bootstrap", "building"]
    console = [
        json.loads(line)
        for line in (recording / "console.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    files = {path.stem for path in (home / ".loki").rglob("*.log")}
    files |= {"events", "agent-audit", "loki-mode"}
    told = [
        event.data["message"]
        for event in events
        if event.type.startswith("log:") and event.data.get("source") not in files
    ]
    everything = []
    for stream in ("stdout", "stderr"):
        printed = [ANSI.sub("", step["line"]) for step in console if step["stream"] == stream]
        expected = [redact(without_level(line)) for line in printed]
        assert in_order(expected, told), stream
        everything += expected
    assert Counter(told) == Counter(everything)
    assert events[-1].type == "session:completed"
    assert events[-1].data["exitCode"] == int((recording / "exit_code").read_text())


def without_level(line: str) -> str:
    """The message of a console line: what follows a level and a source in brackets, if any."""
    return re.sub(r"^\[\w+\]\s*(\[[^\[\]]+\]\s*)?", "", line) or line


def in_order(expected: list[str], told: list[str]) -> bool:
    """Whether the expected lines are among those told, in their order."""
    rest = iter(told)
    return all(line in rest for line in expected)
