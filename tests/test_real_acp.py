"""The real gemini and copilot, where they are installed: with an empty home, or a model of ours."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from tests.real_agents import PATH, find
from tests.system import Server
from tests.told import outputs

NAMES: Final = ["gemini", "copilot"]
MISSING: Final = [name for name in NAMES if find(name) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}")

COMMAND: Final = "touch made"
REFUSAL: Final = "I will not have it"


class Model(BaseHTTPRequestHandler):
    """Runs a command where it is asked to, once, and is done; in the words of Google or OpenAI."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_google = "contents" in asked
        said = json.dumps(asked["contents" if is_google else "messages"][-1])
        if "break it" in said:
            self.refuse()
            return
        runs = "run something" in said
        parts = [self.of_google(runs)] if is_google else [*self.of_openai(runs), "[DONE]"]
        lines = [each if isinstance(each, str) else json.dumps(each) for each in parts]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write("".join(f"data: {each}\r\n\r\n" for each in lines).encode())

    def refuse(self) -> None:
        data = json.dumps(
            {"error": {"code": 400, "message": REFUSAL, "status": "INVALID"}}
        ).encode()
        self.send_response(400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def of_google(self, runs: bool) -> Any:
        call = {"name": "run_shell_command", "args": {"command": COMMAND, "description": "Do it"}}
        part = {"functionCall": call} if runs else {"text": "All is done."}
        usage = {"promptTokenCount": 100, "candidatesTokenCount": 10, "totalTokenCount": 110}
        content = {"role": "model", "parts": [part]}
        candidate = {"content": content, "finishReason": "STOP", "index": 0}
        return {"candidates": [candidate], "usageMetadata": usage}

    def of_openai(self, runs: bool) -> list[Any]:
        arguments = json.dumps({"command": COMMAND, "description": "Do it"})
        function = {"name": "bash", "arguments": arguments}
        call = {"index": 0, "id": "call_1", "type": "function", "function": function}
        said = {"tool_calls": [call]} if runs else {"content": "All is done."}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        ends = "tool_calls" if runs else "stop"
        return [
            self.of_choice({"delta": {"role": "assistant", **said}, "finish_reason": None}),
            {**self.of_choice({"delta": {}, "finish_reason": ends}), "usage": usage},
        ]

    def of_choice(self, choice: dict[str, Any]) -> dict[str, Any]:
        chunk = {"id": "1", "object": "chat.completion.chunk", "model": "m", "created": 1}
        return {**chunk, "choices": [{"index": 0, **choice}]}

    def log_message(self, *_: object) -> None:
        """Say nothing on standard error."""


@pytest.fixture
def model() -> Iterator[str]:
    """The address of a model on loopback."""
    served = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    thread.join()
    served.server_close()


def serve(home: Path, model: str = "") -> Server:
    """A server that finds the real programs, with an empty home, and a model if one is given."""
    (home / "user").mkdir(exist_ok=True)
    variables = {"HOME": str(home / "user"), "PATH": PATH}
    if model:
        variables |= {"GEMINI_API_KEY": "none", "GOOGLE_GEMINI_BASE_URL": model}
        variables |= {"COPILOT_PROVIDER_BASE_URL": f"{model}/v1", "COPILOT_OFFLINE": "true"}
        variables |= {"COPILOT_MODEL": "m"}
    return Server(home, **variables)


def start(server: Server, name: str, prompt: str) -> str:
    """Start a session. Without a model gemini would ask one which of them to take."""
    return server.start(
        provider=name, prompt=prompt, model="gemini-2.5-pro" if name == "gemini" else "m"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [("gemini", "Gemini API key is missing"), ("copilot", "Authentication required")],
)
def test_without_an_account(tmp_path: Path, name: str, words: str) -> None:
    """Our command line is accepted, and what it lacks is why the session has failed."""
    with serve(tmp_path) as server:
        session_id = start(server, name, "say hello")
        server.until_end(session_id)
        session = server.session(session_id)
    assert (session["status"], session["exitCode"]) == ("failed", 0)
    assert session["reason"].startswith("It wants a login")
    assert words in session["reason"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("effect", ["allow", "deny"])
def test_a_permission(tmp_path: Path, model: str, name: str, effect: str) -> None:
    """It asks, hears what was decided, does that, and says what it took."""
    with serve(tmp_path, model) as server:
        session_id = start(server, name, "run something")
        asked = server.wait_for(session_id, "input:requested").data
        assert COMMAND in asked["prompt"]
        (waiting,) = server.get("/api/inputs")["inputs"]
        value = next(each["value"] for each in waiting["options"] if each["effect"] == effect)
        path = f"/api/sessions/{session_id}/inputs/{waiting['id']}"
        server.post(path, {"answer": value})
        events = server.until_end(session_id)
        session = server.session(session_id)
    assert (tmp_path / "made").exists() == (effect == "allow")
    assert session["conversation"]
    if effect == "allow":
        assert events[-1].type == "session:completed"
        assert outputs(events)[-1] == "All is done."
        assert (session["exitCode"], session["usage"]["tokensUsed"]) == (0, 220)


@pytest.mark.parametrize("name", NAMES)
def test_going_on_later(tmp_path: Path, model: str, name: str) -> None:
    """A conversation goes on, nothing of it is told again, and only what is new is booked."""
    settings = tmp_path / "user" / ".gemini" / "settings.json"
    settings.parent.mkdir(parents=True)
    # It goes on only where a login was chosen.
    settings.write_text('{"security": {"auth": {"selectedType": "gemini-api-key"}}}', "utf-8")
    with serve(tmp_path, model) as server:
        first = start(server, name, "say hello")
        assert outputs(server.until_end(first)) == ["All is done."]
        for chat in settings.parent.glob("tmp/*/chats/session-*.jsonl"):
            # It writes over what it is to go on with, if that was begun in this very minute.
            chat.rename(chat.with_name(f"session-2026-01-01T00-00-{chat.stem[-8:]}.jsonl"))
        told = server.post(f"/api/sessions/{first}/continue", {"message": "and again"}, 201)
        events = server.until_end(told["sessionId"])
        used = [server.session(each)["usage"]["tokensUsed"] for each in (first, told["sessionId"])]
    assert outputs(events) == ["All is done."]
    assert events[-1].type == "session:completed"
    assert used == [110, 110]


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_refuses(tmp_path: Path, model: str, name: str) -> None:
    """The session has failed for that, also where the agent says it as if all was well."""
    with serve(tmp_path, model) as server:
        session_id = start(server, name, "break it")
        server.until_end(session_id)
        session = server.session(session_id)
    assert (session["status"], session["reasonCode"]) == ("failed", "said_so")
    assert REFUSAL in session["reason"]
