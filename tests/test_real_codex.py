"""The real codex, where it is installed: with an empty home, or a model of ours on loopback."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.real_agents import find
from tests.system import Server
from tests.told import outputs, stays

CODEX = find("codex")

pytestmark = pytest.mark.skipif(CODEX is None, reason="needs codex")

SETTINGS = """
model = "ours"
model_provider = "ours"

[model_providers.ours]
name = "ours"
base_url = "http://127.0.0.1:{port}/v1"
wire_api = "responses"
requires_openai_auth = false
supports_websockets = false
"""
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60},
    "output_tokens": 10,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 110,
}


class Model(BaseHTTPRequestHandler):
    """Runs a command where it is asked to, and says what came of it; else it greets."""

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        said = json.loads(self.rfile.read(size))["input"]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.tell("response.created", response={"id": "r"})
        self.tell("response.output_item.done", item=answer(said))
        self.tell("response.completed", response={"id": "r", "usage": USAGE})

    def tell(self, kind: str, **members: Any) -> None:
        event = json.dumps({"type": kind, **members})
        self.wfile.write(f"event: {kind}\ndata: {event}\n\n".encode())

    def log_message(self, *_: object) -> None:
        """Say nothing on standard error."""


def answer(said: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """What the model says to all that was said."""
    last = said[-1]
    if "run something" in json.dumps(last):
        arguments = {
            "cmd": "echo it has run",
            "justification": "To see",
            "sandbox_permissions": "require_escalated",
        }
        call = {"call_id": "c1", "name": "exec_command", "arguments": json.dumps(arguments)}
        return {"type": "function_call", **call}
    words = "Hello."
    if last["type"] == "function_call_output":
        words = "It ran." if "it has run" in last["output"] else "It did not run."
    content = [{"type": "output_text", "text": words}]
    return {"type": "message", "role": "assistant", "id": "m", "content": content}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that finds the real codex, whose home is empty."""
    assert CODEX is not None
    path = f"{Path(CODEX).parent}{os.pathsep}/usr/bin{os.pathsep}/bin"
    with Server(tmp_path, PATH=path, HOME=str(tmp_path / "user")) as started:
        yield started


@pytest.fixture
def model(tmp_path: Path) -> Iterator[None]:
    """A model on loopback, and a home in which codex is told to use it."""
    served = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    settings = tmp_path / "user" / ".codex" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(SETTINGS.format(port=served.server_port), encoding="utf-8")
    try:
        yield
    finally:
        served.shutdown()
        thread.join()
        served.server_close()


def test_without_an_account(server: Server, tmp_path: Path) -> None:
    """What it lacks is why the session has failed, and it ends by itself."""
    (tmp_path / "user").mkdir()
    session_id = server.start(provider="codex", prompt="say hello")
    server.until_end(session_id)
    session = server.session(session_id)
    assert (session["status"], session["exitCode"]) == ("failed", 0)
    assert "codex login" in session["reason"]


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("decision", "words"), [("accept", "It ran."), ("decline", "It did not run.")]
)
def test_a_permission(server: Server, decision: str, words: str) -> None:
    """It asks, hears what was decided, and goes on."""
    session_id = server.start(provider="codex", prompt="run something")
    asked = server.until(session_id, lambda event: event.type == "input:requested")
    assert "echo it has run" in asked.data["prompt"]
    path = f"/api/sessions/{session_id}/inputs/{asked.data['inputId']}"
    server.post(path, {"answer": decision})
    events = server.until_end(session_id)
    assert outputs(events)[-1] == words
    assert events[-1].type == "session:completed"


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("provider", ["codex", "codex-exec"])
def test_going_on_later(server: Server, provider: str) -> None:
    """Both ways to run it are accepted, a conversation goes on, only what is new is booked."""
    first = server.start(provider=provider, prompt="say hello")
    assert outputs(server.until_end(first)) == ["Hello."]
    answer = server.post(f"/api/sessions/{first}/continue", {"message": "and again"}, 201)
    second = answer["sessionId"]
    events = server.until_end(second)
    assert outputs(events) == ["Hello."]
    assert events[-1].type == "session:completed"
    told = [server.session(each) for each in (first, second)]
    assert told[0]["conversation"] == told[1]["conversation"]
    spent = [
        server.get(f"/api/usage?sessionId={each}")["sum"]["spending"] for each in (first, second)
    ]
    assert [(each["inputTokens"], each["cacheReadTokens"]) for each in spent] == [(40, 60)] * 2


@pytest.mark.usefixtures("model")
def test_a_message_after_an_interruption(server: Server) -> None:
    """It leaves off while it waits for a permission, and takes what it is told then."""
    session_id = server.start(provider="codex", prompt="run something")
    server.until(session_id, lambda event: event.type == "input:requested")
    server.post(f"/api/sessions/{session_id}/interrupt")
    server.until(session_id, stays)
    server.post(f"/api/sessions/{session_id}/input", {"input": "say hello"})
    events = server.until_end(session_id)
    assert [each.type for each in events].count("input:withdrawn") == 1
    assert outputs(events) == ["Hello."]
    assert events[-1].type == "session:completed"
