"""Agents outlive the server: kill -9 in the middle, and nothing is lost or told twice."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from tests.system import Server
from tests.test_system_sessions import HERE, install_runner

AGENTS = 3
COUNT = 400


@pytest.mark.timeout(1200)
def test_kill_9_again_and_again(tmp_path: Path, is_full: bool) -> None:
    """Through 20 crashes every line is one event, in order, and each exit code is known."""
    wanted = 200 if is_full else 20
    chance = random.Random(2026)
    program = HERE / "standins" / "counting.py"
    install_runner(tmp_path, f"exec '{sys.executable}' '{program}' {COUNT} 0.02 7")
    with Server(tmp_path) as server:
        ids = []
        for number in range(AGENTS):
            (tmp_path / f"project{number}").mkdir()
            ids.append(server.start(projectDir=f"project{number}"))
        pids = [server.get(f"/api/sessions/{each}")["session"]["pid"] for each in ids]
        server.kill()
    kills = 1
    newest = 0
    while kills < wanted:
        with Server(tmp_path) as server:
            sessions = server.get("/api/sessions")["sessions"]
            assert {session["id"] for session in sessions} == set(ids)
            same = [server.get(f"/api/sessions/{each}")["session"]["pid"] for each in ids]
            assert all(now in (then, None) for now, then in zip(same, pids, strict=True))
            newest = _read_a_little(server, newest, chance.randint(0, 40))
            server.kill()
            kills += 1
    with Server(tmp_path) as server:
        for session_id in ids:
            events = server.until_end(session_id)
            for kind, word, step in (("log:info", "count", 1), ("log:error", "error", 10)):
                lines = [e.data["message"] for e in events if e.type == kind]
                assert lines == [f"{word} {n}" for n in range(step, COUNT + 1, step)]
            assert [e.type for e in events if e.type.startswith("session:")] == [
                "session:started",
                "session:failed",
            ]
            assert events[-1].data["exitCode"] == 7
        everything = server.get("/api/events/history?after=earliest&limit=1000")["events"]
        numbers = [int(event["id"].split("_")[1]) for event in everything]
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
    events = server.get("/api/events/history?after=earliest&limit=1000")["events"]
    if number <= len(events):
        return str(events[number - 1]["id"])
    page = server.get(f"/api/events/history?after={events[-1]['id']}&limit=1000")["events"]
    return str(page[number - len(events) - 1]["id"])
