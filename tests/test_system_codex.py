"""codex through the real server: what people see of it, and what it hears of them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.codex_support import STANDIN
from tests.standins.codex import HUGE, THREAD
from tests.system import Server
from tests.told import outputs, says, stays


def serve(home: Path, *before: str, behind: str = "", options: tuple[str, ...] = ()) -> Server:
    """A server that finds the stand-in, called with some arguments more, and no Loki Mode."""
    program = home / "bin" / "codex"
    program.parent.mkdir(exist_ok=True)
    call = shlex.join([sys.executable, STANDIN, *before])
    program.write_text(f'#!/bin/sh\nexec {call} "$@" {behind}\n', encoding="utf-8")
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}/usr/bin{os.pathsep}/bin"
    return Server(home, *options, PATH=path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that neither end it nor look at what others have left in it."""
    with serve(tmp_path_factory.mktemp("codex")) as running:
        yield running


@pytest.mark.parametrize("provider", ["codex", "codex-exec"])
def test_a_plain_run(server: Server, provider: str) -> None:
    """From the start to the end: what it says, uses and spends."""
    session_id = server.start(provider=provider, prompt="plain work")
    events = server.until_end(session_id)
    session = server.session(session_id)
    usage = server.get(f"/api/usage?sessionId={session_id}")
    assert outputs(events) == ["Done."]
    # Whether it is told in between that it reconnects depends on what is read at once.
    told = [each.type for each in events if each.type.startswith("session:")]
    assert [each for each in told if each != "session:updated"] == [
        "session:started",
        "session:completed",
    ]
    assert (session["exitCode"], session["conversation"]) == (0, THREAD)
    spending = usage["sum"]["spending"]
    assert (spending["inputTokens"], spending["cacheReadTokens"]) == (20, 80)
    assert spending["outputTokens"] == 20


def test_an_approval_over_a_restart(tmp_path: Path) -> None:
    """What it asks stays open when the server is killed, and the next one hands it the answer."""
    with serve(tmp_path) as server:
        session_id = server.start(provider="codex", prompt="approve it")
        asked = server.wait_for(session_id, "input:requested")
        server.kill()
    with serve(tmp_path) as server:
        (waiting,) = server.get("/api/inputs")["inputs"]
        assert waiting["id"] == asked.data["inputId"]
        assert waiting["prompt"] == "Run a command: rm -r build"
        path = f"/api/sessions/{session_id}/inputs/{waiting['id']}"
        server.post(path, {"answer": "decline"})
        server.post(path, {"answer": "decline"})
        assert server.request("POST", path, {"answer": "accept"}).status == 409
        events = server.until_end(session_id)
    assert outputs(events) == ['It was "decline".']
    assert [each.type for each in events].count("input:requested") == 1
    assert events[-1].type == "session:completed"


def test_nobody_answers(tmp_path: Path) -> None:
    """The policy denies it in time, and it goes on without."""
    options = ("--on-unanswered", "deny", "--input-timeout", "1")
    with serve(tmp_path, options=options) as server:
        session_id = server.start(provider="codex", prompt="approve it")
        events = server.until_end(session_id)
    [answered] = [each.data for each in events if each.type == "input:answered"]
    assert (answered["answer"], answered["answeredBy"]) == (["decline"], "policy")
    assert events[-1].type == "session:completed"


def test_questions_and_what_is_withdrawn(tmp_path: Path) -> None:
    """Several questions are several inputs; what it no longer wants to know is taken back."""
    with serve(tmp_path) as server:
        session_id = server.start(provider="codex", prompt="questions please")
        server.until(session_id, lambda event: event.data.get("prompt") == "What name?")
        for waiting in server.get("/api/inputs")["inputs"]:
            answer = waiting["options"][1]["value"] if waiting["options"] else "app"
            server.post(f"/api/sessions/{session_id}/inputs/{waiting['id']}", {"answer": answer})
        events = server.until_end(session_id)
        other = server.until_end(server.start(provider="codex", prompt="withdrawn later"))
    assert outputs(events) == [
        '{"answers": {"q1": {"answers": ["SQLite"]}, "q2": {"answers": ["app"]}}}'
    ]
    assert [each.type for each in other if each.type.startswith("input:")] == [
        "input:requested",
        "input:withdrawn",
    ]


def test_messages(server: Server) -> None:
    """One is taken while it works; one that waits is the next turn, and it ends behind that."""
    session_id = server.start(provider="codex", prompt="steer me")
    server.until(session_id, says("Working."))
    path = f"/api/sessions/{session_id}/input"
    later = server.post(path, {"input": "plain rest", "delivery": "next"})
    now = server.post(path, {"input": "the docs", "delivery": "now"})
    events = server.until_end(session_id)
    assert outputs(events) == ["Working.", "Also: the docs", "Done."]
    delivered = [each.data["messageId"] for each in events if each.type == "message:delivered"]
    assert delivered == [now["messageId"], later["messageId"]]
    assert events[-1].type == "session:completed"


def test_an_interruption(server: Server) -> None:
    """It leaves off, stays, and takes what it is told then."""
    session_id = server.start(provider="codex", prompt="wait here")
    server.until(session_id, says("Working."))
    server.post(f"/api/sessions/{session_id}/interrupt")
    server.until(session_id, stays)
    server.post(f"/api/sessions/{session_id}/input", {"input": "plain work"})
    events = server.until_end(session_id)
    assert outputs(events) == ["Working.", "Done."]
    assert events[-1].type == "session:completed"


def test_going_on_later(tmp_path: Path) -> None:
    """The same conversation in a new session; of its totals only what is new is booked."""
    with serve(tmp_path) as server:
        first = server.start(provider="codex", prompt="plain work")
        server.until_end(first)
        answer = server.post(f"/api/sessions/{first}/continue", {"message": "plain more"}, 201)
        second = answer["sessionId"]
        events = server.until_end(second)
        session = server.session(second)
        usage = server.get(f"/api/usage?by=session&sessionId={second}")
    assert (session["continues"], session["conversation"]) == (first, THREAD)
    assert outputs(events) == ["Done."]
    assert usage["sum"]["spending"]["outputTokens"] == 200 + 20 - 20  # the stand-in's begin at 200


def test_a_limit(server: Server) -> None:
    """It is rate limited until the time that codex names, and goes on by itself then."""
    session_id = server.start(provider="codex", prompt="limit me")
    events = server.until_end(session_id)
    codes = [each.data.get("reasonCode") for each in events if each.type == "session:updated"]
    assert "rate_limited" in codes
    assert outputs(events) == ["You said: Go on with what you were doing."]
    assert events[-1].type == "session:completed"


@pytest.mark.parametrize(
    ("scene", "code", "reason"),
    [
        ("fail at it", "said_so", "401 Unauthorized"),
        ("vanish now", "never_said", "exit code 0"),
        ("crash now", "said_so", "The disk is full."),
    ],
)
def test_what_fails_has_failed(server: Server, scene: str, code: str, reason: str) -> None:
    """Whatever the exit code, which is 0 each time."""
    session_id = server.start(provider="codex", prompt=scene)
    last = server.until_end(session_id)[-1]
    session = server.session(session_id)
    assert last.type == "session:failed"
    assert (session["exitCode"], session["reasonCode"]) == (0, code)
    assert reason in session["reason"]


def test_a_codex_that_is_not_logged_in(tmp_path: Path) -> None:
    """The session has failed, and its reason says what is to be done."""
    with serve(tmp_path, behind="--logged-out") as server:
        session_id = server.start(provider="codex", prompt="plain work")
        server.until_end(session_id)
        session = server.session(session_id)
    assert session["status"] == "failed"
    assert "codex login" in session["reason"]


def test_a_codex_that_has_no_app_server(tmp_path: Path) -> None:
    """The session has failed, with what codex said to it; the other provider does the work."""
    with serve(tmp_path, "--old") as server:
        session_id = server.start(provider="codex", prompt="plain work")
        events = server.until_end(session_id)
        session = server.session(session_id)
        other = server.until_end(server.start(provider="codex-exec", prompt="plain work"))
    assert session["status"] == "failed"
    assert "unrecognized subcommand" in session["reason"]
    logged = [each.data["message"] for each in events if each.type == "log:error"]
    assert any("codex-exec" in each for each in logged)
    assert other[-1].type == "session:completed"


def test_a_huge_line(server: Server) -> None:
    """A line of 9 MB is one result, cut, and its bytes can be read all the same."""
    session_id = server.start(provider="codex", prompt="huge output")
    events = server.until_end(session_id)
    path = f"/api/sessions/{session_id}/output?stream=stdout&after=0"
    raw = server.request("GET", path)
    [result] = outputs(events, "tool_result")
    assert f"{HUGE // 3 * 2} bytes in all" in result
    assert outputs(events) == ["Done."]
    assert events[-1].type == "session:completed"
    assert raw.status == 200
    assert raw.body.startswith(b'{"id": 1')
