"""
The real opencode, with an empty home, nobody's keys, and a model of ours on loopback.

It is not needed to work on this project.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.real_agents import find
from tests.system import Server, StreamEvent
from tests.told import outputs

OPENCODE = find("opencode")

pytestmark = pytest.mark.skipif(OPENCODE is None, reason="needs opencode on PATH")

TOOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "run": ("bash", {"command": "echo hello", "description": "say hello"}),
    "ask": (
        "question",
        {
            "questions": [
                {
                    "question": "Which colour?",
                    "header": "Colour",
                    "options": [
                        {"label": "Red", "description": "warm"},
                        {"label": "Blue", "description": "cold"},
                    ],
                }
            ]
        },
    ),
    "plan": (
        "todowrite",
        {"todos": [{"content": "Write it", "status": "in_progress", "priority": "high"}]},
    ),
    "delegate": (
        "task",
        {"description": "Look around", "prompt": "run a command", "subagent_type": "general"},
    ),
}
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 10,
    "total_tokens": 110,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


class Model(BaseHTTPRequestHandler):
    """Uses the tool that the first word of the prompt means, and says what it gave."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Answer with a stream."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        deltas, reason = said(asked)
        parts: list[Any] = [*map(chunk, deltas), {**chunk({}, reason), "usage": USAGE}]
        lines = [*map(json.dumps, parts), "[DONE]"]
        data = "".join(f"data: {each}\n\n" for each in lines).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def said(asked: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """What the model says to what it is asked, in pieces, and why it ends."""
    messages = asked["messages"]
    last = max(at for at, each in enumerate(messages) if each["role"] == "user")
    results = [each for each in messages[last:] if each["role"] == "tool"]
    content = messages[last]["content"]
    words = content if isinstance(content, str) else content[-1]["text"]
    first = words.split(maxsplit=1)[0]
    if not asked.get("tools"):  # It is asked for a title.
        return [{"role": "assistant", "content": "A title"}], "stop"
    if results or first not in TOOLS:
        given = f"I was given {len(results)} results." if results else "Hello, world."
        return [{"role": "assistant", "content": given[:7]}, {"content": given[7:]}], "stop"
    name, arguments = TOOLS[first]
    function = {"name": name, "arguments": json.dumps(arguments)}
    calls = [{"index": 0, "id": f"call_{name}", "type": "function", "function": function}]
    return [{"role": "assistant", "tool_calls": calls}], "tool_calls"


def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    """A piece of an answer, in the language of OpenAI."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    """The address of a model."""
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    serving = threading.Thread(target=listening.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{listening.server_port}/v1"
    listening.shutdown()
    serving.join()
    listening.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model: str) -> Iterator[Server]:
    """A server, with an opencode that asks before it runs a command, and an empty home."""
    project, home = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("home")
    ours = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": model, "apiKey": "none"},
        "models": {
            "m": {"cost": {"input": 1, "output": 2}, "limit": {"context": 9000, "output": 900}}
        },
    }
    settings = {
        "provider": {"ours": ours},
        "model": "ours/m",
        "small_model": "ours/m",
        "permission": {"bash": "ask"},
    }
    (project / "opencode.json").write_text(json.dumps(settings))
    found = os.path.dirname(OPENCODE or "")
    search = os.pathsep.join((found, "/usr/bin", "/bin"))
    with Server(project, PATH=search, HOME=str(home)) as running:
        yield running


def run(server: Server, prompt: str, answer: str | None = None, **wanted: Any) -> list[StreamEvent]:
    """All events of a session; what it asks is answered."""
    session_id = server.start(**{"provider": "opencode", "prompt": prompt, **wanted})
    if answer is not None:
        asked = server.wait_for(session_id, "input:requested")
        path = f"/api/sessions/{session_id}/inputs/{asked.data['inputId']}"
        server.post(path, {"answer": answer})
    return server.until_end(session_id)


@pytest.mark.parametrize("provider", ["opencode", "opencode-run"])
def test_a_run(server: Server, provider: str) -> None:
    """Its server and its run are what we take them for, also in what they spend."""
    events = run(server, "greet me please", provider=provider)
    assert events[-1].type == "session:completed"
    assert outputs(events, "text") == ["Hello, world."]
    (spent,) = [each.data for each in events if each.type == "metrics:update"]
    told = [spent[each] for each in ("inputTokens", "cacheReadTokens", "outputTokens", "apiCalls")]
    assert told == [60, 40, 10, 1]
    assert spent["cost"] == pytest.approx(60e-6 + 20e-6)


def test_a_permission(server: Server) -> None:
    """It asks before it runs a command, and runs it when it may."""
    events = run(server, "run it now", "once")
    assert events[-1].type == "session:completed"
    assert outputs(events, "tool_result") == ["hello\n"]
    (asked,) = [each.data for each in events if each.type == "input:requested"]
    assert asked["details"]["patterns"] == ["echo hello"]


def test_a_permission_that_is_refused(server: Server) -> None:
    """It leaves off, and that is no success."""
    events = run(server, "run it now", "reject")
    assert events[-1].type == "session:failed"
    assert "not allowed" in events[-1].data["message"]


def test_a_question(server: Server) -> None:
    """The answer reaches it."""
    events = run(server, "ask me now", "Blue")
    assert events[-1].type == "session:completed"
    assert "Blue" in outputs(events, "tool_result")[0]


def test_a_plan(server: Server) -> None:
    """Its list of things to do is told as tasks."""
    events = run(server, "plan it now")
    started = [each.data["title"] for each in events if each.type == "task:started"]
    assert started == ["Write it"]


def test_a_sub_agent(server: Server) -> None:
    """It is an agent of its own, and what it asks is asked."""
    events = run(server, "delegate it now", "once")
    assert events[-1].type == "session:completed"
    spawned = [each.data for each in events if each.type == "agent:spawned"]
    assert [each["type"] for each in spawned] == ["opencode", "general"]
    (asked,) = [each.data for each in events if each.type == "input:requested"]
    assert asked["agentId"] == spawned[1]["agentId"]
    ended = [each.data["agentId"] for each in events if each.type == "agent:completed"]
    assert ended == [spawned[1]["agentId"], "main"]


def test_a_model_that_is_not_there(server: Server) -> None:
    """Its complaint is the reason."""
    events = run(server, "greet me please", model="nobodys/model")
    assert events[-1].type == "session:failed"
    assert "Model not found: nobodys/model" in events[-1].data["message"]
