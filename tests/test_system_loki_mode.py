"""Driving Loki Mode from outside: a server, a stand-in for ``loki``, and a plain HTTP client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.system import TIMEOUT, Server, StreamEvent

STANDINS = Path(__file__).parent / "standins"
LOOK_SECONDS = 0.02
KEY = "fake-key-0123456789-0000"
TERMINALS = 6


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for something that no event tells, not for ever."""
    deadline = time.monotonic() + TIMEOUT
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(LOOK_SECONDS)
    return found


def carriers(session_id: str) -> list[int]:
    """The processes that were started for a session and are not dead, by ``/proc`` alone."""
    entry = f"LOKI_SESSION_ID={session_id}".encode()
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            entries = Path("/proc", name, "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if entry in entries:
            found.append(int(name))
    return found


@attrs.define
class Project:
    """A directory that the stand-in works in."""

    path: Path

    def plan(self, **plan: Any) -> None:
        """Say what its next run is to do."""
        self.path.mkdir(exist_ok=True)
        (self.path / "prd.md").write_text("Build it.\n")
        (self.path / "standin.json").write_text(json.dumps(plan))

    def wait_for(self, name: str) -> str:
        """Wait until a file has content; give that."""
        path = self.path / name
        return until(lambda: path.exists() and path.read_text(), f"{name} in {self.path}")

    def go(self, iteration: int) -> None:
        """Let a provider call end."""
        (self.path / f"go-{iteration}").touch()

    def state(self, name: str | None = None) -> str:
        """What the run says of itself."""
        own = Path("sessions", name) if name else Path()
        path = self.path / ".loki" / own / "autonomy-state.json"
        return json.loads(path.read_text())["status"] if path.exists() else ""

    @property
    def log(self) -> list[list[str]]:
        """What the stand-in did to the state directory."""
        return [json.loads(line) for line in (self.path / "standin.log").read_text().splitlines()]


@attrs.define
class Place:
    """A server, and where its projects are."""

    server: Server
    root: Path
    environ: dict[str, str]
    temporary: Path
    used: int = 0

    def project(self, **plan: Any) -> Project:
        """A new project below the root."""
        self.used += 1
        project = Project(self.root / f"project-{self.used}")
        project.plan(**plan)
        return project

    def start(self, project: Project, **wanted: Any) -> str:
        """Start a session with a PRD."""
        wanted = {"prdPath": "prd.md", "provider": "claude", **wanted}
        return self.server.start(projectDir=str(project.path), **wanted)

    def session(self, session_id: str) -> dict[str, Any]:
        """A session as readers see it."""
        return self.server.get(f"/api/sessions/{session_id}")["session"]

    def order(self, session_id: str, word: str, body: object = None, status: int = 200) -> Any:
        """Give an order."""
        return self.server.post(f"/api/sessions/{session_id}/{word}", body, status)

    def end(self, session_id: str) -> StreamEvent:
        """The event that ends a session."""
        return self.server.until_end(session_id)[-1]

    def leaves_nothing(self, session_id: str, project: Project) -> None:
        """No process, no lock, no copy of a script: the next run can start."""
        assert carriers(session_id) == []
        state = project.path / ".loki"
        left = [*state.rglob("loki.pid"), *state.rglob("loki.pgid"), *state.rglob("*.lockdir")]
        assert left == []
        assert not any((state / "checkout-runs").iterdir())
        assert list(self.temporary.glob("loki-run-*")) == []
        project.plan()
        again = self.end(self.start(project))
        assert (again.type, again.data["exitCode"]) == ("session:completed", 0)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One server for all tests here, each of which has its own projects."""
    base = tmp_path_factory.mktemp("loki-mode")
    for name in ("home", "root", "bin", "tmp", *(f"terminal-{n}" for n in range(TERMINALS))):
        (base / name).mkdir()
    # Without a path of ours in it, by which a `loki` is known as our own.
    (base / "bin/loki").write_text('#!/bin/sh\nexec "$LOKI_STANDIN_PYTHON" '
                                   '"$LOKI_STANDIN_HOME/loki_mode.py" "$@"\n')  # fmt: skip
    (base / "bin/loki").chmod(0o755)
    environ = {
        "PATH": f"{base / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": str(base / "tmp"),
        "LOKI_STANDIN_PYTHON": sys.executable,
        "LOKI_STANDIN_HOME": str(STANDINS),
        "ANTHROPIC_API_KEY": KEY,
    }
    roots = [base / "root", *(base / f"terminal-{n}" for n in range(TERMINALS))]
    options = [word for root in roots for word in ("--project-root", str(root))]
    with Server(base / "home", *options, "--grace", "3", **environ) as server:
        yield Place(server, base / "root", environ, base / "tmp")


# Start


def test_the_process_is_the_run(place: Place) -> None:
    """The session's process is the run itself, which leads a group of its own."""
    project = place.project(call="gated")
    session_id = place.start(project)
    pid = place.session(session_id)["pid"]
    project.wait_for("called-1")
    own = project.path / ".loki/sessions" / session_id
    assert int((own / "loki.pid").read_text()) == pid == os.getpgid(pid) == os.getsid(pid)
    assert (own / "loki.pgid").read_text().startswith(f"pgid={pid} ")
    project.go(1)
    assert place.end(session_id).type == "session:completed"
    assert place.session(session_id)["steeredBy"] == "files"
    place.leaves_nothing(session_id, project)


@pytest.mark.parametrize(
    ("end", "kind", "code", "reason"),
    [
        ("complete", "session:completed", 0, None),
        ("max_iterations", "session:failed", 20, "It reached its limit of iterations."),
        (
            "failed",
            "session:failed",
            1,
            "Loki Mode gave up. Iteration 2 failed with exit code 1.",
        ),
    ],
)
def test_ends_by_themselves(
    place: Place, end: str, kind: str, code: int, reason: str | None
) -> None:
    """The session ends as the run says that it ended, with its exit code."""
    session_id = place.start(place.project(end=end))
    event = place.end(session_id)
    assert (event.type, event.data["exitCode"]) == (kind, code)
    assert place.session(session_id)["reason"] == reason


def test_what_is_ordered_before_the_start_is_lost(place: Place) -> None:
    """Files from before are deleted by the run, so nothing is paused or stopped by them."""
    project = place.project()
    (project.path / ".loki").mkdir()
    for name in ("PAUSE", "STOP", "HUMAN_INPUT.md"):
        (project.path / ".loki" / name).touch()
    events = place.server.until_end(place.start(project))
    assert [e.type for e in events if e.type.startswith("session:")] == [
        "session:started",
        "session:completed",
    ]


def test_orders_while_it_starts_are_refused(place: Place) -> None:
    """They would be deleted, so they are not accepted."""
    project = place.project(startup="up", call="gated")
    session_id = place.start(project)
    until((project.path / ".loki/checkout-runs").exists, "it starts")
    for word, body in (("pause", None), ("input", {"input": "x"})):
        answer = place.server.request("POST", f"/api/sessions/{session_id}/{word}", body)
        assert answer.status == 409, answer
    (project.path / "up").touch()
    project.wait_for("called-1")
    place.order(session_id, "input", {"input": "x"})
    place.order(session_id, "stop")
    assert place.end(session_id).type == "session:stopped"


def test_secrets_and_prompts_are_not_in_events(place: Place) -> None:
    """The key that it shows is masked, and a line stands for each prompt that it prints."""
    events = place.server.until_end(place.start(place.project(iterations=2)))
    messages = [event.data.get("message", "") for event in events]
    assert "API key ANTHROPIC_API_KEY: *** (24 chars)" in messages
    everything = json.dumps([event.event for event in events])
    for secret in (KEY[:8], KEY[-4:] + " ", "sk-stand-in", "RALPH WIGGUM", "HUMAN_DIRECTIVE"):
        assert secret not in everything
    left_out = [each for each in messages if each.startswith("[A prompt of ")]
    assert len(left_out) == 2
    assert "I work on iteration 2." in messages


# Stop


@pytest.mark.parametrize("wrapped", [True, False], ids=["own session", "our group"])
@pytest.mark.parametrize("call", ["gated", "silent", "stubborn"])
def test_stop_leaves_nothing(place: Place, call: str, wrapped: bool) -> None:
    """Whatever the provider does, and in whatever session: all of it is gone, and locks too."""
    project = place.project(call=call, wrapped=wrapped)
    session_id = place.start(project)
    provider = int(project.wait_for("called-1"))
    assert provider in carriers(session_id)
    assert place.order(session_id, "stop")["status"] == "stopping"
    event = place.end(session_id)
    assert event.type == "session:stopped"
    if call != "stubborn":
        assert event.data["exitCode"] == 143
        assert project.state(session_id) == "interrupted"
    place.leaves_nothing(session_id, project)


def test_stop_while_it_is_paused(place: Place) -> None:
    """It ends at once."""
    project = place.project(call="gated", iterations=2)
    session_id = place.start(project)
    project.wait_for("called-1")
    place.order(session_id, "pause")
    project.go(1)
    place.server.wait_for(session_id, "session:paused")
    place.order(session_id, "stop")
    event = place.end(session_id)
    assert (event.type, event.data["exitCode"]) == ("session:stopped", 143)
    place.leaves_nothing(session_id, project)


@pytest.mark.parametrize("wrapped", [True, False], ids=["own session", "our group"])
@pytest.mark.parametrize("kill", [os.killpg, os.kill], ids=["all of it", "the run alone"])
def test_somebody_kills_it(place: Place, kill: Callable[[int, int], None], wrapped: bool) -> None:
    """SIGKILL fails the session; no provider and no lock survives."""
    project = place.project(call="silent", wrapped=wrapped)
    session_id = place.start(project)
    project.wait_for("called-1")
    pid = place.session(session_id)["pid"]
    own = project.path / ".loki/sessions" / session_id
    assert list(place.temporary.glob("loki-run-*"))
    place.order(session_id, "pause")
    kill(pid, signal.SIGKILL)
    event = place.end(session_id)
    assert (event.type, event.data["exitCode"]) == ("session:failed", 137)
    assert not (own / "loki.pid").exists()
    place.leaves_nothing(session_id, project)


def test_a_script_that_calls_it(place: Place) -> None:
    """Where ``loki`` is one, the run is its child: it takes orders all the same."""
    program = place.root.parent / "bin/loki"
    words = program.read_text()
    program.write_text(words.replace("exec ", "") + "exit $?\n")
    try:
        project = place.project(call="gated", iterations=3)
        session_id = place.start(project)
        project.wait_for("called-1")
    finally:
        program.write_text(words)
    place.order(session_id, "pause")
    project.go(1)
    place.server.wait_for(session_id, "session:paused")
    place.order(session_id, "resume")
    place.server.wait_for(session_id, "session:resumed")
    project.wait_for("called-2")
    place.order(session_id, "stop")
    assert place.end(session_id).type == "session:stopped"
    assert carriers(session_id) == []
    assert list(place.temporary.glob("loki-run-*")) == []
    project.plan()
    assert place.end(place.start(project)).type == "session:completed"


@pytest.mark.parametrize("is_paused", [False, True], ids=["at work", "paused"])
def test_somebody_types_loki_stop(place: Place, is_paused: bool) -> None:
    """A STOP file, SIGKILL, and the pid file removed: it was stopped, as an observed one is."""
    project = place.project(call="gated", iterations=2)
    session_id = place.start(project)
    project.wait_for("called-1")
    place.order(session_id, "pause")
    if is_paused:
        project.go(1)
        place.server.wait_for(session_id, "session:paused")
    stop, pid = project.path / ".loki/STOP", place.session(session_id)["pid"]
    os.kill(pid, signal.SIGSTOP)  # it shall not find the file itself
    stop.touch()
    os.kill(pid, signal.SIGKILL)
    (project.path / ".loki/sessions" / session_id / "loki.pid").unlink(missing_ok=True)
    stop.unlink()
    event = place.end(session_id)
    assert (event.type, event.data["exitCode"]) == ("session:stopped", 137)
    assert event.data["message"] == "It was ended from outside."
    place.leaves_nothing(session_id, project)


def test_somebody_interrupts_it(place: Place) -> None:
    """SIGTERM to its group ends it, and that is no failure of its own."""
    project = place.project(call="silent")
    session_id = place.start(project)
    project.wait_for("called-1")
    pid = place.session(session_id)["pid"]
    os.killpg(pid, signal.SIGTERM)
    event = place.end(session_id)
    assert (event.type, event.data["exitCode"]) == ("session:stopped", 143)
    assert event.data["message"] == "It was interrupted by a signal."
    place.leaves_nothing(session_id, project)


def test_somebody_writes_a_stop_file(place: Place) -> None:
    """Exit code 0 is no success then: the session was stopped."""
    project = place.project(call="gated", iterations=2)
    session_id = place.start(project)
    project.wait_for("called-1")
    (project.path / ".loki/STOP").touch()
    project.go(1)
    event = place.end(session_id)
    assert (event.type, event.data["exitCode"]) == ("session:stopped", 0)
    assert event.data["message"] == "It was stopped by its STOP file."
    place.leaves_nothing(session_id, project)


# Pause and resume


def test_pause_and_resume(place: Place) -> None:
    """Both are requests first, and events when they have been taken."""
    project = place.project(call="gated", iterations=2)
    session_id = place.start(project)
    project.wait_for("called-1")
    answer = place.order(session_id, "pause")
    assert answer["status"] == "running"
    assert "before its next iteration" in answer["message"]
    assert place.session(session_id)["reason"] == answer["message"]
    project.go(1)
    place.server.wait_for(session_id, "session:paused")
    assert place.session(session_id)["status"] == "paused"
    keep = project.path / ".loki/signals/RATE_LIMITED"
    keep.touch()
    answer = place.order(session_id, "resume")
    assert answer["status"] == "paused"
    place.server.wait_for(session_id, "session:resumed")
    session = place.session(session_id)
    assert (session["status"], session["reason"]) == ("running", None)
    assert keep.exists()
    project.wait_for("called-2")
    project.go(2)
    assert place.end(session_id).type == "session:completed"
    place.leaves_nothing(session_id, project)


def test_a_pause_that_is_taken_back(place: Place) -> None:
    """Before it is taken, resume takes the request back, and nothing has happened."""
    project = place.project(call="gated", iterations=2)
    session_id = place.start(project)
    project.wait_for("called-1")
    place.order(session_id, "pause")
    answer = place.order(session_id, "resume")
    assert (answer["status"], answer["message"]) == ("running", "The session goes on.")
    assert not (project.path / ".loki/PAUSE").exists()
    assert place.server.request("POST", f"/api/sessions/{session_id}/resume").status == 409
    project.go(1)
    project.go(2)
    kinds = [event.type for event in place.server.until_end(session_id)]
    assert "session:paused" not in kinds


def test_somebody_pauses_it(place: Place) -> None:
    """A pause from a terminal is told as well, first as a request."""
    project = place.project(call="gated", iterations=2)
    session_id = place.start(project)
    project.wait_for("called-1")
    (project.path / ".loki/PAUSE").touch()
    until(lambda: place.session(session_id)["reason"], "the request is seen")
    project.go(1)
    place.server.wait_for(session_id, "session:paused")
    (project.path / ".loki/PAUSE").unlink()
    place.server.wait_for(session_id, "session:resumed")
    project.go(2)
    assert place.end(session_id).type == "session:completed"


def test_a_perpetual_run_is_not_paused(place: Place) -> None:
    """Without a PRD it ignores PAUSE: so the order is refused, and no file is written."""
    project = place.project(call="gated", iterations=2)
    session_id = place.start(project, prdPath=None)
    project.wait_for("called-1")
    answer = place.server.request("POST", f"/api/sessions/{session_id}/pause")
    assert answer.status == 409
    assert "perpetual" in answer.json["error"]
    assert not (project.path / ".loki/PAUSE").exists()
    (project.path / ".loki/PAUSE").touch()
    until(lambda: place.session(session_id)["reason"], "the request is seen")
    project.go(1)
    warned = place.server.wait_for(session_id, "log:warn")
    assert "does not pause" in warned.data["message"]
    project.go(2)
    kinds = [event.type for event in place.server.until_end(session_id)]
    assert "session:paused" not in kinds


def test_a_run_over_its_budget(place: Place) -> None:
    """It pauses by itself; resume is refused because it would pause again; stop ends it."""
    project = place.project(budget=True, iterations=2)
    session_id = place.start(project)
    paused = place.server.wait_for(session_id, "session:paused")
    assert "budget" in paused.data["message"]
    answer = place.server.request("POST", f"/api/sessions/{session_id}/resume")
    assert answer.status == 409
    assert "again" in answer.json["error"]
    assert (project.path / ".loki/PAUSE").exists()
    place.order(session_id, "stop")
    assert place.end(session_id).type == "session:stopped"
    place.leaves_nothing(session_id, project)


# Input


def test_input(place: Place) -> None:
    """It waits for the next iteration, one at a time, and the run tells that it took it."""
    project = place.project(call="gated", iterations=2)
    session_id = place.start(project)
    project.wait_for("called-1")
    assert place.session(session_id)["acceptsInput"]
    answer = place.order(session_id, "input", {"input": "Add a farewell."})
    assert "before its next iteration" in answer["message"]
    place.order(session_id, "input", {"input": "And more."}, status=409)
    assert (project.path / ".loki/HUMAN_INPUT.md").read_text() == "Add a farewell."
    place.order(session_id, "input", {"input": "x" * 100_001}, status=422)
    place.order(session_id, "input", {"input": "x" * 1_048_577}, status=413)
    project.go(1)
    until(
        lambda: [
            event
            for event in place.server.get(
                f"/api/events/history?sessionId={session_id}&types=log:info&limit=1000"
            )["events"]
            if "has taken the input: it is in .loki/logs/human-input-" in event["data"]["message"]
        ],
        "the input is acknowledged",
    )
    place.order(session_id, "input", {"input": "For nobody."})
    project.go(2)
    events = place.server.until_end(session_id)
    warned = [event.data["message"] for event in events if event.type == "log:warn"]
    assert warned == [] or "before it read the input" in warned[-1]


# Runs of others


def terminal(
    place: Place, project: Project, name: str, **variables: str
) -> subprocess.Popen[bytes]:
    """Somebody types ``loki start``; its state is in the directory of a session."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOKI_")}
    own = project.path / ".loki/sessions" / name
    own.mkdir(parents=True)
    (own / "session.json").write_text(json.dumps({"id": name, "status": "running"}))
    return subprocess.Popen(
        ["loki", "start", "--provider", "claude", "--prd", "prd.md"],
        cwd=project.path,
        env={**inherited, **place.environ, "LOKI_SESSION_ID": name, **variables},
        executable=place.root.parent / "bin/loki",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def observed(place: Place, number: int, **plan: Any) -> tuple[Project, str]:
    """A watched project, and the id of a session in it."""
    project = Project(place.root.parent / f"terminal-{number}")
    project.plan(**plan)
    return project, f"session_1795478400000_0000000{number}"


def test_a_run_of_somebody_else_is_steered_by_files(place: Place) -> None:
    """It is paused, resumed, told things and stopped by files, and never gets a signal."""
    project, name = observed(place, 0, call="gated", iterations=3)
    run = terminal(place, project, name, LOKI_PROMPT_INJECTION="true")
    project.wait_for("called-1")
    until(lambda: place.server.request("GET", f"/api/sessions/{name}").status == 200, "seen")
    assert place.session(name)["origin"] == "observed"
    answer = place.order(name, "pause")
    assert (answer["status"], "requested" in answer["message"]) == ("running", True)
    project.go(1)
    until(lambda: project.state(name) == "paused", "it pauses")
    assert place.order(name, "input", {"input": "Hello."})["message"].startswith("The input waits")
    (project.path / ".loki/PAUSE").unlink()
    project.wait_for("called-2")
    taken = until(
        lambda: [
            event["data"]["message"]
            for event in place.server.get(f"/api/events/history?sessionId={name}")["events"]
            if event["type"] == "log:info" and "taken" in event["data"]["message"]
        ],
        "the input is acknowledged",
    )
    assert len(taken) == 1
    answer = place.order(name, "stop")
    assert answer["status"] == "running"
    assert "before its next iteration" in answer["message"]
    assert run.poll() is None
    project.go(2)
    assert run.wait(TIMEOUT) == 0
    assert ["rename", "state/completion.json", "stopped"] in project.log
    assert not any("PAUSE_AT_CHECKPOINT" in path for _, path, _ in project.log)


def test_a_run_of_somebody_else_that_takes_no_input(place: Place) -> None:
    """Without its variable it would reject the text, so we do."""
    project, name = observed(place, 1, call="gated")
    run = terminal(place, project, name)
    project.wait_for("called-1")
    until(lambda: place.server.request("GET", f"/api/sessions/{name}").status == 200, "seen")
    answer = place.order(name, "input", {"input": "Hello."}, status=409)
    assert "LOKI_PROMPT_INJECTION" in answer["error"]
    project.go(1)
    assert run.wait(TIMEOUT) == 0
    place.order(name, "pause", status=409)


def test_no_second_run_beside_somebody_elses(place: Place) -> None:
    """It would only exit with 1: so it is refused, names the other, and can wait for its turn."""
    project, name = observed(place, 2, call="gated")
    run = terminal(place, project, name)
    project.wait_for("called-1")
    until(lambda: place.server.request("GET", f"/api/sessions/{name}").status == 200, "seen")
    body = {"projectDir": str(project.path), "prdPath": "prd.md", "provider": "claude"}
    answer = place.server.request("POST", "/api/sessions", body)
    assert (answer.status, answer.json["code"]) == (409, "SESSION_ALREADY_RUNNING")
    assert answer.json["details"]["sessionId"] == name
    waiting = place.server.post("/api/sessions", {**body, "queue": True}, 201)
    assert waiting["status"] == "queued"
    project.go(1)
    assert run.wait(TIMEOUT) == 0
    assert place.end(waiting["sessionId"]).type == "session:completed"


def test_numbers_in_files_kill_nobody(place: Place) -> None:
    """A file that names a process of somebody's own is no run, and that process lives on."""
    project, name = observed(place, 3)
    own = project.path / ".loki/sessions" / name
    own.mkdir(parents=True)
    bystander = subprocess.Popen(["sleep", "300"])
    try:
        (own / "loki.pid").write_text(f"{bystander.pid}\n")
        (own / "loki.pgid").write_text(f"pgid={bystander.pid} boot=1 started=1\n")
        (own / "session.json").write_text(json.dumps({"id": name, "status": "running"}))
        until(lambda: place.server.request("GET", f"/api/sessions/{name}").status == 200, "seen")
        for word in ("stop", "pause"):
            place.order(name, word, status=409)
        assert place.end(place.start(project)).type == "session:completed"
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


# Several at once, and restarts


def test_two_projects_at_once(place: Place) -> None:
    """Each has its own state directory, and what is ordered of one does nothing to the other."""
    one, two = place.project(call="gated", iterations=2), place.project(call="gated")
    first, second = place.start(one), place.start(two)
    for project in (one, two):
        project.wait_for("called-1")
    place.order(first, "pause")
    one.go(1)
    place.server.wait_for(first, "session:paused")
    assert place.session(second)["status"] == "running"
    assert not (two.path / ".loki/PAUSE").exists()
    place.order(first, "stop")
    assert place.end(first).type == "session:stopped"
    assert place.session(second)["status"] == "running"
    two.go(1)
    events = place.server.until_end(second)
    assert events[-1].type == "session:completed"
    assert {event.event["sessionId"] for event in events} == {second}
    outside = place.root.parent / "home" / ".."
    body = {"projectDir": str(outside), "provider": "claude"}
    assert place.server.request("POST", "/api/sessions", body).status == 422


def test_the_next_server_goes_on(place: Place, tmp_path: Path) -> None:
    """After a crash it knows of a pause, a request and an input, and halts nothing."""
    project = Project(tmp_path / "project")
    project.plan(call="gated", iterations=3)
    (tmp_path / "home").mkdir()
    options = ("--project-root", str(tmp_path), "--grace", "3")
    with Server(tmp_path / "home", *options, **place.environ) as server:
        own = Place(server, tmp_path, place.environ, place.temporary)
        session_id = own.start(project)
        project.wait_for("called-1")
        own.order(session_id, "pause")
        server.kill()
    project.go(1)
    until(lambda: project.state(session_id) == "paused", "it pauses while no server runs")
    with Server(tmp_path / "home", *options, **place.environ) as server:
        own = Place(server, tmp_path, place.environ, place.temporary)
        server.wait_for(session_id, "session:paused")
        own.order(session_id, "input", {"input": "Hello."})
        server.kill()
    (project.path / ".loki/PAUSE").unlink()
    project.wait_for("called-2")
    with Server(tmp_path / "home", *options, **place.environ) as server:
        own = Place(server, tmp_path, place.environ, place.temporary)
        server.wait_for(session_id, "session:resumed")
        project.go(2)
        project.go(3)
        events = server.until_end(session_id)
        told = [e.data["message"] for e in events if e.type == "log:info"]
        assert len([each for each in told if "has taken the input" in each]) == 1
        assert [e.type for e in events if e.type.startswith("session:")] == [
            "session:started",
            "session:paused",
            "session:resumed",
            "session:completed",
        ]
