"""
The real Claude Code under the real server, with an empty home and a model on loopback.

Its answers are written down beforehand, so what is seen here is what the program itself makes of
our command line, of our answers to what it asks, and of our messages.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.messages_api import MessagesApi, Reply, text, use
from tests.real_agents import find
from tests.system import Server
from tests.told import outputs, says, stays, types

CLAUDE = find("claude")

pytestmark = [
    pytest.mark.skipif(CLAUDE is None, reason="claude is not installed"),
    pytest.mark.timeout(240),
]


class Desk:
    """A directory with an empty home and a project, and servers on it."""

    def __init__(self, root: Path) -> None:
        self.project = root / "project"
        self.home = root / "home"
        self.project.mkdir()
        self.home.mkdir()
        (root / "bin").mkdir()
        (root / "bin" / "claude").symlink_to(str(CLAUDE))
        self.path = os.pathsep.join([str(root / "bin"), "/usr/bin", "/bin"])

    def serve(self, api: MessagesApi, key: str = "a-key-for-loopback") -> Server:
        """A server whose agents reach the model on loopback, and nothing else."""
        nowhere = "http://127.0.0.1:9"
        return Server(
            self.project,
            PATH=self.path,
            HOME=str(self.home),
            ANTHROPIC_BASE_URL=api.url,
            ANTHROPIC_API_KEY=key,
            CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
            HTTPS_PROXY=nowhere,
            HTTP_PROXY=nowhere,
            NO_PROXY="127.0.0.1,localhost",
        )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """One for a test."""
    return Desk(tmp_path)


def run(desk: Desk, replies: list[Reply], answers: dict[str, Any], **wanted: Any) -> list[Any]:
    """A session to its end; the answer to what it asks is found by the prompt."""
    with MessagesApi(replies) as api, desk.serve(api) as server:
        session_id = server.start(provider="claude", prompt="Do as you are told", **wanted)
        events = []
        for event in server.stream(f"sessionId={session_id}&lastEventId=earliest"):
            events.append(event)
            if event.type == "input:requested":
                given = next(v for k, v in answers.items() if k in event.data["prompt"])
                path = f"/api/sessions/{session_id}/inputs/{event.data['inputId']}"
                server.post(path, {"answer": given})
            if event.type in ("session:completed", "session:failed", "session:stopped"):
                return events
    raise AssertionError("the stream ended before")


def test_without_a_login(desk: Desk) -> None:
    """Our command line is taken, and what is missing is why the session has failed."""
    with MessagesApi([]) as api, desk.serve(api, key="") as server:
        session_id = server.start(provider="claude", prompt="Do as you are told")
        events = server.until_end(session_id)
        session = server.session(session_id)
    assert events[-1].type == "session:failed"
    assert session["exitCode"] == 1
    assert "/login" in session["reason"]
    assert session["conversation"]


LONG = "long " * 5000 + "end"
OPTIONS = [{"label": "Red", "description": "r"}, {"label": "Blue", "description": "b"}]
QUESTIONS = [
    {"question": f"Which {each}?", "header": each, "options": OPTIONS, "multiSelect": many}
    for each, many in (("colour", False), ("parts", True))
]


def test_what_it_asks(desk: Desk) -> None:
    """Each answer is taken for what it is, also where arguments are too long to be sent back."""
    path = desk.project / "a.txt"
    replies = [
        [use("toolu_1", "Write", file_path=str(path), content=LONG)],
        [use("toolu_2", "Bash", command="rmdir no", description="a")],
        [use("toolu_3", "AskUserQuestion", questions=QUESTIONS)],
        [use("toolu_4", "EnterPlanMode")],
        [use("toolu_5", "ExitPlanMode", plan="1. Write")],
        [use("toolu_6", "Bash", command="mkdir one", description="b")],
        [use("toolu_7", "Bash", command="mkdir one/two", description="c")],
        [text("Done.")],
    ]
    answers = {
        "Write": "allow",
        "rmdir": "deny",
        "colour": "Green",
        "parts": ["Red", "Blue"],
        "plan": "allow",
        "mkdir": "allow_session",
    }
    events = run(desk, replies, answers)
    assert path.read_text("utf-8") == LONG
    results = {
        each.data["callId"]: each.data
        for each in events
        if each.type == "agent:output" and each.data["kind"] == "tool_result"
    }
    assert results["toolu_2"]["isError"]
    assert '"Which colour?"="Green"' in results["toolu_3"]["output"]
    assert '"Which parts?"="Red, Blue"' in results["toolu_3"]["output"]
    assert "approved" in results["toolu_5"]["output"]
    assert (desk.project / "one" / "two").is_dir()
    assert not (desk.project / ".claude").exists()  # where it would keep rules of the project
    assert types(events, "input:").count("input:requested") == 6
    assert types(events, "input:").count("input:withdrawn") == 0
    assert outputs(events) == ["Done."]
    assert events[-1].type == "session:completed"


def test_a_dry_run(desk: Desk) -> None:
    """Nothing is changed, and nobody is asked."""
    path = desk.project / "a.txt"
    replies = [
        [use("toolu_1", "Write", file_path=str(path), content="x")],
        [use("toolu_2", "ExitPlanMode", plan="1. Write")],
        [text("That is the plan.")],
    ]
    events = run(desk, replies, {}, options={"dryRun": True})
    assert not path.exists()
    assert types(events, "input:") == []
    assert outputs(events) == ["That is the plan."]
    assert events[-1].type == "session:completed"


def test_what_it_does(desk: Desk) -> None:
    """What it plans and whom it spawns is told; what goes on in the background is waited for."""
    asked = {"description": "Look", "prompt": "Look around", "subagent_type": "general-purpose"}
    command = {"command": "sleep 2; mkdir late", "description": "a", "run_in_background": True}
    replies = [
        [use("toolu_1", "TaskCreate", subject="Read", description="Read all")],
        [use("toolu_2", "TaskUpdate", taskId="1", status="completed")],
        [use("toolu_3", "Task", **asked, run_in_background=False)],
        [text("I look.")],
        [use("toolu_4", "Bash", **command)],
        [text("I wait.")],
        [text("It has ended.")],
    ]
    # The newest models are not given the tools for tasks.
    events = run(desk, replies, {"Bash": "allow"}, model="claude-haiku-4-5")
    told = [(each.type, each.data["title"]) for each in events if each.type.startswith("task:")]
    assert told == [("task:created", "Read"), ("task:completed", "Read")]
    helper = [each for each in events if each.data.get("agentId") == "toolu_3"]
    assert [each.type for each in helper] == ["agent:spawned", "agent:output", "agent:completed"]
    assert helper[1].data["output"] == "I look."
    assert "I look." in helper[2].data["output"]
    assert (desk.project / "late").is_dir()
    assert outputs(events) == ["I look.", "I wait.", "It has ended."]
    assert events[-1].type == "session:completed"


def test_messages_and_an_interruption(desk: Desk) -> None:
    """One goes into the turn, one behind it; an interrupted turn is not the end of the session."""
    wait = use("toolu_1", "Bash", command="sleep 3", description="a")
    replies = [
        [text("I begin."), wait],
        [text("I was told.")],
        [text("The rest."), {**wait, "id": "toolu_2"}],
        [text("And on.")],
    ]
    with MessagesApi(replies) as api, desk.serve(api) as server:
        session_id = server.start(provider="claude", prompt="Do as you are told")
        path = f"/api/sessions/{session_id}"
        server.until(session_id, says("I begin."))
        rest = server.post(f"{path}/input", {"input": "the rest", "delivery": "next"})
        now = server.post(f"{path}/input", {"input": "hear this", "delivery": "now"})
        server.until(session_id, says("The rest."))
        server.until(session_id, lambda event: event.data.get("callId") == "toolu_2")
        server.post(f"{path}/interrupt")
        server.until(session_id, stays)
        server.post(f"{path}/input", {"input": "go on"})
        events = server.until_end(session_id)
    assert outputs(events) == ["I begin.", "I was told.", "The rest.", "And on."]
    delivered = [each.data["messageId"] for each in events if each.type == "message:delivered"]
    assert delivered[:2] == [now["messageId"], rest["messageId"]]
    assert len(delivered) == 3
    assert events[-1].type == "session:completed"


def test_a_conversation_goes_on(desk: Desk) -> None:
    """Its totals go on from run to run, and each call of the model is booked once."""
    with MessagesApi([[text("One.")], [text("Two.")]]) as api, desk.serve(api) as server:
        first_id = server.start(provider="claude", prompt="Do as you are told")
        server.until_end(first_id)
        path = f"/api/sessions/{first_id}/continue"
        second_id = server.post(path, {"message": "Do as you are told"}, 201)["sessionId"]
        events = server.until_end(second_id)
        sums = [
            server.get(f"/api/usage?sessionId={each}")["sum"]["spending"]
            for each in (first_id, second_id)
        ]
        sessions = [server.session(each) for each in (first_id, second_id)]
    assert outputs(events) == ["Two."]
    assert sessions[0]["conversation"] == sessions[1]["conversation"]
    assert [each["inputTokens"] for each in sums] == [100, 100]
    assert [each["outputTokens"] for each in sums] == [50, 50]
    assert sums[0]["cost"] == pytest.approx(sums[1]["cost"])
    assert sums[0]["cost"] > 0
