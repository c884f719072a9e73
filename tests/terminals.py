"""``lokictl`` as a program of its own, also in a terminal, as whoever types sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pexpect

from tests.system import TIMEOUT, Server

PROGRAM = "import sys; from loki_twisted.command.lokictl import main; sys.exit(main())"
COMMAND = (sys.executable, "-c", PROGRAM)


def environment(url: str, **more: str) -> dict[str, str]:
    """The variables of a user of a server, and no others of ours."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LOKI_")}
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        clean.pop(name, None)
    return {**clean, "LOKI_URL": url, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **more}


def lokictl(url: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, without a terminal."""
    return subprocess.run(
        [*COMMAND, *words],
        env=environment(url, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def in_terminal(url: str, *words: str, columns: int = 100, lines: int = 30, **more: str) -> Any:
    """
    Run it in a terminal.

    :returns: A ``pexpect.spawn``.
    """
    return pexpect.spawn(
        COMMAND[0],
        [*COMMAND[1:], *words],
        env=environment(url, **more),
        dimensions=(lines, columns),
        encoding="utf-8",
        timeout=TIMEOUT,
    )


def exit_code(terminal: Any) -> int:
    """Read to the end, and wait for it."""
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.signalstatus is None
    return int(terminal.exitstatus)


def install(directory: Path) -> Path:
    """Put a ``lokictl`` into a directory, for shells that are to find it there."""
    directory.mkdir(exist_ok=True)
    file = directory / "lokictl"
    file.write_text(f"#!{sys.executable}\n{PROGRAM.replace('; ', chr(10))}\n")
    file.chmod(0o755)
    return directory


def asking_server(home: Path) -> Server:
    """Start a server whose demo agents ask at once and wait long for an answer."""
    return Server(home, LOKI_DEMO_SPEED="50", LOKI_DEMO_TIMEOUT="600")


def begin_to_ask(server: Server) -> str:
    """Start a session, and wait until its agent has asked something; gives its id."""
    session_id = server.start(provider="demo")
    server.wait_for(session_id, "input:requested")
    return session_id


def said(done: subprocess.CompletedProcess[str], code: int = 0) -> str:
    """What a command has printed that ended as it should, without an error."""
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout
