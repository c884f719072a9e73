"""
The real ``cline`` and ``aider``, once each, behind their bridges, with nobody's keys.

A test is skipped where its program is not there: neither is needed to work on this project.
"""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from loki_twisted.agents.providers.cline_lines import MUTE
from tests.real_agents import PATH, find
from tests.system import Server

CLINE, AIDER = find("cline"), find("aider")
PROMPT = "Make a file with the tool that you have."


class Model(http.server.BaseHTTPRequestHandler):
    """A model on loopback, in the language of OpenAI: it uses a tool once, and is done."""

    usage: ClassVar[dict[str, int]] = {
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "total_tokens": 110,
    }

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:  # the standard library's name
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        done = {"role": "assistant", "content": "All is done."}
        if not asked.get("stream"):
            choice = {"index": 0, "finish_reason": "stop", "message": done}
            answer = {"object": "chat.completion", "choices": [choice], "usage": self.usage}
            self._answer("application/json", json.dumps({"id": "1", "model": "m", **answer}))
            return
        has_result = any(each["role"] == "tool" for each in asked["messages"])
        call = {"name": "run_commands", "arguments": json.dumps({"commands": ["touch made"]})}
        calls = [{"index": 0, "id": "call_1", "type": "function", "function": call}]
        delta = done if has_result else {"role": "assistant", "tool_calls": calls}
        reason = "stop" if has_result else "tool_calls"
        parts: list[Any] = [
            self._part(delta, None),
            {**self._part({}, reason), "usage": self.usage},
        ]
        lines = [*map(json.dumps, parts), "[DONE]"]
        self._answer("text/event-stream", "".join(f"data: {each}\n\n" for each in lines))

    def _part(self, delta: object, reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {"id": "1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}

    def _answer(self, kind: str, body: str) -> None:
        data = body.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def model() -> Iterator[str]:
    """The address of a model."""
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    serving = threading.Thread(target=listening.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{listening.server_port}/v1"
    listening.shutdown()
    serving.join()
    listening.server_close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home, with an empty project in it."""
    path = tmp_path / "project"
    path.mkdir()
    return path


def variables(tmp_path: Path, **more: str) -> dict[str, str]:
    """No keys, no settings; nothing is sent to anybody."""
    return {
        "HOME": str(tmp_path),
        "PATH": PATH,
        "CLINE_TELEMETRY_DISABLED": "1",
        "OPENAI_API_KEY": "",
        "ANTHROPIC_API_KEY": "",
        "OPENROUTER_API_KEY": "",
        **more,
    }


@pytest.mark.skipif(CLINE is None, reason="cline is not installed")
@pytest.mark.parametrize("asks", [True, False])
def test_cline(model: str, home: Path, tmp_path: Path, asks: bool) -> None:
    """It is asked for leave before it uses a tool, or says that it cannot ask; or uses it."""
    set_up = [str(CLINE), "auth", "-p", "openai-compatible", "-k", "x", "-m", "m", "-b", model]
    env = {**os.environ, **variables(tmp_path), "CLINE_NO_AUTO_UPDATE": "1"}
    subprocess.run(set_up, env=env, check=True, capture_output=True, timeout=60)
    trust = {} if asks else {"LOKI_CLINE_AUTO_APPROVE": "true"}
    with Server(home, **variables(tmp_path, **trust)) as server:
        session_id = server.start(
            provider="cline", prompt=PROMPT, options={"onUnanswered": "deny", "inputTimeout": 1000}
        )
        events = server.until_end(session_id)
        session = server.session(session_id)
    assert (home / "made").exists() is not asks
    if session["status"] == "failed":
        assert session["reason"] == MUTE
    else:
        assert any(each.type == "input:requested" for each in events) is asks
    assert session["usage"]["outputTokens"] == 20


@pytest.mark.skipif(CLINE is None, reason="cline is not installed")
def test_cline_without_an_account(home: Path, tmp_path: Path) -> None:
    """Our command line is taken, and that nobody answers it is why the session has failed."""
    nowhere = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY"), "http://127.0.0.1:1")
    with Server(home, **variables(tmp_path, **nowhere)) as server:
        session_id = server.start(provider="cline", prompt=PROMPT)
        assert server.until_end(session_id)[-1].type == "session:failed"
        session = server.session(session_id)
    assert session["reasonCode"] == "said_so"
    assert "connect" in session["reason"]


@pytest.mark.skipif(AIDER is None, reason="aider is not installed")
def test_aider(model: str, home: Path, tmp_path: Path) -> None:
    """It answers a message, and reports what it has used."""
    keys = {"OPENAI_API_KEY": "x", "OPENAI_API_BASE": model}
    with Server(home, **variables(tmp_path, **keys)) as server:
        session_id = server.start(provider="aider", prompt=PROMPT, model="openai/m")
        events = server.until_end(session_id)
        session = server.session(session_id)
    said = [each.data["output"] for each in events if each.type == "agent:output"]
    assert any("All is done." in each for each in said)
    assert session["status"] == "completed"
    assert session["usage"]["outputTokens"] == 10


@pytest.mark.skipif(AIDER is None, reason="aider is not installed")
def test_aider_without_a_key(home: Path, tmp_path: Path) -> None:
    """It wants somebody to log in, and is not waited for."""
    with Server(home, **variables(tmp_path)) as server:
        session_id = server.start(provider="aider", prompt=PROMPT)
        assert server.until_end(session_id)[-1].type == "session:failed"
        reason = server.session(session_id)["reason"]
    assert reason == "aider has no key for a model, and nobody can log in for it."
