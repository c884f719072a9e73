"""Runs that somebody starts in a terminal, in a watched project: seen, steered and left alone."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

from tests.system import TIMEOUT
from tests.test_system_loki_mode import Place, Project, place, until

__all__ = ["place"]  # a fixture


def terminal(place: Place, number: int, **plan: Any) -> tuple[Project, subprocess.Popen[bytes]]:
    """Somebody types ``loki start`` in a project that is watched, and nothing of ours is in it."""
    project = Project(place.root.parent / f"terminal-{number}")
    project.plan(**plan)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOKI_")}
    run = subprocess.Popen(
        ["loki", "start", "--provider", "claude", "--prd", "prd.md"],
        cwd=project.path,
        env={**inherited, **place.environ, "LOKI_PROMPT_INJECTION": "true"},
        executable=place.root.parent / "bin/loki",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    project.wait_for("called-1")
    return project, run


def session_in(place: Place, project: Project) -> dict[str, Any]:
    """The observed session of a project, once there is one."""
    return until(
        lambda: next(
            (
                session
                for session in place.server.get("/api/sessions")["sessions"]
                if session["projectDir"] == str(project.path) and session["origin"] == "observed"
            ),
            None,
        ),
        "it is observed",
    )


def taken(place: Place, session_id: str) -> list[str]:
    """What a session was told about inputs that were taken."""
    page = place.server.get(f"/api/events/history?sessionId={session_id}&types=log:info")
    messages = [event["data"]["message"] for event in page["events"]]
    return [each for each in messages if "taken" in each and "input" in each.casefold()]


def test_from_start_to_stop(place: Place) -> None:
    """It is paused, resumed, told things and stopped by files, and its events say so."""
    project, run = terminal(place, 0, call="gated", iterations=3)
    name = session_in(place, project)["id"]
    until(lambda: place.session(name)["status"] == "running", "it runs")
    until(lambda: place.session(name)["acceptsInput"], "it takes input")
    body = {"projectDir": str(project.path), "prdPath": "prd.md", "provider": "claude"}
    refused = place.server.request("POST", "/api/sessions", body)
    assert (refused.status, refused.json["code"]) == (409, "SESSION_ALREADY_RUNNING")
    assert refused.json["details"]["sessionId"] == name
    assert "requested" in place.order(name, "pause")["message"]
    project.go(1)
    place.server.wait_for(name, "session:paused")
    place.order(name, "input", {"input": "Hello."})
    assert place.order(name, "resume")["status"] == "paused"
    place.server.wait_for(name, "session:resumed")
    project.wait_for("called-2")
    until(lambda: taken(place, name), "the input is acknowledged")
    assert "requested" in place.order(name, "stop")["message"]
    assert run.poll() is None
    project.go(2)
    assert run.wait(TIMEOUT) == 0
    events = place.server.until_end(name)
    assert [event.type for event in events if event.type.startswith("session:")] == [
        "session:started",
        "session:paused",
        "session:resumed",
        "session:stopped",
    ]
    assert len(taken(place, name)) == 1
    assert not any("PAUSE_AT_CHECKPOINT" in path for _, path, _ in project.log)


def test_one_that_is_killed(place: Place) -> None:
    """Its session fails, orders to it are refused, and a run of ours takes its place."""
    project, run = terminal(place, 1, call="gated")
    name = session_in(place, project)["id"]
    until(lambda: place.session(name)["status"] == "running", "it runs")
    os.killpg(run.pid, signal.SIGKILL)
    run.wait(TIMEOUT)
    project.go(1)
    place.order(name, "pause", status=409)
    place.order(name, "stop", status=409)
    project.plan()
    ours = place.start(project)
    assert place.end(ours).type == "session:completed"
    assert place.end(name).type in ("session:failed", "session:stopped")
    assert place.session(ours)["status"] == "completed"


def test_beside_one_of_ours(place: Place) -> None:
    """Two projects at once, one of them a terminal's: neither is taken for the other."""
    project, run = terminal(place, 2, call="gated")
    name = session_in(place, project)["id"]
    own = place.project(call="gated", iterations=2)
    ours = place.start(own)
    own.wait_for("called-1")
    place.order(ours, "pause")
    own.go(1)
    place.server.wait_for(ours, "session:paused")
    assert place.session(name)["status"] == "running"
    assert not (project.path / ".loki/PAUSE").exists()
    place.order(ours, "stop")
    assert place.end(ours).type == "session:stopped"
    assert run.poll() is None
    project.go(1)
    assert run.wait(TIMEOUT) == 0
    assert place.end(name).type == "session:completed"


def test_beside_another_agent_in_the_same_project(place: Place) -> None:
    """It is a session of its own, with its tasks and its logs, and not that agent's."""
    directory = str(place.root.parent / "terminal-3")
    ours = place.server.start(projectDir=directory, provider="demo", prompt="Wait.")
    project, run = terminal(place, 3, call="gated")
    name = session_in(place, project)["id"]
    state = project.path / ".loki"
    (state / "queue/new.json").write_text('[{"id": "theirs", "title": "A task"}]')
    (state / "queue/new.json").replace(state / "queue/pending.json")
    place.server.wait_for(name, "task:created")
    with (state / "events.jsonl").open("a") as events:
        events.write('{"type": "theirs"}\n')
    until(lambda: said(place, name, "Theirs"), "its line is told")
    place.server.request("POST", f"/api/sessions/{ours}/stop")
    assert not said(place, ours, "Theirs")
    tasks = place.server.get(f"/api/sessions/{ours}/tasks")["tasks"]
    assert "theirs" not in {task["id"] for task in tasks}
    project.go(1)
    assert run.wait(TIMEOUT) == 0
    assert place.end(name).type == "session:completed"


def said(place: Place, session_id: str, message: str) -> bool:
    """Whether a session has told a log line."""
    page = place.server.get(f"/api/events/history?sessionId={session_id}&limit=1000&types=log:*")
    return any(event["data"]["message"] == message for event in page["events"])
