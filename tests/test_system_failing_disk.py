"""R3: a disk that fails. What was answered is kept; what does not need it works; it comes back."""

from __future__ import annotations

import re
import sys
import time
from functools import partial
from pathlib import Path
from random import Random

import attrs
import pytest

from tests.disks import disk_that, is_ready, needs_strace
from tests.figures import tell
from tests.history import history
from tests.system import Server
from tests.test_system_sessions import HERE, install_runner, until

pytestmark = needs_strace

MOST_RECOVERY_SECONDS = 5.0
FAILING = ("fdatasync", "pwrite64", "pwrite64,fdatasync,fsync")
_CALLS = "fdatasync,fsync,pwrite64,close"
_LINE = re.compile(r"\d+ +(\w+)\((\d+)<([^>]*)>.* = (-?\d+)")


@attrs.frozen
class Asked:
    """What came of the starts that were asked for: the ids, and the codes of what failed."""

    started: list[str]
    refused: list[int]


def ask_until_refused(server: Server, home: Path, trial: int) -> Asked:
    """Start sessions, one after the other, until one is refused."""
    asked = Asked([], [])
    for number in range(200):
        name = f"trial-{trial}-{number}"
        (home / name).mkdir()
        answer = server.request("POST", "/api/sessions", {"projectDir": name})
        if answer.status == 201:
            asked.started.append(answer.json["sessionId"])
        else:
            asked.refused.append(answer.status)
            return asked
    return asked


def retried(trace: Path) -> list[str]:
    """Descriptors on which a sync was tried once more after one had failed."""
    broken: set[tuple[str, str]] = set()
    again = []
    for line in trace.read_text("ascii", "replace").splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        name, descriptor, path, result = found.groups()
        if name == "close":
            broken.discard((descriptor, path))
        elif name != "pwrite64":
            if (descriptor, path) in broken:
                again.append(line)
            elif result != "0":
                broken.add((descriptor, path))
    return again


def check_while_failing(server: Server, running: str) -> None:
    """What does not need the disk works, and the server says that it fails."""
    until(lambda: server.request("GET", "/health/ready").status == 503)
    ready = server.request("GET", "/health/ready").json
    assert ready == {"ready": False, "error": "The log cannot be written."}
    health = server.request("GET", "/health")
    assert (health.status, health.json["status"]) == (503, "unhealthy")
    problems = server.get("/api/status")["problems"]
    assert problems[0] == "The log cannot be written."
    assert "Input/output error" in problems[1]
    assert server.get(f"/api/sessions/{running}")["session"]["id"] == running
    assert server.get("/api/events/history?limit=5")["events"]


def steady(server: Server, home: Path, trial: int) -> str:
    """Start a session that goes on; gives its id."""
    name = f"steady-{trial}"
    (home / name).mkdir()
    session_id = server.start(projectDir=name)
    server.wait_for(session_id, "log:info")
    return session_id


def has_ended(server: Server, session_id: str, status: str) -> bool:
    """Whether a session has come to its end; which one that is."""
    there = server.session(session_id)["status"]
    assert there in ("running", "stopping", status)
    return bool(there == status)


def trial(server: Server, home: Path, number: int, calls: str, first: int) -> list[str]:
    """
    Have the disk fail once, and see that what does not need it works.

    :returns: The sessions whose start was answered as done.
    """
    trace = home / f"trace-{number}"
    running = steady(server, home, number)
    agent = Path("/proc", str(server.session(running)["pid"]))
    failing = f"{calls}:error=EIO:when={first}+"  # of each thread, the first that fails
    with disk_that(server, trace, _CALLS, failing, names_files=True):
        asked = ask_until_refused(server, home, number)
        check_while_failing(server, running)
        stopped = server.post(f"/api/sessions/{running}/stop")
        assert stopped["status"] == "stopping"
        until(lambda: not agent.exists())
        if (
            number % 2
        ):  # then the order is on no record, and the agent seems to have ended by itself
            server.kill()
    assert asked.refused == [503]
    assert "(INJECTED)" in trace.read_text("ascii", "replace")
    assert retried(trace) == []
    return [running, *asked.started]


@pytest.mark.promise("R3")
@pytest.mark.timeout(1800)
def test_r3_a_disk_that_fails(
    tmp_path: Path, is_full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Where writes or syncs fail, no start is answered that is missing later, also if the server is
    killed then; reading goes on, an agent can be stopped, and no sync is tried again on a file
    that was open when it failed. When the disk works again, so does the server.
    """
    program = f"'{sys.executable}' '{HERE / 'standins' / 'counting.py'}'"
    install_runner(tmp_path, f"case $PWD in *steady*) exec {program} never 0.02 0;; esac")
    trials = 20 if is_full else 2
    chance = Random(3)
    started: list[str] = []
    took = []
    server = Server(tmp_path)
    try:
        for number in range(trials):
            calls = FAILING[number % len(FAILING)]
            ids = trial(server, tmp_path, number, calls, chance.randint(1, 40))
            started += ids
            began = time.monotonic()
            if number % 2:
                server = Server(tmp_path)
                assert is_ready(server)
            else:
                until(partial(is_ready, server))
                took.append(time.monotonic() - began)
            until(partial(has_ended, server, ids[0], "failed" if number % 2 else "stopped"))
        there = {each["id"] for each in server.get("/api/sessions?limit=1000")["sessions"]}
        assert set(started) <= there
        numbers = [told.number for told in history(server)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert server.stop() == 0
    finally:
        server.kill()
    if is_full:
        tell(
            capsys,
            f"{trials} failures, {len(started)} starts: again after {max(took):.2f} s at most",
        )
        assert max(took) <= MOST_RECOVERY_SECONDS
