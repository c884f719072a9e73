"""Claude Code through the real server: what people see of it, and what it hears of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.claude_support import install
from tests.system import Server
from tests.told import outputs, says, stays, types


def serve(home: Path, **variables: str) -> Server:
    """A server that finds the stand-in, and no Loki Mode."""
    path = os.pathsep.join([install(home).search_path, "/usr/bin", "/bin"])
    return Server(home, PATH=path, **variables)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that neither end it nor look at what others have left in it."""
    with serve(tmp_path_factory.mktemp("claude")) as running:
        yield running


def test_a_run_and_its_continuation(tmp_path: Path) -> None:
    """What it says, uses and spends is told; the next run of the conversation goes on from it."""
    with serve(tmp_path) as server:
        first_id = server.start(provider="claude", prompt="plain please")
        events = server.until_end(first_id)
        first = server.session(first_id)
        path = f"/api/sessions/{first_id}/continue"
        second_id = server.post(path, {"message": "plain again"}, 201)["sessionId"]
        later = server.until_end(second_id)
        second = server.session(second_id)
        usage = server.get("/api/usage?by=model&provider=claude")
    assert outputs(events) == ["You say: plain please", "There are two files."]
    assert outputs(events, "tool_result") == ["a.txt\nb.txt"]
    assert outputs(later)[0] == "You say: plain again"
    kinds = [each for each in types(events, "session:") if each != "session:updated"]
    assert kinds == ["session:started", "session:completed"]
    assert first["exitCode"] == second["exitCode"] == 0
    assert first["conversation"] == second["conversation"]
    spent = {line["key"]: line["spending"] for line in usage["lines"]}
    assert spent["claude-standin-1"]["inputTokens"] == 200
    assert spent["claude-standin-1"]["cost"] == pytest.approx(0.02)
    assert spent["claude-standin-small"]["inputTokens"] == 14
    assert usage["sum"]["origins"] == ["reported"]


def test_a_permission_over_a_restart(tmp_path: Path) -> None:
    """What it asks stays open when the server is killed, and the next one hands it the answer."""
    with serve(tmp_path) as server:
        session_id = server.start(provider="claude", prompt="permission please")
        asked = server.wait_for(session_id, "input:requested")
        server.kill()
    with serve(tmp_path) as server:
        (waiting,) = server.get("/api/inputs")["inputs"]
        assert waiting["id"] == asked.data["inputId"]
        assert waiting["details"]["arguments"] == {"command": "rm -r build"}
        path = f"/api/sessions/{session_id}/inputs/{waiting['id']}"
        server.post(path, {"answer": "allow_session"})
        server.post(path, {"answer": "allow_session"})
        server.post(path, {"answer": "deny"}, 409)
        events = server.until_end(session_id)
    assert outputs(events, "tool_result") == ['used with {"command": "rm -r build"}']
    assert types(events, "input:") == ["input:requested", "input:answered"]
    assert events[-1].type == "session:completed"


def test_a_permission_that_is_withdrawn(tmp_path: Path) -> None:
    """Nobody is left with a question that no answer reaches."""
    with serve(tmp_path) as server:
        events = server.until_end(server.start(provider="claude", prompt="withdrawn please"))
        assert server.get("/api/inputs")["inputs"] == []
    assert types(events, "input:") == ["input:requested", "input:withdrawn"]


def test_questions(server: Server) -> None:
    """Each is answered for itself, in any order."""
    session_id = server.start(provider="claude", prompt="questions please")
    server.until(session_id, lambda event: event.data.get("prompt") == "Which parts?")
    found = server.get(f"/api/sessions/{session_id}/inputs")["inputs"]
    ids = {each["prompt"]: each["id"] for each in found}
    path = f"/api/sessions/{session_id}/inputs"
    server.post(f"{path}/{ids['Which parts?']}", {"answer": ["Roof", "Door"]})
    server.post(f"{path}/{ids['Which colour?']}", {"answer": "Green"})
    events = server.until_end(session_id)
    assert outputs(events) == ['{"Which colour?": "Green", "Which parts?": "Roof, Door"}']


def test_messages(server: Server) -> None:
    """One is taken while it works; one that shall wait is the next turn, and it ends behind it."""
    session_id = server.start(provider="claude", prompt="steer please")
    server.until(session_id, says("I work, and listen."))
    path = f"/api/sessions/{session_id}/input"
    later = server.post(path, {"input": "plain rest", "delivery": "next"})
    now = server.post(path, {"input": "hurry", "delivery": "now"})
    events = server.until_end(session_id)
    assert outputs(events) == [
        "I work, and listen.",
        "I was told: hurry (next)",
        "You say: plain rest",
        "There are two files.",
    ]
    delivered = [each.data["messageId"] for each in events if each.type == "message:delivered"]
    assert delivered == [now["messageId"], later["messageId"]]
    assert events[-1].type == "session:completed"


def test_an_interruption(server: Server) -> None:
    """It leaves off, and stays for what it is told then."""
    session_id = server.start(provider="claude", prompt="work please")
    server.until(session_id, says("I work."))
    server.post(f"/api/sessions/{session_id}/interrupt")
    server.until(session_id, stays)
    server.post(f"/api/sessions/{session_id}/input", {"input": "plain then"})
    events = server.until_end(session_id)
    assert outputs(events)[1:] == ["You say: plain then", "There are two files."]
    assert events[-1].type == "session:completed"


def test_a_limit_with_an_end(server: Server) -> None:
    """It is the session's reason until it has passed; then the agent goes on by itself."""
    session_id = server.start(provider="claude", prompt="limit please")
    events = server.until_end(session_id)
    reasons = [each.data.get("reasonCode") for each in events if each.type == "session:updated"]
    assert "rate_limited" in reasons
    assert outputs(events)[-1].startswith("On: ")
    assert events[-1].type == "session:completed"


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("error please", "API Error: 500 Internal server error (server_error)"),
        ("login please", "Not logged in · Please run /login (authentication_failed)"),
    ],
)
def test_failures(server: Server, prompt: str, reason: str) -> None:
    """The reason is its own."""
    session_id = server.start(provider="claude", prompt=prompt)
    events = server.until_end(session_id)
    session = server.session(session_id)
    assert events[-1].type == "session:failed"
    assert session["reason"] == reason
    assert session["exitCode"] == 1


def test_an_exit_without_a_result(server: Server) -> None:
    """It has failed, though its exit code is 0, and so has the agent."""
    session_id = server.start(provider="claude", prompt="vanishes please")
    events = server.until_end(session_id)
    detail = server.get(f"/api/sessions/{session_id}")
    assert types(events, "agent:")[-1] == "agent:failed"
    assert events[-1].type == "session:failed"
    assert detail["session"]["exitCode"] == 0
    assert detail["agents"]["active"] == 0


def test_work_in_the_background_and_a_huge_line(server: Server) -> None:
    """The one is waited for; of the other what is told is bounded, and the rest can be read."""
    session_id = server.start(provider="claude", prompt="background please")
    events = server.until_end(session_id)
    assert outputs(events)[-1] == "It has ended in the background."
    assert events[-1].type == "session:completed"
    session_id = server.start(provider="claude", prompt="huge please")
    events = server.until_end(session_id)
    assert outputs(events)[-1] == "That was much."
    assert len(outputs(events, "tool_result")[0]) < 65_536
    raw = server.request("GET", f"/api/sessions/{session_id}/output?stream=stdout&after=0")
    assert raw.status == 200
    assert events[-1].type == "session:completed"
