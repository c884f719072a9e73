"""A server to which the kernel gives no watches, or too few: user namespaces have such limits."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.recordings_player import play
from tests.synthetic_runs import two_runs
from tests.system import TIMEOUT, Server

PROMISED_SECONDS = 3.0
LOOK_SECONDS = 0.02


def limited(limit: str, number: int) -> list[str]:
    """A command that becomes another one, in a user namespace that allows so much."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare is not installed")
    script = f'echo {number} > /proc/sys/user/{limit} && exec "$@"'
    command = [unshare, "--user", "--map-root-user", "sh", "-c", script, "sh"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespace can be made here")
    return command


@pytest.fixture(
    params=[("max_inotify_instances", 0), ("max_inotify_watches", 0), ("max_inotify_watches", 4)],
    ids=["no instances", "no watches", "few watches"],
)
def within(request: pytest.FixtureRequest) -> list[str]:
    """What the server is started by, so that the kernel refuses it."""
    return limited(*request.param)


def wait_for(condition: Callable[[], bool], is_full: bool) -> None:
    """Wait until something written just now is seen; as long as is promised, with long figures."""
    written = time.monotonic()
    while not condition():
        assert time.monotonic() - written < (PROMISED_SECONDS if is_full else TIMEOUT)
        time.sleep(LOOK_SECONDS)


@pytest.mark.promise("R19")
def test_everything_is_seen_all_the_same(within: list[str], tmp_path: Path, is_full: bool) -> None:
    """It polls and says so, and comes to what the disk says; agents are heard as well."""
    state = tmp_path / ".loki"

    def statuses() -> list[str]:
        return [each["status"] for each in server.get("/api/sessions")["sessions"]]

    def tasks() -> set[str]:
        return {task["id"] for task in server.get("/api/tasks")["tasks"]}

    with Server(tmp_path, within=within, LOKI_DEMO_SPEED="50", LOKI_DEMO_TIMEOUT="1") as server:
        assert server.get("/health/ready") == {"ready": True}
        play(two_runs(), state, None)
        wait_for(lambda: statuses() == ["failed"], is_full)
        assert tasks() == {"iteration-1"}
        [problem] = [each for each in server.get("/health")["problems"] if ".loki" in each]
        assert "inotify" in problem
        (state / "queue/pending.json").write_text('[{"id": "prd-001", "title": "A"}]')
        wait_for(lambda: tasks() == {"iteration-1", "prd-001"}, is_full)
        spoken = server.until_end(server.start(provider="demo", prompt="Hello."))
        assert spoken[-1].type == "session:completed"
