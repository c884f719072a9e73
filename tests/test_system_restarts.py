"""Agents outlive the server: kill -9 in the middle, and nothing is lost or told twice."""

from __future__ import annotations

import os
import random
import signal
import sys
from itertools import islice
from pathlib import Path

import pytest

from tests.history import history
from tests.system import Server, StreamEvent
from tests.test_system_sessions import HERE, install_runner

AGENTS = 3
PAUSE = "0.05"


@pytest.mark.promise("R1", "R12")
@pytest.mark.timeout(1800)
def test_kill_9_again_and_again(tmp_path: Path, is_full: bool) -> None:
    """Through 12 crashes every line is one event, in order, and each exit code is known."""
    wanted = 200 if is_full else 12
    chance = random.Random(2026)
    stop = tmp_path / "enough"
    program = HERE / "standins" / "counting.py"
    install_runner(tmp_path, f"exec '{sys.executable}' '{program}' '{stop}' {PAUSE} 7")
    newest = 0
    with Server(tmp_path) as server:
        ids = []
        for number in range(AGENTS):
            (tmp_path / f"project{number}").mkdir()
            ids.append(server.start(projectDir=f"project{number}"))
        pids = [server.get(f"/api/sessions/{each}")["session"]["pid"] for each in ids]
        server.kill()
    for _ in range(1, wanted):
        with Server(tmp_path) as server:
            sessions = [server.get(f"/api/sessions/{each}")["session"] for each in ids]
            assert [session["pid"] for session in sessions] == pids
            assert {session["status"] for session in sessions} == {"running"}
            newest = _read_a_little(server, newest, chance.randint(0, 40))
            server.kill()
    # One of them ends while no server runs.
    os.kill(pids[0], signal.SIGKILL)
    stop.touch()
    with Server(tmp_path) as server:
        events = server.until_end(ids[0])
        check_lines(events)
        assert events[-1].data["exitCode"] == 128 + signal.SIGKILL
        for session_id in ids[1:]:
            events = server.until_end(session_id)
            last = check_lines(events)
            assert events[-1].type == "session:failed"
            assert events[-1].data["exitCode"] == 7
            assert last > 2 * wanted
        check_history(server)


def check_lines(events: list[StreamEvent]) -> int:
    """Each stream's lines are there once, in order, between one start and one end."""
    counted = [e.data["message"] for e in events if e.type == "log:info"]
    assert counted == [f"count {n}" for n in range(1, len(counted) + 1)]
    errors = [e.data["message"] for e in events if e.type == "log:error"]
    assert errors == [f"error {n}" for n in range(10, 10 * len(errors) + 1, 10)]
    assert abs(len(counted) - 10 * len(errors)) <= 10
    assert [e.type for e in events if e.type.startswith("session:")] == [
        "session:started",
        "session:failed",
    ]
    return len(counted)


def check_history(server: Server) -> None:
    """The numbers of all events are consecutive, from 1."""
    numbers = [told.number for told in history(server)]
    assert numbers == list(range(1, len(numbers) + 1))


def _read_a_little(server: Server, newest: int, count: int) -> int:
    """Read some events, each with the number after the last one seen; gives the last number."""
    resume = {"Last-Event-ID": _id_of(server, newest)} if newest else {}
    query = "" if newest else "lastEventId=earliest"
    if count:
        for event in server.stream(query, **resume):
            if event.id is None:
                continue  # a heartbeat
            number = int(event.id.split("_")[1])
            assert number == newest + 1
            newest = number
            count -= 1
            if not count:
                break
    return newest


def _id_of(server: Server, number: int) -> str:
    return next(islice(history(server), number - 1, number)).id
