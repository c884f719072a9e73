"""``lokictl demo``, from its first line to its last."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loki_twisted.command.demo import own_answer
from loki_twisted.model.events import Event

SECONDS = 60
PROGRAM = "import sys; from loki_twisted.command.lokictl import main; sys.exit(main())"
IN_TERMINAL = """
import os
# Opened by the leader of a session the terminal becomes its own, so that Ctrl-C is a signal.
os.close(os.open(os.ttyname(0), os.O_RDWR))
from loki_twisted.command import demo
demo.PATIENCE_SECONDS = {patience}
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A place for temporary files, in which no file and no process is left."""
    place = tmp_path / "tmp"
    place.mkdir()
    yield place
    assert list(place.iterdir()) == []
    assert [each for each in command_lines() if str(tmp_path).encode() in each] == []


def command_lines() -> Iterator[bytes]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                yield (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended meanwhile


def environment(home: Path, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LOKI_")}
    return {**clean, "TMPDIR": str(home), "TERM": "xterm", **more}


def run(home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the demo without a terminal."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, "demo", *words],
        env=environment(home, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_once(home: Path) -> None:
    """Without a keyboard it answers its question itself, and ends with the session."""
    ended = run(home, "--once", "--speed", "40", LOKI_DEMO_TIMEOUT="60")
    lines = ended.stdout.splitlines()

    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.fullmatch(r"The page and the API are at (http://127\.0\.0\.1:\d+), .*", lines[0])
    assert lines[1].startswith("  curl -N 'http://127.0.0.1:")
    assert any("input:requested" in line for line in lines)
    assert any("Midnight it is" in line for line in lines)
    assert "session:completed" in lines[-1]
    assert "\x1b" not in ended.stdout


def test_events_for_programs(home: Path) -> None:
    """With --json each line of the output is an event; all else is said beside it."""
    ended = run(home, "--once", "--json", "--speed", "40")
    events = [json.loads(line) for line in ended.stdout.splitlines()]

    assert ended.returncode == 0
    assert events[-1]["type"] == "session:completed"
    assert ended.stderr.startswith("The page and the API are at ")


def test_a_pipe_that_is_closed(home: Path) -> None:
    """Where nobody reads any more the session is stopped, and nothing is said."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "demo"],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        demo.stdout.readline()
        demo.stdout.close()
        assert demo.stderr.read() == b""
        assert demo.wait(SECONDS) == 141


def test_a_session_that_fails(home: Path) -> None:
    """The exit code says that the session has failed."""
    ended = run(home, "--once", LOKI_DEMO_SPEED="40", LOKI_DEMO_FAIL="1")

    assert (ended.returncode, ended.stderr) == (6, "")
    assert "session:failed" in ended.stdout.splitlines()[-1]


def test_a_given_directory(home: Path, tmp_path: Path) -> None:
    """With --data-dir the history stays where one wants it."""
    place = tmp_path / "new" / "place"
    ended = run(home, "--once", "--speed", "60", "--data-dir", str(place))

    assert ended.returncode == 0
    assert (place / ".loki" / "server" / "log.db").exists()
    assert len(list((place / ".loki" / "sessions").iterdir())) == 1


def test_a_directory_that_is_none(home: Path) -> None:
    """A place that cannot be used is one line."""
    ended = run(home, "--once", "--data-dir", "/dev/null")

    assert ended.returncode == 1
    assert ended.stderr.startswith("lokictl demo: ")
    assert ended.stderr.count("\n") == 1


class Terminal:
    """The demo in a terminal of its own."""

    def __init__(self, home: Path, *words: str, patience: float = 10_000.0) -> None:
        self._end, program = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", IN_TERMINAL.format(patience=patience) + PROGRAM, "demo", *words],
            env=environment(home, LOKI_DEMO_TIMEOUT="60"),
            stdin=program,
            stdout=program,
            stderr=program,
            start_new_session=True,
        )
        os.close(program)
        self.said = ""

    def read_to(self, pattern: str) -> re.Match[str]:
        """Read until something was said."""
        while not (found := re.search(pattern, self.said)):
            self.said += os.read(self._end, 4096).decode()
        return found

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._end, text.encode())

    def end(self) -> int:
        """Wait for the end; gives the exit code."""
        while True:
            try:
                self.said += os.read(self._end, 4096).decode()
            except OSError:  # the other end is closed
                os.close(self._end)
                return self.process.wait(SECONDS)


def test_an_answer_is_typed(home: Path) -> None:
    """What one types is what the agent builds; on a terminal there are colours."""
    terminal = Terminal(home, "--once", "--speed", "40")
    terminal.read_to("type an answer, or wait: midnight")
    terminal.type("pink with dots\n")

    assert terminal.end() == 0
    assert "Pink with dots it is" in terminal.said
    assert "\x1b[32m" in terminal.said


def test_nothing_is_typed(home: Path) -> None:
    """Who only watches sees it go on by itself, with an answer of its own."""
    terminal = Terminal(home, "--once", "--speed", "40", patience=0.4)

    assert terminal.end() == 0
    assert "type an answer, or wait: midnight" in terminal.said
    assert "Midnight it is" in terminal.said


def test_ctrl_c_in_the_middle(home: Path) -> None:
    """Ctrl-C stops the session first, and says so."""
    terminal = Terminal(home)
    terminal.read_to("task:started")
    terminal.type("\x03")

    assert terminal.end() == 130
    assert re.search(r"Stopping session_\w+", terminal.said)
    assert "session:stopped" in terminal.said.splitlines()[-1]


def test_the_server_stays(home: Path) -> None:
    """Without --once the API is there after the session, until Ctrl-C."""
    terminal = Terminal(home, "--speed", "40")
    terminal.read_to("type an answer")
    terminal.type("paper\n")
    terminal.read_to("until you press Ctrl-C")
    address = terminal.read_to(r"The page and the API are at (http://[\d.:]+)")[1]
    with urllib.request.urlopen(f"{address}/api/sessions", timeout=SECONDS) as answer:
        assert b'"status":"completed"' in answer.read()
    terminal.type("\x03")

    assert terminal.end() == 0


def question(**data: Any) -> Event:
    return Event(id="e", type="input:requested", timestamp="", session_id="s", data=data)


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        ({}, "yes"),
        ({"options": []}, "yes"),
        ({"options": "a or b"}, "yes"),
        ({"options": ["a"]}, "a"),
        ({"options": ["a", "b"], "default": "a"}, "b"),
        ({"options": ["a"], "default": "a"}, "a"),
        ({"options": [1, 2], "default": 1}, "2"),
    ],
)
def test_own_answers(data: dict[str, Any], answer: str) -> None:
    """Its own answer is one of the options, if possible not the one that silence gives."""
    assert own_answer(question(**data)) == answer
