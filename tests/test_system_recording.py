"""Recording a session with ``lokictl``, and playing it again."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents import bridges
from loki_twisted.agents.providers.replay import maybe_heading
from loki_twisted.model.recordings import Ending, Heading, Piece, entry_of, line_of, piece_of
from tests.system import Server

BRIDGES = Path(bridges.__file__).with_name("__main__.py")
SCRIPT = r"""
import sys
print('{"type": "phase", "phase": "planning"}', flush=True)
print('[WARN] [unit] a warning', file=sys.stderr, flush=True)
sys.stdout.buffer.write(b'caf\xc3\xa9 \xff\n')
sys.stdout.flush()
sys.exit(3)
"""

_LOKICTL = "import sys; from loki_twisted.command.lokictl import main; sys.exit(main())"


@given(st.binary(max_size=200), st.sampled_from(["stdout", "stderr"]), st.integers(0, 10**9))
def test_any_bytes(data: bytes, stream: str, at_ms: int) -> None:
    """What was printed is what a piece says, text or not."""
    piece = piece_of(at_ms, stream, data)  # type: ignore[arg-type]
    read = entry_of(line_of(piece))
    assert isinstance(read, Piece)
    assert (read.data, read.stream, read.at_ms) == (data, stream, at_ms)


def lokictl(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``lokictl`` against a server."""
    return subprocess.run(
        [sys.executable, "-c", _LOKICTL, *arguments, "--url", server.base],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """The recording of a short session of a command that fails."""
    home = tmp_path / "recorded"
    home.mkdir()
    server = Server(home, "--allow-commands")
    try:
        command = [sys.executable, "-c", SCRIPT]
        session_id = server.start(provider="command", command=command)
        server.until_end(session_id)
        path = tmp_path / "session.jsonl"
        done = lokictl(server, "record", session_id, str(path))
        assert (done.returncode, done.stderr) == (0, "")
        assert lokictl(server, "record", session_id, str(path)).returncode == 2
    finally:
        server.stop()
    return path


def test_a_recording(recording: Path) -> None:
    """It holds each byte of both streams and how it ended, and is its owner's alone."""
    heading, *pieces, ending = map(entry_of, recording.read_bytes().splitlines())
    assert isinstance(heading, Heading)
    assert heading.driven_by == "command"
    printed = {
        stream: b"".join(
            each.data for each in pieces if isinstance(each, Piece) and each.stream == stream
        )
        for stream in ("stdout", "stderr")
    }
    assert printed == {
        "stdout": b'{"type": "phase", "phase": "planning"}\ncaf\xc3\xa9 \xff\n',
        "stderr": b"[WARN] [unit] a warning\n",
    }
    assert isinstance(ending, Ending)
    assert ending.exit_code == 3
    assert recording.stat().st_mode & 0o077 == 0


def test_playing_it(recording: Path, tmp_path: Path) -> None:
    """A server plays it when it begins: the same events come of it, and the same end."""
    home = tmp_path / "played"
    home.mkdir()
    server = Server(home, "--replay", str(recording), "--replay-speed", "0")
    try:
        first = next(iter(server.stream("lastEventId=earliest&types=session:started")))
        events = server.until_end(str(first.event["sessionId"]))
    finally:
        server.stop()
    told = [(event.type, event.data) for event in events]
    assert ("phase:started", {"phase": "planning"}) in told
    assert ("log:warn", {"level": "warn", "message": "a warning", "source": "unit"}) in told
    assert told[-1][0] == "session:failed"
    assert told[-1][1]["exitCode"] == 3


HEADING = line_of(Heading(driven_by="command", started_at="2026-11-26T00:00:00.000Z"))
MEMORY = 256 * 1024 * 1024


def play(path: Path, speed: str = "0") -> tuple[int, str]:
    """Play a recording with little memory; gives the exit code, and the standard error."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(BRIDGES), "replay", str(path), speed],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("speed", ["0", "1"])
@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[]",
        b'{"kind":"end","atMs":0,"exitCode":"x"}',
        b'{"kind":"end","atMs":0,"exitCode":1e999}',
        b"\0" * 1000,
    ],
)
def test_a_line_that_is_none(line: bytes, speed: str, tmp_path: Path) -> None:
    """A recording that somebody has spoilt fails, and says at which line."""
    path = tmp_path / "spoilt.jsonl"
    path.write_bytes(HEADING + line + b"\n")
    assert play(path, speed) == (1, "Line 2 is none of a recording.\n")


@pytest.mark.parametrize("at_ms", ["1e999", "1" + "0" * 30])
def test_a_time_that_no_clock_has(at_ms: str, tmp_path: Path) -> None:
    """A piece that would be played after the end of all time is none."""
    path = tmp_path / "late.jsonl"
    piece = f'{{"kind":"piece","atMs":{at_ms},"stream":"stdout","text":"x"}}\n'
    path.write_bytes(HEADING + piece.encode())
    assert play(path, "1") == (1, "Line 2 is none of a recording.\n")


def test_a_line_without_end(tmp_path: Path) -> None:
    """A gigabyte in one line is none of a recording, and is not read into memory."""
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.write(HEADING)
        file.truncate(2**30)
    assert play(path) == (1, "Line 2 is none of a recording.\n")


def test_a_pipe_in_the_place_of_a_recording(tmp_path: Path) -> None:
    """It is no recording, and the server does not wait for somebody to write into it."""
    os.mkfifo(tmp_path / "pipe")
    assert maybe_heading(str(tmp_path / "pipe")) is None


def test_what_is_no_recording(tmp_path: Path) -> None:
    """The provider refuses a file that is none."""
    (tmp_path / "prd.md").write_text("build it", encoding="utf-8")
    server = Server(tmp_path)
    try:
        body = {"provider": "replay", "prdPath": "prd.md"}
        assert server.request("POST", "/api/sessions", body).status == 422
    finally:
        server.stop()
