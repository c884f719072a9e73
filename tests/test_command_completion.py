"""Completions, as the shells themselves carry them out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from loki_twisted.command.completion import script_for
from loki_twisted.command.lokictl import main
from loki_twisted.command.verbs import SHELLS, VERBS
from tests.system import TIMEOUT, Server
from tests.terminals import environment, install

MESSAGES = ("*", "queued", "delivered", "dropped")
SESSION = "session_1795473791042_4fe1a2b3"
HOSTILE = "$(touch evil)`touch evil`"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a lokictl that knows a session, and a hostile one."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    asked = tmp_path / "asked"
    (scripts / "lokictl").write_text(
        f"#!/bin/sh\necho \"$@\" >> {asked}\necho '{SESSION}'\necho '{HOSTILE}'\necho --json\n"
    )
    (scripts / "lokictl").chmod(0o755)
    (tmp_path / "a-file").touch()
    (tmp_path / "a-directory").mkdir()
    return tmp_path


def run(place: Path, *command: str) -> list[str]:
    """Run a shell there; gives the lines that it prints."""
    ended = subprocess.run(
        command,
        cwd=place,
        env=environment("", PATH=f"{place / 'scripts'}:{os.environ['PATH']}", HOME=str(place)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not (place / "evil").exists()
    return ended.stdout.splitlines()


def in_bash(place: Path, line: str) -> list[str]:
    """What bash offers for the last word of a line."""
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    program = (
        f"{script_for('bash')}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}\n"
        f"COMP_LINE='{line}'; COMP_POINT={len(line)}\n_lokictl\n"
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    offered = run(place, "bash", "--norc", "-c", program)
    # It puts in what stands behind the last colon.
    there = words[-1][: words[-1].rfind(":") + 1]
    return [f"{there}{each}" for each in offered if each]


def in_fish(place: Path, line: str) -> list[str]:
    """What fish offers for the last word of a line."""
    program = f"{script_for('fish')}\ncomplete -C '{line}'"
    offered = run(place, "fish", "--no-config", "-c", program)
    return [each.split("\t")[0] for each in offered]


OFFERED = [
    ("lokictl ", list(VERBS)),
    ("lokictl att", ["attach"]),
    ("lokictl stop late", ["latest"]),
    ("lokictl stop session_", [SESSION]),
    ("lokictl stop latest session_", [SESSION]),
    ("lokictl --url http://a:1 tail session_", [SESSION]),
    ("lokictl ps --status comp", ["completed"]),
    ("lokictl ps --stat", ["--status"]),
    ("lokictl tail --min-level w", ["warn"]),
    ("lokictl --url http://a:1 att", ["attach"]),
    ("lokictl --url http://a:1 --json ps --stat", ["--status"]),
    ("lokictl tail --types hea", ["heartbeat"]),
    ("lokictl tail --types log:info,hea", ["log:info,heartbeat"]),
    ("lokictl tail --types log:info,task:cr", ["log:info,task:created"]),
    ("lokictl tail --types message:", [f"message:{each}" for each in MESSAGES]),
    ("lokictl token create a --scopes read,w", ["read,write"]),
    ("lokictl token cr", ["create"]),
    ("lokictl token create l", []),
    ("lokictl usage --by pro", ["project", "provider"]),
    ("lokictl completion z", ["zsh"]),
]


@pytest.mark.parametrize(("line", "offered"), OFFERED)
def test_bash(place: Path, line: str, offered: list[str]) -> None:
    """Bash offers verbs, options, their values, and names of sessions that the server knows."""
    assert in_bash(place, line) == offered


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(("line", "offered"), OFFERED)
def test_fish(place: Path, line: str, offered: list[str]) -> None:
    """Fish offers the same."""
    assert sorted(in_fish(place, line)) == sorted(offered)


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_knows_the_places(place: Path) -> None:
    """Fish offers of each word of a verb what may stand there, and no more."""
    assert in_fish(place, "lokictl record latest ") == ["a-directory/", "a-file", "scripts/"]
    assert SESSION in in_fish(place, "lokictl record --token-file latest ")


def test_hostile_names(place: Path) -> None:
    """What a server gives that is no name is neither carried out nor offered."""
    assert in_bash(place, "lokictl stop ") == ["latest", SESSION]
    assert in_bash(place, "lokictl answer ") == [SESSION]
    assert in_fish(place, "lokictl answer ") == [SESSION]
    asked = (place / "asked").read_text().splitlines()
    assert asked == ["ps --quiet", "inbox --quiet", "inbox --quiet"]


def test_the_server_of_the_line(place: Path) -> None:
    """Names are those of the server that the line has named so far."""
    in_bash(place, "lokictl stop --url http://a:1 --token-file f s")

    assert (place / "asked").read_text() == "--url http://a:1 --token-file f ps --quiet\n"


def test_bash_in_a_terminal(tmp_path: Path) -> None:
    """In a real bash, with a real server, the tabulator key completes a whole command."""
    scripts = install(tmp_path / "scripts")
    home = tmp_path / "project"
    home.mkdir()
    with Server(home, LOKI_DEMO_TIMEOUT="600") as server:
        session_id = server.start(provider="demo")
        shell = pexpect.spawn(
            "bash",
            ["--norc"],
            cwd=str(tmp_path),
            env=environment(server.base, PATH=f"{scripts}:{os.environ['PATH']}", PS1="ready$ "),
            encoding="utf-8",
            timeout=TIMEOUT,
            dimensions=(30, 200),
        )
        shell.expect_exact("ready$ ")
        shell.sendline("source <(lokictl completion bash)")
        shell.expect_exact("ready$ ")
        shell.send("lokictl pau\tsess\t")
        shell.expect_exact(f"lokictl pause {session_id}")
        shell.send("\r")
        shell.expect_exact("paused")
        shell.close()


@pytest.fixture
def zsh(place: Path) -> Iterator[pexpect.spawn]:
    """A zsh in a terminal."""
    shell = pexpect.spawn(
        "zsh",
        ["-f"],
        cwd=str(place),
        env=environment("", PATH=f"{place / 'scripts'}:{os.environ['PATH']}", PS1="ready$ "),
        encoding="utf-8",
        timeout=TIMEOUT,
        dimensions=(30, 200),
    )
    (place / "script").write_text(script_for("zsh"))
    shell.expect_exact("ready$ ")
    shell.sendline(f"autoload -U compinit; compinit -D -u; source {place}/script; echo is''set")
    shell.expect_exact("isset\r\n")
    yield shell
    shell.close()


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize(
    ("typed", "run_as"),
    [
        ("att\tlat\t", "attach latest"),
        ("stop sess\t", f"stop {SESSION}"),
        ("--url http://a:1 answer sess\t", f"--url http://a:1 answer {SESSION}"),
        ("ps --stat\tcomp\t", "ps --status completed"),
        ("record latest a-f\t", "record latest a-file"),
        ("start --project-dir a-d\t", "start --project-dir a-directory"),
        ("tail --types log:info,hea\t", "tail --types log:info,heartbeat"),
        ("tail --types task:cr\t", "tail --types task:created"),
    ],
)
def test_zsh(place: Path, zsh: pexpect.spawn, typed: str, run_as: str) -> None:
    """In a real zsh the tabulator key completes the same."""
    zsh.send(f"lokictl {typed}\r")
    zsh.expect_exact(HOSTILE)

    assert (place / "asked").read_text().splitlines()[-1] == run_as
    assert not (place / "evil").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_printing(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The verb prints the script, or as JSON what it is and for which shell."""
    assert main(["completion", shell]) == 0
    assert capsys.readouterr().out == f"{script_for(shell)}\n"
    assert main(["completion", shell, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"shell": shell, "script": script_for(shell)}
