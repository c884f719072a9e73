"""Agents that go on, end and are killed while no server runs, again and again."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from tests.figures import tell
from tests.system import Server
from tests.test_system_restarts import check_history, check_lines
from tests.test_system_sessions import HERE, install_runner, state_of, until

AGENTS = 5
PAUSE = "0.05"
EXIT_CODE = 7
MOST_READY_SECONDS = 3.0


@attrs.frozen
class Fleet:
    """
    Some sessions whose agents count, each in a directory of its own.

    :ivar places: Those directories.
    :ivar ids: Their sessions.
    :ivar pids: Their agents.
    """

    places: Sequence[Path]
    ids: Sequence[str]
    pids: Sequence[int]

    @classmethod
    def start(cls, server: Server, home: Path, name: str) -> Fleet:
        """Start them, and wait until each has counted."""
        places = [home / f"{name}-{number}" for number in range(AGENTS)]
        ids = []
        for place in places:
            place.mkdir()
            ids.append(server.start(projectDir=place.name))
        for each in ids:
            server.wait_for(each, "log:error")
        return cls(places, ids, [server.session(each)["pid"] for each in ids])

    def let_end(self, number: int) -> None:
        """Let one end by itself."""
        (self.places[number] / "enough").touch()

    def end_some(self) -> None:
        """Let the first end by itself, kill the second, and wait until both are gone."""
        self.let_end(0)
        os.kill(self.pids[1], signal.SIGKILL)
        until(lambda: not state_of(self.pids[0]) and not state_of(self.pids[1]))

    def check(self, server: Server) -> None:
        """All that was printed is told once, in order; who ended is known, the others run on."""
        for number, session_id in enumerate(self.ids[2:], 2):
            session = server.session(session_id)
            assert (session["status"], session["pid"]) == ("running", self.pids[number])
            self.let_end(number)
        codes = [EXIT_CODE, 128 + signal.SIGKILL, *[EXIT_CODE] * (AGENTS - 2)]
        for session_id, code in zip(self.ids, codes, strict=True):
            events = server.until_end(session_id)
            assert check_lines(events) >= 10
            assert events[-1].data["exitCode"] == code


@pytest.mark.promise("R12")
@pytest.mark.timeout(3600)
def test_what_happens_while_no_server_runs(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """After each crash it is known who ended and how, the others run on, each line is one event."""
    program = HERE / "standins" / "counting.py"
    script = f"exec '{sys.executable}' '{program}' \"$PWD/enough\" {PAUSE} {EXIT_CODE}"
    install_runner(tmp_path, script)
    crashes, ready = 50 if is_full else 2, []
    server = Server(tmp_path)
    try:
        for crash in range(crashes):
            fleet = Fleet.start(server, tmp_path, f"crash-{crash}")
            server.kill()
            fleet.end_some()
            began = time.monotonic()
            server = Server(tmp_path)
            ready.append(time.monotonic() - began)
            fleet.check(server)
        check_history(server)
    finally:
        server.kill()
    if is_full:
        tell(capsys, f"{crashes} crashes: ready after {max(ready):.2f} s at the latest")
        assert max(ready) <= MOST_READY_SECONDS
