"""``lokictl`` in terminals, against a real server."""

from __future__ import annotations

import json
import os
import re
import signal
import termios
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.system import TIMEOUT, Server
from tests.terminals import (
    asking_server,
    begin_to_ask,
    environment,
    exit_code,
    in_terminal,
    install,
    lokictl,
    said,
)

ESCAPE = "\x1b["


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose demo agents ask at once and wait long for an answer."""
    with asking_server(tmp_path_factory.mktemp("asking")) as server:
        yield server


@pytest.fixture
def asking(server: Server) -> Iterator[str]:
    """The one session that runs; its agent has asked something."""
    session_id = begin_to_ask(server)
    yield session_id
    server.request("POST", f"/api/sessions/{session_id}/stop")  # refused if it has ended by now
    server.until_end(session_id)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that a test may end or halt."""
    with asking_server(tmp_path) as server:
        yield server


def test_colours_in_a_terminal(server: Server, asking: str) -> None:
    """In a terminal there are colours, unless NO_COLOR is set."""
    coloured = in_terminal(server.base, "ps")
    coloured.expect(re.escape(f"{ESCAPE}35mrunning"))
    assert exit_code(coloured) == 0
    plain = in_terminal(server.base, "ps", NO_COLOR="1")
    plain.expect("running")
    assert ESCAPE not in plain.before
    assert exit_code(plain) == 0


@pytest.mark.parametrize("verb", ["ps", "tasks", "usage", "top --once"])
def test_forty_columns(server: Server, asking: str, verb: str) -> None:
    """In a narrow terminal no line of a table is longer than the terminal is wide."""
    terminal = in_terminal(server.base, *verb.split(), columns=40, NO_COLOR="1")
    terminal.expect(pexpect.EOF)
    lines = terminal.before.replace("\r", "").splitlines()

    assert len(lines) > 1
    assert max(map(len, lines)) <= 40
    if verb == "ps":
        assert lines[1].startswith(asking[-8:])


def test_long_lists(server: Server, asking: str) -> None:
    """People are told what a list leaves out; scripts are not."""
    terminal = in_terminal(server.base, "tasks", "--limit", "1")
    terminal.expect(r"-- 1 of \d+; more with --limit --")
    assert exit_code(terminal) == 0
    assert len(said(lokictl(server.base, "tasks", "--limit", "1")).splitlines()) == 2


def test_top(server: Server, asking: str) -> None:
    """Top shows what there is and what changes, and leaves the terminal as it was."""
    terminal = in_terminal(server.base, "top", "--interval", "600")
    terminal.expect("1 asked")
    assert "\x1b[?1049h" in terminal.before
    terminal.expect(asking)
    server.post(f"/api/sessions/{asking}/input", {"input": "dawn"})
    terminal.expect("No session runs")
    terminal.send("q")
    terminal.expect(re.escape("\x1b[?1049l"))
    assert exit_code(terminal) == 0


def test_a_terminal_that_is_resized(server: Server, asking: str) -> None:
    """What is live is drawn again at once as the terminal is then."""
    terminal = in_terminal(server.base, "top", "--interval", "600")
    terminal.expect_exact(asking)
    terminal.setwinsize(30, 40)
    terminal.expect(f"[^_]{asking[-8:]}")
    terminal.send("q")
    assert exit_code(terminal) == 0


def test_top_while_the_server_is_away(own_server: Server) -> None:
    """A server that goes away is said to be away, and what was seen last stays."""
    terminal = in_terminal(own_server.base, "top", "--interval", "0.2")
    terminal.expect("healthy|degraded")
    own_server.kill()
    terminal.expect("CUT OFF")
    terminal.sendintr()
    assert exit_code(terminal) == 130


@pytest.mark.parametrize("columns", [100, 40])
def test_attach_and_answer(server: Server, asking: str, columns: int) -> None:
    """One who attaches sees what is asked, answers it, sees it taken, and the session end."""
    terminal = in_terminal(server.base, "attach", "latest", columns=columns)
    terminal.expect("Which colours shall the clock have")
    terminal.expect("2 midnight")
    terminal.expect("answer>")
    terminal.send("2\r")
    terminal.expect("Midnight it is")
    terminal.expect("session:completed")
    assert exit_code(terminal) == 0
    answered = server.get(f"/api/sessions/{asking}/inputs")["inputs"][0]
    assert answered["answer"]["values"] == ["midnight"]


def test_attach_over_a_resize(server: Server, asking: str) -> None:
    """What is being typed stays while the terminal becomes narrow, and is sent as it was typed."""
    terminal = in_terminal(server.base, "attach", asking)
    terminal.expect("answer>")
    terminal.send("mid")
    terminal.expect("mid")
    terminal.setwinsize(30, 40)
    terminal.expect(r"answer> \x1b\[0mmid")  # drawn again
    terminal.send("night\r")
    terminal.expect("Midnight it is")
    terminal.expect("session:completed")
    assert exit_code(terminal) == 0


def test_attach_and_say(server: Server, asking: str) -> None:
    """What is no command is said to be none; orders are given; Ctrl-D leaves the session alone."""
    terminal = in_terminal(server.base, "attach", asking)
    terminal.expect("answer>")
    terminal.send("/frob\r")
    terminal.expect("/frob is not understood")
    terminal.send("/pause\r")
    terminal.expect("session:paused")
    terminal.send("\x04")
    terminal.expect("Left; the session goes on")
    assert exit_code(terminal) == 0
    assert server.get(f"/api/sessions/{asking}")["session"]["status"] == "paused"


def test_attached_to_a_dumb_terminal(server: Server, asking: str) -> None:
    """Where nothing can be typed that is said, with what to do instead; the session is shown."""
    terminal = in_terminal(server.base, "attach", asking, TERM="dumb")
    terminal.expect("nothing can be typed in a dumb terminal; answer with: lokictl answer")
    terminal.expect("2 midnight")
    assert ESCAPE not in terminal.before
    server.post(f"/api/sessions/{asking}/input", {"input": "dawn"})
    terminal.expect("session:completed")
    assert exit_code(terminal) == 0


def test_answered_elsewhere(server: Server, asking: str) -> None:
    """What somebody else answers is no longer asked."""
    terminal = in_terminal(server.base, "attach", asking)
    terminal.expect("answer>")
    server.post(f"/api/sessions/{asking}/input", {"input": "dawn"})
    terminal.expect("input:answered")
    terminal.expect("session:completed")
    assert exit_code(terminal) == 0


class Shell:
    """A shell in a terminal, in which ``lokictl`` is run."""

    def __init__(self, server: Server, scripts: Path) -> None:
        path = f"{install(scripts)}:{os.environ['PATH']}"
        self.terminal = pexpect.spawn(
            "/bin/bash",
            ["--norc", "--noediting"],
            cwd=scripts.parent,
            env=environment(server.base, PS1="ready$ ", PATH=path),
            encoding="utf-8",
            timeout=TIMEOUT,
            dimensions=(30, 200),
        )
        self.terminal.expect_exact("ready$ ")

    def run(self, line: str) -> str:
        """Run something to its end; gives what it printed."""
        self.terminal.sendline(line)
        self.terminal.expect_exact("\r\n")
        self.terminal.expect_exact("ready$ ")
        return str(self.terminal.before)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("attach latest", "answer>"),
        ("tail --from-start", "input:requested"),
        ("top", "1 asked"),
        ("record latest -", "demo"),
    ],
)
def test_ctrl_c(server: Server, asking: str, tmp_path: Path, words: str, shown: str) -> None:
    """Ctrl-C ends at once, with the exit code that says so, and gives the terminal back."""
    shell = Shell(server, tmp_path / "scripts")
    before = shell.run("stty -a")
    shell.terminal.sendline(f"lokictl {words}")
    shell.terminal.expect_exact(shown)
    shell.terminal.send("\x03")
    shell.terminal.expect_exact("ready$ ")
    assert "Traceback" not in shell.terminal.before

    assert shell.run("echo $?").strip() == "130"
    assert shell.run("stty -a") == before
    shell.terminal.close()


NEVER_ENDS = """
from twisted.internet.defer import Deferred
from loki_twisted.client import LokiClient
LokiClient.close = lambda self: print("clos" "ing", flush=True) or Deferred()
"""


@pytest.mark.parametrize(
    ("words", "shown", "back"),
    [
        ("attach latest", "answer>", "^C"),
        ("top", "1 asked", "\x1b[?1049l"),
        ("record latest file", "Recording", "\x1b[?25h"),
    ],
)
def test_ctrl_c_twice(
    server: Server, asking: str, tmp_path: Path, words: str, shown: str, back: str
) -> None:
    """What does not come to its end is ended by a second Ctrl-C, and gives the terminal back."""
    shell = Shell(server, tmp_path / "scripts")
    program = tmp_path / "scripts" / "lokictl"
    head, _, rest = program.read_text().partition("\n")
    program.write_text(f"{head}\n{NEVER_ENDS}{rest}")
    before = shell.run("stty -a")
    shell.terminal.sendline(f"lokictl {words}")
    shell.terminal.expect_exact(shown)
    shell.terminal.send("\x03")
    shell.terminal.expect_exact("closing")
    shell.terminal.send("\x03")
    shell.terminal.expect_exact(back)
    shell.terminal.expect_exact("ready$ ")

    assert shell.run("echo $?").strip() == "130"
    assert shell.run("stty -a") == before
    shell.terminal.close()


@pytest.mark.parametrize(("words", "shown"), [("attach latest", "answer>"), ("top", "1 asked")])
def test_ctrl_z(server: Server, asking: str, tmp_path: Path, words: str, shown: str) -> None:
    """Ctrl-Z gives the terminal back until it is brought to the foreground again."""
    shell = Shell(server, tmp_path / "scripts")
    before = shell.run("stty -a")
    shell.terminal.sendline(f"lokictl {words}")
    shell.terminal.expect_exact(shown)
    shell.terminal.send("\x1a")
    shell.terminal.expect_exact("Stopped")
    shell.terminal.expect_exact("ready$ ")
    assert shell.run("stty -a") == before
    shell.terminal.sendline("fg")
    shell.terminal.expect_exact(shown)
    shell.terminal.send("\x03")
    shell.terminal.expect_exact("ready$ ")

    assert shell.run("stty -a") == before
    shell.terminal.close()


@pytest.mark.parametrize(("verb", "shown"), [("attach", "answer>"), ("top", "1 asked")])
def test_terminated(server: Server, asking: str, verb: str, shown: str) -> None:
    """A signal ends it likewise, and the terminal takes lines again."""
    terminal = in_terminal(server.base, verb, *(["latest"] if verb == "attach" else []))
    held = os.open(f"/proc/{terminal.pid}/fd/0", os.O_RDWR | os.O_NOCTTY)
    try:
        terminal.expect(shown)
        assert not termios.tcgetattr(held)[3] & termios.ICANON
        terminal.kill(signal.SIGTERM)
        terminal.wait()
        assert terminal.exitstatus == 128 + signal.SIGTERM
        assert termios.tcgetattr(held)[3] & termios.ICANON
    finally:
        os.close(held)
        terminal.close()


def test_progress(server: Server, asking: str, tmp_path: Path) -> None:
    """What takes long says so in a terminal, while it does."""
    file = tmp_path / "recording"
    terminal = in_terminal(server.base, "record", "latest", str(file))
    terminal.expect(f"Recording {asking}: [1-9]\\d* lines, \\d+ bytes \\([1-9]\\d*s\\)")
    server.post(f"/api/sessions/{asking}/input", {"input": "dawn"})
    terminal.expect(r"\d+ lines, \d+ bytes")
    assert exit_code(terminal) == 0
    assert json.loads(file.read_text().splitlines()[-1])["exitCode"] == 0


def test_a_server_that_is_away(own_server: Server) -> None:
    """Tail says that it was cut off, and goes on trying until it is ended."""
    begin_to_ask(own_server)
    terminal = in_terminal(own_server.base, "tail", "latest", "--from-start")
    terminal.expect("input:requested")
    own_server.kill()
    terminal.expect("-- cut off: trying again --")
    terminal.sendintr()
    assert exit_code(terminal) == 130


def test_a_server_that_does_not_answer(own_server: Server) -> None:
    """Where a server is slow that is said, and Ctrl-C ends at once all the same."""
    os.kill(own_server.pid, signal.SIGSTOP)
    try:
        terminal = in_terminal(own_server.base, "ps")
        terminal.expect(r"Asking the server \([1-9]\d*s\)")
        terminal.sendintr()
        assert exit_code(terminal) == 130
    finally:
        os.kill(own_server.pid, signal.SIGCONT)


def test_attached_over_a_restart(tmp_path: Path) -> None:
    """One who is attached is told that the server is away, and answers when it is back."""
    variables = {"LOKI_DEMO_SPEED": "50", "LOKI_DEMO_TIMEOUT": "600"}
    with Server(tmp_path, **variables) as first:
        session_id = first.start(provider="demo")
        first.wait_for(session_id, "input:requested")
        terminal = in_terminal(first.base, "attach", "latest")
        terminal.expect("answer>")
        first.kill()
        terminal.send("2\r")
        terminal.expect("start a server with: loki serve")
        with Server(tmp_path, "--port", str(first.port), **variables):
            terminal.send("/inbox\r")
            terminal.expect("2 midnight")
            terminal.send("2\r")
            terminal.expect("Midnight it is")
            terminal.expect("session:completed")
            assert exit_code(terminal) == 0
