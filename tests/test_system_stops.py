"""Stopping sessions whose agents have trees of processes of every kind."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.agents_support import carriers
from tests.figures import tell
from tests.system import Server
from tests.test_agents_stopping import TREES
from tests.test_system_sessions import install_runner, state_of, until

KINDS = {
    **TREES,
    # The server lets an agent go on when it takes it in charge.
    "halts itself": "echo ready; sleep 1000 & while :; do kill -STOP $$; done",
}
MOST_ANSWER_SECONDS = 0.1
MOST_STOP_SECONDS = 7.0
GRACE = "0.5"


class Stops:
    """
    Rounds of one session of each kind, which are stopped together.

    :ivar answers: How long each answer to an order to stop took, in seconds.
    :ivar ends: How long it was from the orders of a round to the last end in it.
    """

    def __init__(self, server: Server, home: Path) -> None:
        self.answers: list[float] = []
        self.ends: list[float] = []
        self._server = server
        self._home = home

    def start(self, kind: str, name: str) -> str:
        """Start a session with a tree of a kind; gives its id when the tree is there."""
        place = self._home / name
        place.mkdir()
        (place / "tree.sh").write_text(KINDS[kind], encoding="utf-8")
        session_id = self._server.start(projectDir=name)
        assert self._server.wait_for(session_id, "log:info").data["message"] == "ready"
        if kind.startswith("halts"):
            pid = self._server.get(f"/api/sessions/{session_id}")["session"]["pid"]
            until(lambda: state_of(pid) == "T")
        return session_id

    def stop(self, session_id: str) -> None:
        """Order one to stop, twice: unless it has ended meanwhile, that is no error."""
        for _ in range(2):
            began = time.monotonic()
            answer = self._server.request("POST", f"/api/sessions/{session_id}/stop")
            self.answers.append(time.monotonic() - began)
            has_ended = answer.status == 409 and answer.json["details"]["status"] == "stopped"
            assert has_ended or answer.json["status"] == "stopping"

    def check(self, session_id: str) -> None:
        """It ends as stopped, that is told once, and nothing is left of it."""
        events = self._server.until_end(session_id)
        told = [event.type for event in events if event.type.startswith("session:")]
        assert told == ["session:started", "session:stopped"]
        spec = self._home / ".loki" / "server" / "agents" / session_id / "spec.json"
        assert carriers(json.loads(spec.read_text("ascii"))["cookie"]) == {}
        session = self._server.get(f"/api/sessions/{session_id}")["session"]
        assert session["status"] == "stopped"
        assert self._server.request("POST", f"/api/sessions/{session_id}/stop").status == 409

    def round(self, number: int) -> None:
        """Start one of each kind, stop them all, and see them end."""
        names = [(kind, f"{kind.replace(' ', '-')}-{number}") for kind in KINDS]
        ids = [self.start(kind, name) for kind, name in names]
        began = time.monotonic()
        for each in ids:
            self.stop(each)
        for each in ids:
            self.check(each)
        self.ends.append(time.monotonic() - began)


@pytest.mark.promise("R10", "R11")
@pytest.mark.timeout(3600)
def test_nothing_is_left_of_any_tree(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each stop is answered at once, ends in one event, and leaves no process behind."""
    install_runner(tmp_path, 'exec /bin/sh "$PWD/tree.sh"')
    rounds = 50 if is_full else 1
    options = () if is_full else ("--grace", GRACE)
    with Server(tmp_path, "--max-sessions", str(len(KINDS)), *options) as server:
        stops = Stops(server, tmp_path)
        for number in range(rounds):
            stops.round(number)
    if is_full:
        answers = sorted(stops.answers)
        p99 = answers[len(answers) * 99 // 100]
        tell(
            capsys,
            f"{rounds * len(KINDS)} stops: answered in {answers[len(answers) // 2] * 1000:.1f} ms,"
            f" p99 {p99 * 1000:.1f} ms; the last of {len(KINDS)} ended after"
            f" {max(stops.ends):.2f} s at the most",
        )
        assert p99 <= MOST_ANSWER_SECONDS
        assert max(stops.ends) <= MOST_STOP_SECONDS
