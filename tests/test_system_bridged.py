"""Agents behind bridges, from outside: a server, stand-ins for the programs, and plain requests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bridges_support import standin
from tests.system import Server, StreamEvent
from tests.test_system_sessions import install, state_of, until
from tests.told import outputs


def make_home(place: Path) -> Path:
    """Make a directory for LOKI_DIR, with stand-ins for both programs beside it."""
    path = place / "home"
    path.mkdir()
    for name in ("cline", "aider"):
        install(place / "bin" / name, *standin(name))
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory for the LOKI_DIR of servers of a test's own."""
    return make_home(tmp_path)


def variables(tmp_path: Path) -> dict[str, str]:
    """What the server is started with."""
    (tmp_path / "tmp").mkdir(exist_ok=True)
    return {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path / "tmp"),
    }


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server for all tests that do not end it, and the directory that it works in."""
    place = tmp_path_factory.mktemp("bridged")
    with Server(make_home(place), **variables(place)) as running:
        yield running, place


@pytest.fixture
def server(shared: tuple[Server, Path]) -> Server:
    """The shared server, when all that was started before has ended."""
    server, place = shared
    assert server.get("/api/sessions?status=running")["sessions"] == []
    (place / "home" / "done").unlink(missing_ok=True)
    return server


@pytest.fixture
def place(shared: tuple[Server, Path]) -> Path:
    """The directory that the shared server works in: ``home``, ``bin`` and ``tmp``."""
    return shared[1]


def play(server: Server, provider: str, scenario: str, **options: Any) -> str:
    """Start a session that plays some scenarios."""
    return server.start(provider=provider, prompt=f"play {scenario}", options=options)


def kinds(events: list[StreamEvent]) -> list[str]:
    return [each.type for each in events]


def answer(server: Server, session_id: str, word: str, **more: str) -> Any:
    """Answer the question of a session when it is there."""
    asked = server.wait_for(session_id, "input:requested").data
    path = f"/api/sessions/{session_id}/inputs/{asked['inputId']}"
    return server.post(path, {"answer": word, **more})


# cline


def test_a_run_of_cline(server: Server, place: Path) -> None:
    """What it says, does and spends is told, and its own word is the end."""
    session_id = play(server, "cline", "agents text read usage noise result")
    events = server.until_end(session_id)
    assert events[-1].type == "session:completed"
    assert outputs(events) == ["Hello, world."]
    assert outputs(events, "thinking") == ["I think hard."]
    assert outputs(events, "tool_call") == ['{"paths":["a.py"]}']
    assert outputs(events, "tool_result") == ["print()"]
    spawned = [each.data["agentId"] for each in events if each.type == "agent:spawned"]
    assert spawned == ["main", "agent_b"]
    assert kinds(events).count("agent:completed") == 2
    session = server.session(session_id)
    assert session["usage"]["inputTokens"] == 120
    assert session["usage"]["cacheReadTokens"] == 80
    assert session["usage"]["cost"] == 0.03
    assert session["usage"]["costOrigin"] == "reported"
    assert list((place / "tmp").iterdir()) == []


def test_an_approval_of_cline(server: Server, place: Path) -> None:
    """It is in the inbox, and the answer is what the agent waits for."""
    session_id = play(server, "cline", "look approval result")
    asked = server.wait_for(session_id, "input:requested").data
    (listed,) = server.get("/api/inputs")["inputs"]
    assert listed["id"] == asked["inputId"]
    assert listed["kind"] == "permission"
    assert listed["details"]["tool"] == "run_commands"
    assert server.session(session_id)["reasonCode"] == "waiting_for_input"
    answer(server, session_id, "allow")
    events = server.until_end(session_id)
    assert events[-1].type == "session:completed"
    assert (place / "home" / "done").exists()
    assert kinds(events).count("input:requested") == 1  # to look is not asked for


def test_a_denial_of_cline(server: Server, place: Path) -> None:
    """The agent goes on without."""
    session_id = play(server, "cline", "approval result")
    answer(server, session_id, "deny", message="not today")
    events = server.until_end(session_id)
    assert events[-1].type == "session:completed"
    assert outputs(events, "tool_result") == ["not today"]
    assert not (place / "home" / "done").exists()


def test_an_approval_that_nobody_gives(server: Server, place: Path) -> None:
    """The agent denies it for itself in the end; the question is withdrawn."""
    session_id = play(server, "cline", "impatient result")
    events = server.until_end(session_id)
    assert events[-1].type == "session:completed"
    asked, withdrawn = (
        next(each.data for each in events if each.type == kind)
        for kind in ("input:requested", "input:withdrawn")
    )
    assert withdrawn["inputId"] == asked["inputId"]
    assert not (place / "home" / "done").exists()


@pytest.mark.parametrize(("policy", "is_done"), [("allow", True), ("deny", False)])
def test_an_approval_by_the_policy(server: Server, place: Path, policy: str, is_done: bool) -> None:
    """What nobody answers in time goes by the session's own policy."""
    limits = {"onUnanswered": policy, "inputTimeout": 1000}
    session_id = play(server, "cline", "approval result", **limits)
    events = server.until_end(session_id)
    assert events[-1].type == "session:completed"
    (answered,) = [each.data for each in events if each.type == "input:answered"]
    assert answered["answeredBy"] == "policy"
    assert (place / "home" / "done").exists() is is_done


def test_an_approval_survives_the_server(home: Path, tmp_path: Path) -> None:
    """The question of the agent that lives on is open in the next server, and answered once."""
    with Server(home, **variables(tmp_path)) as first:
        session_id = play(first, "cline", "approval text result")
        asked = first.wait_for(session_id, "input:requested").data
        first.kill()
    with Server(home, **variables(tmp_path)) as second:
        (listed,) = second.get("/api/inputs")["inputs"]
        assert listed["id"] == asked["inputId"]
        answer(second, session_id, "allow")
        events = second.until_end(session_id)
    assert events[-1].type == "session:completed"
    assert (home / "done").exists()
    assert kinds(events).count("input:requested") == 1
    assert outputs(events) == ["Hello, world."]


@pytest.mark.parametrize(
    ("scenario", "reason"),
    [
        ("text failure", "No credit."),
        ("credentials", "Not signed in."),
        ("mute result", "cannot ask for permission"),
        ("text", ""),
    ],
)
def test_a_run_of_cline_that_fails(server: Server, scenario: str, reason: str) -> None:
    """An error as a success, an error alone, tools that are all denied, and no word at all."""
    session_id = play(server, "cline", scenario)
    assert server.until_end(session_id)[-1].type == "session:failed"
    assert reason in server.session(session_id)["reason"]


def test_a_run_of_cline_that_is_done_and_does_not_end(server: Server) -> None:
    """It is ended, and completed."""
    session_id = play(server, "cline", "text result hang")
    assert server.until_end(session_id)[-1].type == "session:completed"


def test_a_long_line_of_cline(server: Server) -> None:
    """It is told that it was too long, and all that comes behind it is told too."""
    session_id = play(server, "cline", "long text result")
    events = server.until_end(session_id)
    assert events[-1].type == "session:completed"
    assert outputs(events) == ["Hello, world."]
    assert any("was not read" in each.data.get("message", "") for each in events)


def test_cline_takes_no_messages(server: Server) -> None:
    """That is said at once, instead of keeping them for nobody; its questions are answered."""
    session_id = play(server, "cline", "approval result")
    server.wait_for(session_id, "input:requested")
    path = f"/api/sessions/{session_id}/input"
    assert server.post(path, {"input": "Allow"})["inputId"]
    server.until_end(session_id)
    session_id = play(server, "cline", "text hang")
    server.wait_for(session_id, "agent:output")
    path = f"/api/sessions/{session_id}/input"
    assert server.request("POST", path, {"input": "And this."}).status == 409
    server.post(f"/api/sessions/{session_id}/stop")
    assert server.until_end(session_id)[-1].type == "session:stopped"


def test_cline_is_stopped(server: Server, place: Path) -> None:
    """Also where it waits for an approval; nothing is left of it."""
    session_id = play(server, "cline", "approval result")
    server.wait_for(session_id, "input:requested")
    pid = server.session(session_id)["pid"]
    server.post(f"/api/sessions/{session_id}/stop")
    events = server.until_end(session_id)
    assert events[-1].type == "session:stopped"
    assert "input:withdrawn" in kinds(events)
    assert state_of(pid) == ""
    assert list((place / "tmp").iterdir()) == []


# aider


def test_a_run_of_aider(server: Server) -> None:
    """What it says, what it reports, and what it has spent."""
    session_id = play(server, "aider", "edit")
    events = server.until_end(session_id)
    assert events[-1].type == "session:completed"
    assert outputs(events) == ["I change the parser.", "It reads better now."]
    logs = [each.data["message"] for each in events if each.type == "log:info"]
    assert "Applied edit to parser.py" in logs
    session = server.session(session_id)
    assert session["usage"]["inputTokens"] == 4200
    assert session["usage"]["cost"] == 0.02
    assert session["conversation"] == session_id


@pytest.mark.parametrize(
    ("scenario", "reason"),
    [
        ("answer exception", "the wire was cut"),
        ("silence", "litellm.AuthenticationError: no key"),
        ("bad", "exit code 1"),
        ("gone", "Signal 9"),
    ],
)
def test_a_run_of_aider_that_fails(server: Server, scenario: str, reason: str) -> None:
    """Its reports decide, whatever its exit code."""
    session_id = play(server, "aider", scenario)
    assert server.until_end(session_id)[-1].type == "session:failed"
    assert reason in server.session(session_id)["reason"]


def test_messages_to_aider(server: Server) -> None:
    """One waits while it is busy, and is delivered in its turn; the session goes on for it."""
    session_id = play(server, "aider", "endless")
    server.wait_for(session_id, "agent:output")
    path = f"/api/sessions/{session_id}"
    said = server.post(f"{path}/input", {"input": "play restored"})
    assert said["status"] == "queued"
    server.post(f"{path}/interrupt")
    events = server.until_end(session_id)
    assert events[-1].type == "session:completed"
    assert "I remember 0 messages." in outputs(events)[1]
    delivered = [each.data["messageId"] for each in events if each.type == "message:delivered"]
    assert delivered == [said["messageId"]]


def test_aider_stays_for_more(server: Server) -> None:
    """Where that was asked for; each message is a turn with its own price."""
    session_id = play(server, "aider", "answer", stayOpen=True)
    until(lambda: server.session(session_id)["reasonCode"] == "waiting_for_message")
    server.post(f"/api/sessions/{session_id}/input", {"input": "play restored"})
    until(lambda: server.session(session_id)["usage"]["apiCalls"] == 2)
    until(lambda: server.session(session_id)["reasonCode"] == "waiting_for_message")
    server.post(f"/api/sessions/{session_id}/stop")
    events = server.until_end(session_id)
    assert events[-1].type == "session:stopped"
    assert "I remember 1 messages." in "".join(outputs(events))


def test_a_conversation_with_aider_goes_on(home: Path, tmp_path: Path) -> None:
    """In a new session, also by another server, also when the first one was deleted."""
    with Server(home, **variables(tmp_path)) as first:
        before = play(first, "aider", "answer")
        assert first.until_end(before)[-1].type == "session:completed"
    with Server(home, **variables(tmp_path)) as second:
        going_on = second.post(
            f"/api/sessions/{before}/continue", {"message": "play restored"}, 201
        )
        events = second.until_end(going_on["sessionId"])
        assert events[-1].type == "session:completed"
        assert "I remember 1 messages." in outputs(events)[0]


def test_a_turn_of_aider_survives_the_server(home: Path, tmp_path: Path) -> None:
    """What happens while none runs is told by the next one, once."""
    with Server(home, **variables(tmp_path)) as first:
        session_id = play(first, "aider", "endless")
        first.wait_for(session_id, "agent:output")
        pid = first.session(session_id)["pid"]
        first.kill()
    (child,) = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    os.kill(child, signal.SIGKILL)
    with Server(home, **variables(tmp_path)) as second:
        events = second.until_end(session_id)
        assert events[-1].type == "session:failed"
        assert second.session(session_id)["reason"].startswith("Signal 9")
    assert outputs(events) == ["I work."]
