"""What is amiss is told where people look, why, and no longer than it is so."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.system import Server
from tests.test_system_sessions import install_runner, until


@contextmanager
def full_disk(server: Server, _: Path) -> Iterator[None]:
    """No file of the server may grow, which to it is the same."""
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))


@contextmanager
def vanished_directory(_: Server, home: Path) -> Iterator[None]:
    """Its data lie elsewhere, as those on a disk that was taken away."""
    data = home / ".loki" / "server"
    away = data.rename(home / "away")
    try:
        yield
    finally:
        away.rename(data)


@contextmanager
def replaced_log(_: Server, home: Path) -> Iterator[None]:
    """Somebody has put a copy in the place of the log."""
    log = home / ".loki" / "server" / "log.db"
    away = log.rename(home / "away")
    shutil.copy(away, log)
    try:
        yield
    finally:
        away.rename(log)


@contextmanager
def removed_log(_: Server, home: Path) -> Iterator[None]:
    """What is not in the log yet is gone."""
    log = home / ".loki" / "server" / "log.db-wal"
    away = log.rename(home / "away")
    try:
        yield
    finally:
        away.rename(log)


FAULTS: dict[str, tuple[Callable[[Server, Path], Any], str, str, int]] = {
    "a full disk": (full_disk, "The log cannot be written", "unhealthy", 507),
    "no directory": (vanished_directory, "The data directory was removed", "degraded", 503),
    "another log": (replaced_log, "The log was removed or replaced", "degraded", 503),
    "half a log": (removed_log, "The log was removed or replaced", "degraded", 503),
}
"""By name: how to have one, what is told of it, how the server is then, how a start is answered."""


def problems(server: Server) -> list[str]:
    """What is amiss, in sentences."""
    return [str(each) for each in server.request("GET", "/health").json["problems"]]


@pytest.mark.promise("R3", "R15")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_as_long_as_it_lasts(fault: str, tmp_path: Path) -> None:
    """Nothing is begun meanwhile, what runs goes on, and afterwards all is as it was before."""
    begin, sentence, status, refused = FAULTS[fault]
    install_runner(tmp_path, "while :; do echo on; sleep 0.1; done")
    with Server(tmp_path, "--max-sessions", "2") as server:
        before = problems(server)
        session_id = server.start()
        os.mkdir(tmp_path / "other")
        with begin(server, tmp_path):
            until(lambda: any(sentence in each for each in problems(server)))
            assert start(server) == refused
            assert server.get("/api/status")["problems"] == problems(server)
            health = server.request("GET", "/health")
            assert health.json["status"] == status
            assert health.status == (503 if status == "unhealthy" else 200)
            ready = server.request("GET", "/health/ready")
            assert (ready.status, ready.json["ready"]) == (503, False)
            assert sentence in ready.json["error"]
            assert server.get("/health/live")["alive"]
            assert server.session(session_id)["status"] == "running"
        until(lambda: server.request("GET", "/health/ready").status == 200)
        assert start(server) == 201
        until(lambda: problems(server) == before)


@pytest.mark.promise("R16")
def test_damage_that_is_met_at_work(tmp_path: Path) -> None:
    """That read fails and it is told; what can be done is done, so it goes on being ready."""
    install_runner(tmp_path, "for n in $(seq 2000); do echo needle-$n; done")
    with Server(tmp_path) as server:
        server.until_end(server.start())
    log = tmp_path / ".loki" / "server" / "log.db"
    with Server(tmp_path) as server:
        place = log.read_bytes().index(b"needle-300")
        with log.open("r+b") as file:
            file.seek(place)
            file.write(b"noodle")
        answer = server.request("GET", "/api/events/history?limit=1000&after=earliest")
        assert answer.status == 503
        assert b"noodle" not in answer.body
        assert any("it is damaged" in each for each in problems(server))
        assert server.request("GET", "/health").json["status"] == "degraded"
        assert server.request("GET", "/health/ready").status == 200
        assert server.until_end(server.start())[-1].type == "session:completed"


def start(server: Server) -> int:
    """Ask for one more session; gives the status of the answer."""
    return server.request("POST", "/api/sessions", {"projectDir": "other"}).status


def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    """What is amiss with such a directory can be read, and nobody is started in it."""
    home = tmp_path / os.fsdecode(b"odd\xe9")
    home.mkdir()
    with Server(home, "--data-dir", str(tmp_path / "data")) as server:
        (home / ".loki").touch()
        until(lambda: any("odd\\udce9/.loki is not" in each for each in problems(server)))
        assert server.get("/api/status")["problems"] == problems(server)
        refused = server.request("POST", "/api/sessions", {})
        assert (refused.status, refused.json["code"]) == (422, "VALIDATION_ERROR")
        assert server.get("/api/sessions")["total"] == 0
