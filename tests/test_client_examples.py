"""The examples of the client's documentation, run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from runpy import run_path

import pytest

from tests.system import TIMEOUT, Server

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server whose demo is fast, and waits for an answer."""
    with Server(tmp_path, LOKI_DEMO_SPEED="50", LOKI_DEMO_TIMEOUT="600") as server:
        yield server


def example(server: Server, *words: str) -> subprocess.Popen[str]:
    """Run the example."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOKI_")}
    command = [sys.executable, str(EXAMPLES / "client.py"), server.base, *words]
    return subprocess.Popen(command, env=inherited, stdout=subprocess.PIPE, text=True)


def lines_of(program: subprocess.Popen[str]) -> list[str]:
    """What a program has printed at its end, which is a good one."""
    said, _ = program.communicate(timeout=TIMEOUT)
    assert program.returncode == 0
    return said.splitlines()


def test_the_example_of_the_documentation(server: Server, tmp_path: Path) -> None:
    """A session is run to its end, watched by callbacks, and followed from where one was."""
    watching = example(server, "watch")
    place = tmp_path / "place"
    assert lines_of(example(server, "go-on", str(place))) == []
    said = lines_of(example(server, "run"))

    assert said[-2] == "session:completed "
    assert said[-1].startswith("409 CONFLICT ")
    assert "task:completed Paint it in violet" in said
    watched = lines_of(watching)
    assert watched[0].startswith("log:warn ")
    assert watched[-1] == "session:completed "
    followed = lines_of(example(server, "go-on", str(place)))
    history = server.get("/api/events/history?after=earliest&limit=1000")["events"]
    assert followed == [f"{event['id']} {event['type']}" for event in history]
    assert place.read_text() == history[-1]["id"]
    assert lines_of(example(server, "go-on", str(place))) == []


def test_the_example_in_memory() -> None:
    """The test that the documentation shows passes."""
    run_path(str(EXAMPLES / "client_in_memory.py"))["test_the_program"]()
