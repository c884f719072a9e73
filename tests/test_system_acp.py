"""Agents of the Agent Client Protocol through the real server: what is told and heard."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acp_support import STANDIN
from tests.system import Server
from tests.told import outputs

YES = {"outcome": "selected", "optionId": "yes"}
NO = {"outcome": "selected", "optionId": "no"}


def install(directory: Path, manner: str, name: str = "gemini") -> None:
    """Put the stand-in on a path, as a program that begins in a manner."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    script = f"#!/bin/sh\nexec '{sys.executable}' -I '{STANDIN}' {manner} \"$@\"\n"
    path.write_text(script, encoding="utf-8")
    path.chmod(0o755)


def serve(home: Path, *options: str, manner: str = "plain") -> Server:
    """A server that finds the stand-in under the name of gemini, and no Loki Mode."""
    install(home / "bin", manner)
    return Server(home, *options, PATH=os.pathsep.join([str(home / "bin"), "/usr/bin", "/bin"]))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that neither end it nor look at what others have left in it."""
    with serve(tmp_path_factory.mktemp("acp")) as running:
        yield running


def test_a_plain_run(server: Server) -> None:
    """From the start to the end: what it says, thinks, plans and does, and what it spends."""
    session_id = server.start(provider="gemini", prompt="plain")
    events = server.until_end(session_id)
    session = server.session(session_id)
    tasks = server.get(f"/api/sessions/{session_id}/tasks")["tasks"]
    usage = server.get(f"/api/usage?sessionId={session_id}")
    assert outputs(events, "thinking") == ["Let me think."]
    assert outputs(events) == ["I look at the file.\n\n", "It is done."]
    assert len(outputs(events, "tool_call")) == len(outputs(events, "tool_result")) == 3
    assert [
        each.type for each in events if each.type.startswith(("session:", "agent:s", "agent:c"))
    ] == [
        "session:started",
        "agent:spawned",
        "agent:completed",
        "session:completed",
    ]
    assert {each["title"]: each["status"] for each in tasks} == {
        "Look": "completed",
        "Write": "running",
        "Test": "pending",
    }
    assert (session["conversation"], session["exitCode"]) == ("sess-1", 0)
    assert usage["sum"]["spending"]["cost"] == pytest.approx(0.03)
    assert usage["sum"]["spending"]["inputTokens"] == 100
    assert usage["sum"]["origins"] == ["reported"]


def test_a_permission_over_a_restart(tmp_path: Path) -> None:
    """What it asks stays open when the server is killed, and the next one hands it the answer."""
    with serve(tmp_path) as server:
        session_id = server.start(provider="gemini", prompt="permit rm -r build")
        asked = server.wait_for(session_id, "input:requested")
        server.kill()
    with serve(tmp_path) as server:
        (waiting,) = server.get("/api/inputs")["inputs"]
        assert waiting["id"] == asked.data["inputId"]
        assert waiting["details"]["arguments"] == {"command": "rm -r build"}
        server.post(f"/api/sessions/{session_id}/inputs/{waiting['id']}", {"answer": "yes"})
        events = server.until_end(session_id)
    assert outputs(events) == [f"outcome {json.dumps(YES)}"]
    assert [each.type for each in events].count("input:requested") == 1
    assert events[-1].type == "session:completed"


def test_a_permission_that_nobody_decides(tmp_path: Path) -> None:
    """The policy does when the limit has passed, and the agent goes on."""
    with serve(tmp_path, "--on-unanswered", "deny", "--input-timeout", "1") as server:
        session_id = server.start(provider="gemini", prompt="permit make")
        events = server.until_end(session_id)
    assert outputs(events) == [f"outcome {json.dumps(NO)}"]


def test_two_questions_and_a_message(server: Server) -> None:
    """Each answer reaches its own question, and what is said meanwhile is the next turn."""
    session_id = server.start(provider="gemini", prompt="two")
    ids = {}
    for event in server.stream(f"sessionId={session_id}&types=input:*&lastEventId=earliest"):
        ids[event.data["prompt"]] = event.data["inputId"]
        if len(ids) == 2:
            break
    server.post(f"/api/sessions/{session_id}/input", {"input": "plain"})
    for prompt, value in (("Run make clean", "no"), ("Run make", "yes")):
        server.post(f"/api/sessions/{session_id}/inputs/{ids[prompt]}", {"answer": value})
    events = server.until_end(session_id)
    said = "".join(outputs(events)).split("\n\n")
    assert said[:2] == [f"second {json.dumps(NO)}", f"first {json.dumps(YES)}"]
    assert said[-1] == "It is done."
    kinds = [each.type for each in events if each.type.startswith(("message:", "session:c"))]
    assert kinds == ["message:queued", "message:delivered", "session:completed"]


def test_an_interrupted_turn_and_a_message(server: Server) -> None:
    """What is open is withdrawn, the agent stays, and what it is told then is its next turn."""
    session_id = server.start(provider="gemini", prompt="permit make")
    server.wait_for(session_id, "input:requested")
    server.post(f"/api/sessions/{session_id}/interrupt")
    server.wait_for(session_id, "input:withdrawn")
    path = f"/api/sessions/{session_id}/input"
    receipt = server.post(path, {"input": "plain", "delivery": "next"})
    events = server.until_end(session_id)
    assert "I leave off." in outputs(events)
    assert "It is done." in outputs(events)
    (delivered,) = (each for each in events if each.type == "message:delivered")
    assert delivered.data["messageId"] == receipt["messageId"]
    assert events[-1].type == "session:completed"


@pytest.mark.parametrize(
    ("manner", "prompt", "reason"),
    [
        ("plain", "refuse", "It refused to go on."),
        ("plain", "broken", "Internal error: the model is overloaded"),
        ("locked", "plain", "It wants a login"),
        ("future", "plain", "It speaks version 2"),
        ("plain", "crash", "panic: at the disco"),
        ("mute", "plain", "exit"),
    ],
)
def test_runs_that_fail(tmp_path: Path, manner: str, prompt: str, reason: str) -> None:
    """Whatever its exit code, the session has failed, and the reason is the one that it had."""
    with serve(tmp_path, manner=manner) as server:
        session_id = server.start(provider="gemini", prompt=prompt)
        events = server.until_end(session_id)
        session = server.session(session_id)
    assert events[-1].type == "session:failed"
    assert reason in session["reason"]


def test_a_conversation_that_goes_on(tmp_path: Path) -> None:
    """A new session goes on with it; what the old one said, and spent, is not told in it."""
    with serve(tmp_path, manner="late") as server:
        first = server.start(provider="gemini", prompt="plain")
        server.until_end(first)
        told = server.post(f"/api/sessions/{first}/continue", {"message": "spend"}, 201)
        second = told["sessionId"]
        events = server.until_end(second)
        session = server.session(second)
    assert session["continues"] == first
    assert outputs(events) == []
    assert events[-1].type == "session:completed"
    assert session["usage"]["cost"] == pytest.approx(1.0)


def test_noise_and_a_line_of_7_mb(server: Server) -> None:
    """What is no message is told as a log line, and a line of that length by its beginning."""
    noisy = server.start(provider="gemini", prompt="noise")
    events = server.until_end(noisy)
    huge = server.start(provider="gemini", prompt="huge")
    events_of_huge = server.until_end(huge)
    assert events[-1].type == "session:completed"
    assert {"[warn] old node", "Loaded cached credentials."} <= {
        each.data["message"] for each in events if each.type == "log:info"
    }
    assert events_of_huge[-1].type == "session:completed"
    (result,) = outputs(events_of_huge, "tool_result")
    assert result.startswith("xxx")


def test_any_program(tmp_path: Path) -> None:
    """Where the operator allows it, a request names the program and its arguments."""
    install(tmp_path / "bin", "plain", "other-agent")
    with serve(tmp_path, "--allow-commands") as server:
        session_id = server.start(
            provider="acp", prompt="plain", command=["other-agent", "--acp", "$(touch x)"]
        )
        events = server.until_end(session_id)
    assert events[-1].type == "session:completed"
    assert outputs(events)[-1] == "It is done."
    assert not (tmp_path / "x").exists()
