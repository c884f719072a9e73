"""The example of how to write a driver, run: its logic alone, and in a real server."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from loki_twisted.agents.driving import IDriver, IProvider
from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.outputs import Asked, EndInput, Taken, TurnBegan, TurnEnded, Verdict, Write
from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import Answer
from loki_twisted.model.messages import Message
from tests.system import Server

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
PLUGIN = run_path(str(EXAMPLES / "parrot_provider.py"))
ASK = '{"ask": "May I shout?", "id": "shout"}'


def parrot(memory: str = "", *, stays_open: bool = False) -> Any:
    """The driver of a parrot."""
    request = LaunchRequest(
        session_id="s1",
        project_dir="/p",
        loki_dir="/p",
        provider="parrot",
        prompt="HELLO",
        stays_open=stays_open,
    )
    return PLUGIN["ParrotDriver"](request, memory)


def test_interfaces() -> None:
    """The example is a provider with a driver."""
    assert verifyObject(IProvider, PLUGIN["parrot"])
    assert verifyObject(IDriver, parrot())


def test_it_is_small() -> None:
    """A driver is a matter of 40 lines."""
    [driver] = [
        node
        for node in ast.parse((EXAMPLES / "parrot_provider.py").read_text("utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name == "ParrotDriver"
    ]
    assert driver.end_lineno is not None
    assert driver.end_lineno - driver.lineno < 40


def test_from_the_prompt_to_the_end() -> None:
    """It is told the prompt, asks, is answered, speaks, and ends."""
    driver = parrot()
    assert driver.begin() == [TurnBegan(), Write('{"hear": "HELLO"}\n')]
    (asked,) = driver.line("stdout", ASK)
    assert isinstance(asked, Asked)
    assert [each.value for each in asked.options] == ["yes", "no"]
    answered = driver.answer(asked.key, Answer(values=("yes",)))
    assert answered == [Write('{"answer": "yes", "to": "shout"}\n')]
    (fact,) = driver.line("stdout", '{"say": "HELLO"}')
    assert (fact.type, fact.data["output"]) == ("agent:output", "HELLO")
    assert driver.line("stdout", '{"done": true}') == [TurnEnded(Verdict.DONE), EndInput()]


def test_one_that_stays() -> None:
    """It is ready for a message when it has done its work, also by a driver that is made anew."""
    driver = parrot(stays_open=True)
    assert driver.line("stdout", '{"done": true}') == [TurnEnded(Verdict.DONE)]
    later = parrot(driver.memory(), stays_open=True)
    assert later.is_ready
    message = Message(id="m1", session_id="s1", text="again", created_at="")
    assert later.say(message) == [TurnBegan(), Write('{"hear": "again"}\n'), Taken("m1")]
    assert not later.is_ready


LINES = st.text() | st.sampled_from(
    [
        "null",
        "[]",
        "{}",
        '{"say": null}',
        '{"say": {"a": [1]}}',
        '{"ask": [], "id": {}}',
        '{"ask": 1}',
        '{"done": 1}',
        '{"done": {}}',
        ASK,
        "[" * 100_000,
        '{"say": ' + "[" * 100_000,
        '{"say": "\\ud800\\u0000"}',
    ]
)


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), LINES)), st.booleans())
@settings(deadline=None)
def test_no_line_makes_it_fail(lines: list[tuple[str, str]], stays_open: bool) -> None:
    """What it does not know is a log line; and one that is made anew at any line says the same."""
    driver = parrot(stays_open=stays_open)
    for stream, line in lines:
        other = parrot(driver.memory(), stays_open=stays_open)
        said = driver.line(stream, line)
        assert said == other.line(stream, line)
        assert said
        assert all(isinstance(each, Fact | Asked | TurnEnded | EndInput) for each in said)


# In a real server


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the plugin, the program and a project in it."""
    plugins = tmp_path / "python" / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    source = (EXAMPLES / "parrot_provider.py").read_text("utf-8")
    (plugins / "parrot_provider.py").write_text(source, "utf-8")
    program = tmp_path / "bin" / "parrot"
    program.parent.mkdir()
    source = (EXAMPLES / "parrot.py").read_text("utf-8")
    program.write_text(f"#!{sys.executable}\n{source}", "utf-8")
    program.chmod(0o755)
    (tmp_path / "home").mkdir()
    return tmp_path


def serve(place: Path) -> Server:
    """A server that finds the parrot and its provider."""
    paths = [str(place / "python"), os.environ.get("PYTHONPATH", "")]
    return Server(
        place / "home",
        PATH=f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}",
        PYTHONPATH=os.pathsep.join(filter(None, paths)),
    )


@pytest.fixture
def server(place: Path) -> Iterator[Server]:
    """One of those."""
    with serve(place) as server:
        yield server


def outputs(events: Any) -> list[str]:
    """What the agent said."""
    return [event.data["output"] for event in events if event.type == "agent:output"]


def test_it_is_there(server: Server) -> None:
    """A provider that comes as a plugin is listed like those of the server."""
    listed = {each["name"]: each for each in server.get("/api/providers")["providers"]}
    assert listed["parrot"] == {
        "name": "parrot",
        "available": True,
        "abilities": {"asks": True, "messaging": "next", "continues": False, "cost": "unknown"},
    }


def test_a_parrot_that_shouts(server: Server) -> None:
    """It asks in the inbox, is answered by anybody, and the session is completed by its word."""
    session = server.start(provider="parrot", prompt="HELLO")
    server.wait_for(session, "input:requested")
    (asked,) = server.get("/api/inputs")["inputs"]
    assert (asked["prompt"], asked["sessionId"]) == ("May I shout?", session)
    path = f"/api/sessions/{session}/inputs/{asked['id']}"
    assert server.post(path, {"answer": "yes"})["input"]["status"] == "answered"
    events = server.until_end(session)
    assert outputs(events) == ["HELLO"]
    assert events[-1].type == "session:completed"


def test_a_parrot_that_stays_outlives_the_server(place: Path) -> None:
    """The next server knows where it stands: a question is still open, and it takes messages."""
    with serve(place) as server:
        options = {"stayOpen": True}
        session = server.start(provider="parrot", prompt="HELLO", options=options)
        server.wait_for(session, "input:requested")
        server.kill()
    with serve(place) as server:
        server.post(f"/api/sessions/{session}/input", {"input": "no"})
        said = server.wait_for(session, "agent:output")
        assert said.data["output"] == "hello"
        server.post(f"/api/sessions/{session}/input", {"input": "again"})
        server.wait_for(session, "message:delivered")
        server.kill()
    with serve(place) as server:
        told: list[str] = []
        for event in server.stream(f"sessionId={session}&types=agent:*&lastEventId=earliest"):
            told += outputs([event])
            if told == ["hello", "again"]:
                break
        server.post(f"/api/sessions/{session}/stop")
        assert server.until_end(session)[-1].type == "session:stopped"
