"""``lokictl`` against a real server: verbs, exit codes, pipes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import TIMEOUT, Server
from tests.terminals import (
    COMMAND,
    asking_server,
    begin_to_ask,
    environment,
    lokictl,
    said,
)

ESCAPE = "\x1b["
SESSION = "session_1795473791042_4fe1a2b3"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server whose demo agents ask at once and wait long for an answer."""
    with asking_server(tmp_path) as server:
        yield server


@pytest.fixture
def asking(server: Server) -> str:
    """A session whose agent has asked something."""
    return begin_to_ask(server)


# A session from the beginning to the end, verb by verb


def test_a_day_at_the_command_line(server: Server) -> None:
    """A session is started, seen, asked, answered, followed, added up and removed."""
    url = server.base
    started = json.loads(said(lokictl(url, "start", "--provider", "demo", "--json")))
    session_id = started["sessionId"]
    server.wait_for(session_id, "input:requested")

    assert session_id in said(lokictl(url, "ps"))
    assert said(lokictl(url, "ps", "-q", "--status", "running")) == f"{session_id}\n"
    inbox = said(lokictl(url, "inbox", "latest"))
    assert "Which colours shall the clock have?" in inbox
    assert "    2 midnight\n" in inbox
    question = json.loads(said(lokictl(url, "inbox", "--json")))["inputs"][0]
    assert question["sessionId"] == session_id

    answered = said(lokictl(url, "answer", question["id"][-8:], "midnight"))
    assert answered.endswith("Which colours shall the clock have? - midnight\n")
    lines = said(lokictl(url, "tail", "latest", "--from-start", "--until-end")).splitlines()
    assert "session:started" in lines[0]
    assert "session:completed" in lines[-1]
    assert any("Midnight it is" in line for line in lines)

    assert "completed" in said(lokictl(url, "tasks", session_id, "--limit", "1"))
    usage = json.loads(said(lokictl(url, "usage", "--by", "session", "--json")))
    assert usage["lines"][0]["key"] == session_id
    assert session_id in said(lokictl(url, "usage", "--session", session_id[-8:]))
    assert "  demo         yes\n" in said(lokictl(url, "health"))
    assert "deleted" in said(lokictl(url, "rm", session_id))
    assert said(lokictl(url, "ps", "-q")) == ""


def test_steering(server: Server, asking: str) -> None:
    """A session is halted, let go on, and told something, which is the answer if it has asked."""
    url = server.base
    assert "paused" in said(lokictl(url, "pause", "latest"))
    assert "running" in said(lokictl(url, "resume", asking[:-2]))
    assert said(lokictl(url, "input", asking, "paint", "it", "blue")).startswith(f"{asking}: ")
    server.wait_for(asking, "input:answered")


def test_stopping_is_waited_for(server: Server, asking: str) -> None:
    """With --wait the session has ended when the command has; as JSON it says so."""
    stopped = json.loads(said(lokictl(server.base, "stop", "--wait", "--json", asking)))

    assert stopped["status"] == "stopped"
    assert server.get(f"/api/sessions/{asking}")["session"]["status"] == "stopped"
    assert "session:stopped" in said(lokictl(server.base, "attach", asking), 7).splitlines()[-1]


# Exit codes


def test_exit_codes(server: Server, tmp_path: Path) -> None:
    """Each kind of failure has its exit code, and one line on stderr that says what to do."""
    url = server.base
    ended = server.start(provider="demo", options={"dryRun": True})
    server.until_end(ended)
    told = {
        ("stop", ended): (1, "lokictl: "),
        ("continue", ended, "and", "more"): (1, "lokictl: "),
        ("interrupt", ended): (1, "lokictl: "),
        ("frobnicate",): (2, "lokictl: "),
        ("tail", "--since", "never"): (2, "lokictl: 'never' is no time; give one like 10m"),
        ("stop", "nobody"): (3, "lokictl: There is no session 'nobody'; see which there are: "),
        ("answer", "nothing", "yes"): (3, "lokictl: 'nothing' is no open question; "),
        ("ps", "--url", "http://127.0.0.1:1"): (5, "lokictl: Nothing answers at "),
        ("ps", "--url", f"unix:{tmp_path}/none"): (5, "lokictl: Nothing answers at "),
        ("record", ended, f"{tmp_path}/no/file"): (2, f"lokictl: {tmp_path}/no/file: No such"),
    }
    for words, (code, beginning) in told.items():
        done = lokictl(url, *words)
        assert (words, done.returncode, done.stdout) == (words, code, "")
        assert done.stderr.startswith(beginning)
        assert done.stderr.count("\n") == 1


def test_a_recording_of_nothing(server: Server, tmp_path: Path) -> None:
    """Where there is nothing to record no file is left behind, and one that is there stays."""
    file = tmp_path / "recording"
    assert lokictl(server.base, "record", SESSION, str(file)).returncode == 3
    assert not file.exists()
    file.write_text("")
    assert lokictl(server.base, "record", SESSION, str(file)).returncode == 2
    assert file.exists()


def test_the_end_of_a_session_is_an_exit_code(tmp_path: Path) -> None:
    """Who follows a session is told by the exit code that it has failed."""
    with Server(tmp_path, LOKI_DEMO_SPEED="100", LOKI_DEMO_FAIL="1") as server:
        followed = lokictl(server.base, "start", "--provider", "demo", "--follow")
        assert "session:failed" in said(followed, 6)
        assert "session:failed" in said(lokictl(server.base, "attach", "latest"), 6)


def test_tokens(tmp_path: Path) -> None:
    """Where a token is wanted and is not given, that is said; a file of it will do."""
    file = tmp_path / "token"
    file.write_text("a-token-of-this-test\n")
    file.chmod(0o600)
    with Server(tmp_path, "--token-file", str(file)) as server:
        refused = lokictl(server.base, "ps", LOKI_API_TOKEN="another-token")
        assert refused.returncode == 4
        assert "set LOKI_API_TOKEN to the server's token" in refused.stderr
        assert said(lokictl(server.base, "ps", "--token-file", str(file))).startswith("SESSION")


def test_a_unix_socket(tmp_path: Path) -> None:
    """A server behind a socket is named by its path."""
    socket = tmp_path / "s"
    with Server(tmp_path, "--listen", "tcp:0:interface=127.0.0.1", "--listen", f"unix:{socket}"):
        assert said(lokictl("", "--url", f"unix:{socket}", "ps", "-q")) == ""


def test_what_runs_on_as_json(server: Server, asking: str, tmp_path: Path) -> None:
    """As JSON each event is a line, and so is each look at the whole."""
    url = server.base
    look = json.loads(said(lokictl(url, "top", "--once", "--json")))
    assert [each["id"] for each in look["sessions"]] == [asking]
    assert (look["openInputs"], look["server"]["sessions"]["running"]) == (1, 1)
    assert json.loads(said(lokictl(url, "answer", asking, "dawn", "--json")))["input"]["answer"]
    server.until_end(asking)
    for words, shown in (([], []), (["--all"], [asking])):  # those too that have ended
        look = json.loads(said(lokictl(url, "top", "--once", "--json", *words)))
        assert [each["id"] for each in look["sessions"]] == shown

    events = [
        json.loads(line) for line in said(lokictl(url, "attach", asking, "--json")).split("\n")[:-1]
    ]
    assert events[-1]["type"] == "session:completed"
    whole = said(lokictl(url, "attach", asking, "--from-start", "--json"))
    assert json.loads(whole.split("\n")[0])["type"] == "session:started"
    file = tmp_path / "recording"
    written = json.loads(said(lokictl(url, "record", asking, str(file), "--json")))
    assert written == {"lines": len(file.read_bytes().splitlines()), "bytes": file.stat().st_size}
    follow = said(lokictl(url, "start", "--provider", "demo", "--dry-run", "--follow", "--json"))
    first, *rest = [json.loads(line) for line in follow.splitlines()]
    assert {each["sessionId"] for each in rest} == {first["sessionId"]}


# Pipes


def test_a_pipe_that_is_closed(server: Server, asking: str) -> None:
    """Where nobody reads any more it ends, also while nothing happens, and says nothing of it."""
    with subprocess.Popen(
        [*COMMAND, "tail", "--from-start"],
        env=environment(server.base),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        assert b"session:started" in tail.stdout.readline()
        tail.stdout.close()
        assert tail.stderr.read() == b""
        assert tail.wait(TIMEOUT) == 141


@pytest.mark.parametrize("words", [["--help"], ["ps"], ["completion", "bash"], ["top", "--json"]])
def test_nobody_reads_from_the_beginning(server: Server, words: list[str]) -> None:
    """A pipe that is closed before anything was printed is no fault either."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        ended = subprocess.run(
            [*COMMAND, *words],
            env=environment(server.base),
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_disk_that_is_full(server: Server) -> None:
    """What cannot be written is a line on stderr."""
    with open("/dev/full", "wb") as full:  # a device
        ended = subprocess.run(
            [*COMMAND, "ps"],
            env=environment(server.base),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (
        74,
        b"lokictl: cannot write: No space left on device\n",
    )


@pytest.mark.parametrize(
    ("closing", "words", "code"),
    [("<&-", "attach latest", 0), (">&-", "ps", 0), ("2>&-", "answer nothing yes", 3)],
)
def test_streams_that_are_closed(
    server: Server, asking: str, closing: str, words: str, code: int
) -> None:
    """Whoever closes its streams is no reason for a fault."""
    server.post(f"/api/sessions/{asking}/input", {"input": "dawn"})
    server.until_end(asking)
    ended = subprocess.run(
        ["sh", "-c", f'"$0" "$@" {words} {closing}', *COMMAND],
        env=environment(server.base),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert ended.returncode == code
    assert "Traceback" not in ended.stderr
    assert ("session:completed" in ended.stdout) is (closing == "<&-")


def test_no_colours_in_a_pipe(server: Server, asking: str) -> None:
    """Where there is no terminal nothing has colours, and tables are as wide as they are."""
    for words in (["ps"], ["inbox"], ["top"], ["tasks"], ["health"], ["usage"]):
        assert ESCAPE not in said(lokictl(server.base, *words))
    assert asking in said(lokictl(server.base, "top"))


def test_what_agents_say_steers_no_terminal(server: Server, asking: str) -> None:
    """What an agent says is shown without its escape sequences, wherever it is shown."""
    evil = "\x1b[2J\x1b]0;owned\x07red\x9b31m\u202e"
    server.post(f"/api/sessions/{asking}/input", {"input": evil})
    server.until_end(asking)

    for words in (
        ["tail", "latest", "--from-start", "--until-end"],
        ["attach", "latest"],
        ["tasks"],
    ):
        shown = said(lokictl(server.base, *words))
        assert "red" in shown
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)


# Over time


def test_going_on_over_a_restart(tmp_path: Path) -> None:
    """Tail goes on where it was when the server is back, without a gap and without a double."""
    variables = {"LOKI_DEMO_SPEED": "50", "LOKI_DEMO_TIMEOUT": "600"}
    with Server(tmp_path, **variables) as first:
        port = first.port
        session_id = first.start(provider="demo")
        first.wait_for(session_id, "input:requested")
        with subprocess.Popen(
            [*COMMAND, "tail", session_id, "--from-start", "--until-end", "--json"],
            env=environment(first.base),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as tail:
            assert tail.stdout is not None
            assert tail.stderr is not None
            first_line = tail.stdout.readline()
            first.kill()
            with Server(tmp_path, "--port", str(port), **variables) as second:
                second.post(f"/api/sessions/{session_id}/input", {"input": "dawn"})
                # Not by communicate, which passes over what was read ahead with the first line.
                rest, errors = tail.stdout.read(), tail.stderr.read()
                events = [json.loads(line) for line in (first_line + rest).splitlines()]
                told = [e for e in events if e["type"] != "heartbeat"]
                page = second.get(f"/api/events/history?sessionId={session_id}&limit=1000")
    assert tail.wait(TIMEOUT) == 0
    assert {*errors.splitlines()} <= {"-- cut off: trying again --", "-- back --"}
    assert [event["id"] for event in told] == [event["id"] for event in page["events"]]


def test_since(server: Server, asking: str) -> None:
    """Tail begins at a time; what was before it is left out."""
    page = server.get(f"/api/events/history?sessionId={asking}&limit=1000")["events"]
    middle = page[len(page) // 2]["timestamp"]
    wanted = [event["id"] for event in page if event["timestamp"] >= middle]
    with subprocess.Popen(
        [*COMMAND, "tail", "latest", "--since", middle, "--json"],
        env=environment(server.base),
        stdout=subprocess.PIPE,
        text=True,
    ) as tail:
        assert tail.stdout is not None
        lines = [json.loads(tail.stdout.readline())["id"] for _ in wanted]
        tail.send_signal(signal.SIGINT)
        assert tail.wait(TIMEOUT) == 130
    assert lines == wanted
