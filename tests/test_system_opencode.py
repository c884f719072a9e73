"""opencode through the real server: what people see of it, and what it hears of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.opencode_support import install
from tests.system import Server
from tests.told import outputs, says


def serve(home: Path, **variables: str) -> Server:
    """A server that finds the stand-in, and no Loki Mode."""
    path = f"{install(home / 'bin').parent}{os.pathsep}/usr/bin{os.pathsep}/bin"
    return Server(home, PATH=path, **variables)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that neither end it nor look at what others have left in it."""
    with serve(tmp_path_factory.mktemp("opencode")) as running:
        yield running


@pytest.mark.parametrize("provider", ["opencode", "opencode-run"])
def test_a_plain_run(server: Server, provider: str) -> None:
    """From the start to the end: what it says, uses and spends, and nothing is left over."""
    session_id = server.start(provider=provider, prompt="plain work")
    events = server.until_end(session_id)
    session = server.session(session_id)
    usage = server.get(f"/api/usage?sessionId={session_id}")
    assert outputs(events) == ["I look at the files.", "Done: plain work"]
    assert outputs(events, "tool_result") == ["a.txt\n"]
    assert [each.type for each in events if each.type.startswith("session:")] == [
        "session:started",
        "session:completed",
    ]
    assert session["exitCode"] == 0
    assert session["conversation"].startswith("ses_")
    assert usage["sum"]["spending"]["cost"] == 0.5
    assert usage["sum"]["spending"]["inputTokens"] == 200
    assert usage["sum"]["origins"] == ["reported"]


def test_a_permission_over_a_restart(tmp_path: Path) -> None:
    """What it asks stays open when the server is killed, and the next one hands it the answer."""
    with serve(tmp_path) as server:
        session_id = server.start(provider="opencode", prompt="permission")
        asked = server.wait_for(session_id, "input:requested")
        server.kill()
    with serve(tmp_path) as server:
        (waiting,) = server.get("/api/inputs")["inputs"]
        assert waiting["id"] == asked.data["inputId"]
        path = f"/api/sessions/{session_id}/inputs/{waiting['id']}"
        server.post(path, {"answer": "once"})
        events = server.until_end(session_id)
    assert outputs(events) == ["It was allowed: {'reply': 'once'}"]
    assert [each.type for each in events].count("input:requested") == 1
    assert events[-1].type == "session:completed"


def test_messages(server: Server) -> None:
    """One is taken while it works; one that shall wait is the next turn, and it ends behind it."""
    session_id = server.start(provider="opencode", prompt="wait for me")
    server.until(session_id, says("I wait."))
    path = f"/api/sessions/{session_id}/input"
    later = server.post(path, {"input": "plain rest", "delivery": "next"})
    now = server.post(path, {"input": "go on", "delivery": "now"})
    events = server.until_end(session_id)
    assert outputs(events) == [
        "I wait.",
        "Heard: go on",
        "I look at the files.",
        "Done: plain rest",
    ]
    delivered = [each.data["messageId"] for each in events if each.type == "message:delivered"]
    assert delivered == [now["messageId"], later["messageId"]]
    assert events[-1].type == "session:completed"


def test_a_failure(server: Server) -> None:
    """The reason is its own, though all processes ended well."""
    session_id = server.start(provider="opencode", prompt="error please")
    last = server.until_end(session_id)[-1]
    session = server.session(session_id)
    assert last.type == "session:failed"
    assert session["reason"] == "the key is not valid"


def test_it_cannot_be_started(tmp_path: Path) -> None:
    """What it complained of stands with the failure."""
    with serve(tmp_path, OPENCODE_STANDIN="broken") as server:
        session_id = server.start(provider="opencode", prompt="plain work")
        events = server.until_end(session_id)
    assert events[-1].type == "session:failed"
    logged = [each.data["message"] for each in events if each.type == "log:error"]
    assert "Error: the configuration cannot be read" in logged


def test_it_is_stopped(server: Server) -> None:
    """Its server and the bridge go together."""
    session_id = server.start(provider="opencode", prompt="wait for me")
    server.until(session_id, says("I wait."))
    pid = server.session(session_id)["pid"]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    server.post(f"/api/sessions/{session_id}/stop")
    last = server.until_end(session_id)[-1]
    assert last.type == "session:stopped"
    assert children
    assert not any(_runs(each) for each in (str(pid), *children))


def _runs(pid: str) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("provider", ["opencode", "opencode-run"])
def test_a_conversation_is_continued(tmp_path: Path, provider: str) -> None:
    """By a new session, in the conversation of the first; what each spends is booked once."""
    with serve(tmp_path) as server:
        first = server.start(provider=provider, prompt="plain one")
        server.until_end(first)
        answer: Any = server.post(
            f"/api/sessions/{first}/continue", {"message": "plain two"}, status=201
        )
        events = server.until_end(answer["sessionId"])
        session = server.session(answer["sessionId"])
        before = server.session(first)
        usage = server.get("/api/usage")
    assert outputs(events)[-1] == "Done: plain two"
    assert session["conversation"] == before["conversation"]
    assert [line["spending"]["cost"] for line in usage["lines"]] == [0.5, 0.5]
