"""Tests of :mod:`loki_twisted.web.routes_health`, through a connection in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from zope.interface.verify import verifyObject

from loki_twisted.model.sessions import SessionStatus
from loki_twisted.web.routes_health import duration_in_words
from loki_twisted.web.vitals import IVitals, read_system
from tests.fakes_web import FakeSessions, FakeVitals, Server, session


def test_the_stand_in_is_one() -> None:
    """The vitals that these tests use are such as the routes expect."""
    assert verifyObject(IVitals, FakeVitals())


def test_healthy() -> None:
    """All is well: no problems, and the session that runs is named."""
    here = Server(sessions=FakeSessions([session("session_1_aaaaaaaa")]))
    response = here.ask("GET", "/health")
    assert response.status == 200
    assert response.json == {
        "status": "healthy",
        "version": "1.2.3",
        "uptime": 93_784_000,
        "providers": {"claude": True, "demo": True},
        "activeSession": "session_1_aaaaaaaa",
        "problems": [],
    }


@pytest.mark.parametrize(
    "found", [{}, {"demo": True, "command": True, "acp": True}, {"claude": False, "demo": True}]
)
def test_without_agents_it_is_degraded(found: dict[str, bool]) -> None:
    """If no agent but the demo is installed nothing much can be done, but the server is up."""
    here = Server()
    here.vitals.found = found
    response = here.ask("GET", "/health")
    assert (response.status, response.json["status"]) == (200, "degraded")
    assert response.json["problems"] == ["No program of any provider was found."]
    assert response.json["activeSession"] is None


def test_with_problems_it_is_degraded() -> None:
    """What does not work as it should is told."""
    here = Server()
    here.vitals.troubles = ["The watcher polls."]
    response = here.ask("GET", "/health")
    assert (response.status, response.json["status"]) == (200, "degraded")
    assert response.json["problems"] == ["The watcher polls."]


def test_without_a_log_it_is_unhealthy() -> None:
    """If nothing can be recorded the answer is 503, in the same shape, and tells no paths."""
    here = Server()
    here.log.failure = "disk I/O error on /var/lib/loki"
    here.vitals.found = {}
    response = here.ask("GET", "/health")
    assert (response.status, response.json["status"]) == (503, "unhealthy")
    assert response.json["problems"][:2] == [
        "The log cannot be written.",
        "disk I/O error on ...",
    ]
    assert b"/var" not in response.body


def test_health_and_status_tell_the_same_problems() -> None:
    """Whichever of the two is asked says all that is amiss: an end, the log, rooms, providers."""
    here = Server()
    here.log.failure = "There is no room left on its disk."
    here.vitals.closed = "The server is shutting down."
    here.vitals.troubles = ["The watcher polls."]
    here.vitals.found = {}
    health = here.ask("GET", "/health").json["problems"]
    here.vitals.closed = None

    assert health == [
        "The server is shutting down.",
        "The log cannot be written.",
        "There is no room left on its disk.",
        "The watcher polls.",
        "No program of any provider was found.",
    ]
    assert here.ask("GET", "/api/status").json["problems"] == health[1:]


def test_ready() -> None:
    """A server that takes work says no more than that."""
    response = Server().ask("GET", "/health/ready")
    assert (response.status, response.json) == (200, {"ready": True})


def test_not_ready() -> None:
    """One that takes none says why."""
    here = Server()
    here.vitals.unready = "The server is shutting down."
    response = here.ask("GET", "/health/ready")
    assert response.status == 503
    assert response.json == {"ready": False, "error": "The server is shutting down."}


def test_live() -> None:
    """A server that answers is alive, whatever else is wrong with it."""
    here = Server()
    here.log.failure = here.vitals.unready = "broken"
    response = here.ask("GET", "/health/live")
    assert (response.status, response.json) == (200, {"alive": True, "uptime": 93_784_000})


def test_status() -> None:
    """The server in detail: its sessions, its stream and its machine."""
    here = Server(
        sessions=FakeSessions(
            session(f"s{number}", status=status) for number, status in enumerate(SessionStatus)
        )
    )
    response = here.ask("GET", "/api/status")
    assert response.status == 200
    status = response.json
    assert status["sessions"] == {"total": 8, "running": 4, "completed": 1, "failed": 1}
    assert status["events"] == {"subscribers": 0, "historySize": 0}
    assert status["uptimeFormatted"] == "1d 2h 3m 4s"
    assert status["system"]["platform"] == "linux"
    assert status["system"]["arch"] == "x86_64"
    assert set(status) >= {"version", "uptime", "providers", "problems"}
    assert status["caller"] == {"name": "local", "scopes": ["read", "write", "admin"]}


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (0, "0s"),
        (999, "0s"),
        (59_000, "59s"),
        (60_000, "1m 0s"),
        (3_600_000, "1h 0m 0s"),
        (86_399_999, "23h 59m 59s"),
        (864_000_000, "10d 0h 0m 0s"),
    ],
)
def test_durations_in_words(milliseconds: int, words: str) -> None:
    """People read days, hours, minutes and seconds, without leading zeros."""
    assert duration_in_words(milliseconds) == words


def test_the_figures_of_this_machine(tmp_path: Path) -> None:
    """They are read without starting anything, and are such as a machine has."""
    (tmp_path / "log.db").write_bytes(b"x" * 100)
    (tmp_path / "log.db-wal").write_bytes(b"x" * 50)
    system = read_system("3.54.0", str(tmp_path))
    assert system.log_bytes == 150
    assert 0 < (system.disk_free or 0) < (system.disk_total or 0)
    nowhere = read_system("3.54.0", str(tmp_path / "nowhere"))
    assert (nowhere.disk_free, nowhere.disk_total, nowhere.log_bytes) == (None, None, 0)
    assert system.sqlite_version == "3.54.0"
    assert system.cpus >= 1
    assert system.memory_used > 1_000_000
    assert system.load_average >= 0


def test_providers() -> None:
    """Each is named with whether it is there and what it can do, also one that is not there."""
    here = Server()
    here.vitals.found = {"claude": True, "codex": False}
    response = here.ask("GET", "/api/providers")
    assert response.status == 200
    first, second = response.json["providers"]
    assert first == {
        "name": "claude",
        "available": True,
        "abilities": {"asks": True, "messaging": "next", "continues": False, "cost": "reported"},
    }
    assert (second["name"], second["available"]) == ("codex", False)
