"""R22: a server that gets no more descriptors or processes than it has."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.system import Server, end_agents_of
from tests.test_system_sessions import install_runner, messages, until
from tests.test_system_tokens import tokens_file

SCRIPT = """
echo began
until [ -e enough ]; do sleep 0.05; done
echo ends
exit 7
"""
SECRET = "SECRETXYZ-" + "0123456789abcdef" * 2
TOKEN = {"Authorization": f"Bearer {SECRET}"}
CAPABILITIES = "-all,+dac_override,+dac_read_search"
NOBODY = 65533


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A directory for LOKI_DIR that others may come to."""
    with tempfile.TemporaryDirectory(prefix="home-") as directory:
        path = Path(directory, "home")
        path.parent.chmod(0o755)
        path.mkdir()
        yield path
        end_agents_of(path)


@pytest.mark.promise("R12", "R22")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("descriptors", [24, 36])
def test_agents_are_adopted_when_there_are_descriptors(tmp_path: Path, descriptors: int) -> None:
    """A server that starts with hardly any has each agent in charge as soon as it gets some."""
    install_runner(tmp_path, SCRIPT)
    places = [tmp_path / f"place-{number}" for number in range(4)]
    with Server(tmp_path) as server:
        for place in places:
            place.mkdir()
        started = [server.start(projectDir=place.name) for place in places]
        for session_id in started:
            server.wait_for(session_id, "log:info")
        server.kill()
    few = [prlimit(), f"--nofile={descriptors}:2000"]
    with Server(tmp_path, within=few) as server:
        until(lambda: "Too many open files" in "".join(server.said))
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (2000, 2000))
        for place in places:
            (place / "enough").touch()
        for session_id in started:
            events = server.until_end(session_id)
            assert messages(events) == ["began", "ends"]
            assert events[-1].data["exitCode"] == 7


@pytest.mark.promise("R22", "R26")
def test_nothing_is_left_where_no_process_can_be_made(open_home: Path) -> None:
    """That a start has failed for that is told, and the next one is as any other."""
    install_runner(open_home, SCRIPT)
    (open_home / "enough").touch()
    tokens = tokens_file(open_home / "tokens", SECRET)
    for path in (open_home, tokens):
        os.chown(path, limited_user(), -1)
    options = ("--token-file", str(tokens))
    with Server(open_home, *options, within=as_limited_user()) as server:
        limit_processes(server, 1)
        refused = server.request("POST", "/api/sessions", {}, **TOKEN)
        assert (refused.status, refused.json["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert "temporarily unavailable" in refused.json["error"]
        assert os.listdir(open_home / ".loki/server/agents") == []
        [failed] = sessions(server)
        assert (failed["status"], failed["reasonCode"]) == ("failed", "not_started")
        limit_processes(server, resource.getrlimit(resource.RLIMIT_NPROC)[0])
        started = server.request("POST", "/api/sessions", {}, **TOKEN)
        assert started.status == 201
        until(lambda: sessions(server)[0]["exitCode"] == 7)


def sessions(server: Server) -> list[Any]:
    """All that there are, the newest first."""
    found: list[Any] = server.request("GET", "/api/sessions", **TOKEN).json["sessions"]
    return found


def prlimit() -> str:
    """Where it is."""
    found = shutil.which("prlimit")
    if found is None:
        pytest.skip("prlimit is not installed")
    return found


def limited_user() -> int:
    """To whom limits of processes apply: us, or somebody else where we are root."""
    return os.geteuid() or NOBODY


def as_limited_user() -> Sequence[str]:
    """A command that becomes the one that is given to it: that user, who may read all."""
    if os.geteuid():
        return ()
    found = shutil.which("setpriv")
    if found is None:
        pytest.skip("setpriv is not installed")
    groups = (f"--regid={NOBODY}", "--clear-groups")
    kept = [f"--{each}={CAPABILITIES}" for each in ("inh-caps", "ambient-caps", "bounding-set")]
    return [found, f"--reuid={NOBODY}", *groups, *kept]


def limit_processes(server: Server, most: int) -> None:
    """Let it have so many, and no more."""
    command = [*as_limited_user(), prlimit(), f"--pid={server.pid}", f"--nproc={most}:"]
    subprocess.run(command, check=True)
