"""Requests with an ``Idempotency-Key`` that come again, when the server was killed in between."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.claude_support import install
from tests.system import Server
from tests.told import outputs, says, types


def ask(server: Server, key: str, path: str, body: object) -> Any:
    """The answer to a request with a key; gives its JSON."""
    answer = server.request("POST", path, body, **{"Idempotency-Key": key})
    assert answer.status in (200, 201), answer
    return answer.json


@pytest.mark.promise("R26")
def test_each_is_carried_out_once_whatever_crashes(tmp_path: Path) -> None:
    """A start, a message and an answer that are sent to three servers are one of each."""
    path = os.pathsep.join([install(tmp_path).search_path, "/usr/bin", "/bin"])
    # It stays: else it might be done, and take no message, where this machine is slow.
    wanted = {
        "provider": "claude",
        "prompt": "permission please",
        "options": {"stayOpen": True},
    }
    with Server(tmp_path, PATH=path) as server:
        session_id = ask(server, "start", "/api/sessions", wanted)["sessionId"]
        place = f"/api/sessions/{session_id}"
        asked = server.wait_for(session_id, "input:requested").data
        server.kill()
    answers, answer = f"{place}/inputs/{asked['inputId']}", {"answer": "allow"}
    with Server(tmp_path, PATH=path) as server:
        assert ask(server, "start", "/api/sessions", wanted)["sessionId"] == session_id
        ask(server, "answer", answers, answer)
        told = ask(server, "message", f"{place}/input", {"input": "plain rest"})
        server.kill()
    with Server(tmp_path, PATH=path) as server:
        assert ask(server, "start", "/api/sessions", wanted)["sessionId"] == session_id
        ask(server, "answer", answers, answer)
        again = ask(server, "message", f"{place}/input", {"input": "plain rest"})
        assert again["messageId"] == told["messageId"]
        other = server.request(
            "POST", f"{place}/input", {"input": "x"}, **{"Idempotency-Key": "message"}
        )
        assert other.status == 409
        server.until(session_id, says("There are two files."))
        server.post(f"{place}/stop")
        events = server.until_end(session_id)
        assert server.get("/api/sessions")["total"] == 1
    assert types(events, "input:") == ["input:requested", "input:answered"]
    assert types(events, "message:") == ["message:queued", "message:delivered"]
    assert outputs(events, "tool_result").count('used with {"command": "rm -r build"}') == 1
    assert outputs(events)[-2:] == ["You say: plain rest", "There are two files."]


def test_what_was_deleted_since_is_not_started_again(tmp_path: Path) -> None:
    """The key of a start whose record is gone is refused as used, and no session is missing."""
    wanted = {"provider": "demo"}
    with Server(tmp_path, LOKI_DEMO_SPEED="1000", LOKI_DEMO_TIMEOUT="0.2") as server:
        session_id = ask(server, "start", "/api/sessions", wanted)["sessionId"]
        server.until_end(session_id)
        assert server.request("DELETE", f"/api/sessions/{session_id}").status == 200
        again = server.request("POST", "/api/sessions", wanted, **{"Idempotency-Key": "start"})
        assert (again.status, again.json["code"]) == (409, "CONFLICT")
        assert f"{session_id}, was deleted since" in again.json["error"]
        assert server.get("/api/sessions")["total"] == 0
