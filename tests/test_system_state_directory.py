"""A state directory, or that of the server's data, that goes, is replaced, and comes back."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.system import Server
from tests.test_system_sessions import install_runner, until


def without_privileges() -> list[str]:
    """A command that becomes another one, for which modes of files hold also where we are root."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare is not installed")
    command = [unshare, "--user", "--map-user=1000", "--map-group=1000"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespace can be made here")
    return command


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose state directory has a session."""
    path = tmp_path / "project"
    path.mkdir()
    write_status(path / ".loki", "running")
    return path


@pytest.fixture
def server(project: Path, tmp_path: Path) -> Iterator[Server]:
    """A server that watches it, and has its own data elsewhere."""
    data = str(tmp_path / "data")
    with Server(project, "--data-dir", data, within=without_privileges()) as running:
        until(lambda: statuses(running) == ["running"])
        yield running


def write_status(state: Path, status: str) -> None:
    """Have the files of the session say how it is."""
    directory = state / "sessions" / "one"
    directory.mkdir(parents=True, exist_ok=True)
    session = {"id": "one", "status": status, "provider": "claude"}
    (directory / "session.json").write_text(json.dumps(session))


def statuses(server: Server) -> list[str]:
    """How the sessions are."""
    return [each["status"] for each in server.get("/api/sessions")["sessions"]]


def told(server: Server) -> list[str]:
    """What is amiss with the state directory."""
    return [each for each in server.get("/health")["problems"] if ".loki" in each]


def gone(state: Path) -> Callable[[], object]:
    """Take it away; gives what brings it back."""
    aside = state.with_name("aside")
    state.rename(aside)
    return partial(aside.rename, state)


def removed(state: Path) -> Callable[[], object]:
    """Remove it, and all that is in it."""
    shutil.rmtree(state)
    return lambda: write_status(state, "running")


def replaced(state: Path) -> Callable[[], object]:
    """Put a file in its place."""
    back = gone(state)
    state.write_text("not a directory")

    def bring_back() -> None:
        state.unlink()
        back()

    return bring_back


def closed(state: Path) -> Callable[[], object]:
    """Let nobody in."""
    state.chmod(0)
    return lambda: state.chmod(0o755)


def test_it_is_told_and_seen_again(server: Server, project: Path) -> None:
    """What is amiss is told as long as it is so, and what has changed by then is seen."""
    state = project / ".loki"
    assert told(server) == []
    for number, (happens, words) in enumerate(
        [
            (gone, "was removed"),
            (replaced, "is not a directory"),
            (closed, "cannot be listed"),
            (removed, "was removed"),
        ]
    ):
        bring_back = happens(state)
        until(lambda words=words: any(words in each for each in told(server)))
        assert server.get("/health")["status"] == "degraded"
        assert any(words in each for each in server.get("/api/status")["problems"])
        bring_back()
        status = ("paused", "running")[number % 2]
        write_status(state, status)
        until(lambda status=status: statuses(server) == [status])
        until(lambda: told(server) == [])
    assert not [line for line in server.said if "Traceback" in line]


def test_a_data_directory_that_is_moved(server: Server, tmp_path: Path) -> None:
    """Without it nobody is started, and that is told; when it is put back all goes on."""
    install_runner(tmp_path / "project", "echo ready")
    bring_back = gone(tmp_path / "data")
    until(lambda: server.request("GET", "/health/ready").status == 503)
    assert any("data directory was removed" in each for each in server.get("/health")["problems"])
    refused = server.request("POST", "/api/sessions", {})
    assert (refused.status, refused.json["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert statuses(server) == ["running"]
    bring_back()
    until(lambda: server.request("GET", "/health/ready").status == 200)
    write_status(tmp_path / "project" / ".loki", "completed")
    until(lambda: statuses(server) == ["completed"])
    assert server.until_end(server.start())[-1].type == "session:completed"
    assert server.stop() == 0
