"""R3: a disk that does not answer for a while. Nobody else waits for it, and it is told."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tests.disks import disk_that, is_ready, needs_strace, problems
from tests.history import history
from tests.system import TIMEOUT, Answer, Server
from tests.test_system_sessions import install_runner, until

pytestmark = needs_strace

_WAITS = "The audit log waits for its disk"
_SILENT = "The disk of the log has not answered for more than 10 s."
_HANGING = f"fdatasync:delay_enter={2 * TIMEOUT}s:when=1"


class Asking(threading.Thread):
    """Somebody who starts a session, and waits for the answer."""

    def __init__(self, server: Server, place: Path) -> None:
        super().__init__(daemon=True)
        place.mkdir()
        self._server, self._place = server, place.name
        self.answer: Answer | None = None
        self.start()

    def run(self) -> None:
        """Ask."""
        self.answer = self._server.request("POST", "/api/sessions", {"projectDir": self._place})


def audited(home: Path) -> list[int]:
    """The answers that are on record."""
    lines = (home / ".loki" / "server" / "audit.jsonl").read_text().splitlines()
    return [json.loads(line)["status"] for line in lines]


def waits_with_its_disk(server: Server) -> bool:
    """Ask for what is refused, and put on record; says whether that waits."""
    assert server.request("POST", "/api/sessions", {}).status == 409
    return any(_WAITS in each for each in problems(server))


@pytest.mark.promise("R3")
def test_r3_a_disk_that_hangs(tmp_path: Path, is_full: bool) -> None:
    """
    Others are answered meanwhile, also what is put on record, and all of it is there afterwards.

    With the long figures: after ten seconds the server says so, refuses what is new, and stops
    whom it is told to; it goes on by itself, and nothing is missing.
    """
    install_runner(tmp_path, "echo began; exec sleep 300")
    with Server(tmp_path) as server:
        before = problems(server)
        running = server.start()
        server.wait_for(running, "log:info")
        with disk_that(server, tmp_path / "trace", "fdatasync", _HANGING):
            asking = Asking(server, tmp_path / "one")
            until(lambda: waits_with_its_disk(server))
            assert asking.answer is None
            assert server.get("/health/live")["alive"]
            assert server.session(running)["status"] == "running"
            if is_full:
                until(lambda: _SILENT in problems(server))
                assert not is_ready(server)
                (tmp_path / "two").mkdir()
                refused = server.request("POST", "/api/sessions", {"projectDir": "two"})
                assert refused.status == 503
                assert server.post(f"/api/sessions/{running}/stop")["status"] == "stopping"
        asking.join(TIMEOUT)
        assert asking.answer is not None
        assert asking.answer.status == (503 if is_full else 201)
        until(lambda: problems(server) == before and is_ready(server))
        assert {201, 409, *([503, 200] if is_full else [])} == set(audited(tmp_path))
        if is_full:
            until(lambda: server.session(running)["status"] == "stopped")
        numbers = [told.number for told in history(server)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert server.stop() == 0
