"""Which runs live, by files and by the system; and how a run ended by what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loki_twisted.state.interface import LiveRun, RunEnding
from loki_twisted.state.runs import ending, is_script, live_run, live_runs

SCRIPT = "import sys; print(flush=True); sys.stdin.read()"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a state directory, without symbolic links on the way."""
    (tmp_path / "project/.loki").mkdir(parents=True)
    return Path(os.path.realpath(tmp_path / "project"))


@contextmanager
def process(directory: Path, *arguments: str, **variables: str) -> Iterator[int]:
    """A process that waits in a directory, and is called like a run; gives its number."""
    running = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        cwd=directory,
        env={"PATH": os.defpath, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with running:
        assert running.stdout is not None
        running.stdout.readline()
        yield running.pid
        running.kill()


def write(path: Path, content: object) -> None:
    """Write a number, or an object as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{content}\n" if isinstance(content, int) else json.dumps(content))


def test_no_run() -> None:
    """Where there is nothing there is none."""
    assert live_runs("/nowhere") == []
    assert live_run("/nowhere", "s1", os.getpid()) is None


def test_a_run_with_an_id(project: Path) -> None:
    """It is found by its id and its process, with what it says, and what it was told."""
    arguments = ("/tmp/loki-run-AbC123.sh", "--provider", "claude", "./prd.md")
    with process(project, *arguments, LOKI_PROMPT_INJECTION="true") as pid:
        write(project / ".loki/sessions/s1/loki.pid", pid)
        expected = LiveRun(pid=pid, name="s1", script=arguments[0])
        assert live_run(str(project), "s1", pid) == expected
        state = {"pid": pid, "status": "running", "prdPath": "./prd.md"}
        write(project / ".loki/sessions/s1/autonomy-state.json", state)
        run = live_run(str(project), "s1", pid)
        assert run is not None
        assert (run.status, run.ignores_pause) == ("running", False)
        assert live_runs(str(project)) == [run]
        assert live_run(str(project), "s1", pid + 1) is None
    assert live_runs(str(project)) == []


def test_a_run_that_is_a_child_of_what_was_started(project: Path) -> None:
    """It is found by the id that it was given, and ends as it wrote under that id."""
    with process(project, LOKI_SESSION_ID="s1") as pid, process(project) as other:
        write(project / ".loki/sessions/s1/loki.pid", pid)
        write(project / ".loki/sessions/s1/autonomy-state.json", {"pid": pid, "status": "paused"})
        run = live_run(str(project), "s1", 4711)
        assert run is not None
        assert (run.pid, run.status) == (pid, "paused")
        said = ending(str(project), "s1", 4711, 0)
        assert said == RunEnding(status="paused")
        write(project / ".loki/sessions/s1/loki.pid", other)
        assert live_run(str(project), "s1", 4711) is None


@pytest.mark.parametrize(
    ("prd", "variables", "ignores"),
    [
        ("./prd.md", {}, False),
        ("", {}, True),
        ("./prd.md", {"LOKI_FORCE_PERPETUAL": "true"}, True),
        ("", {"LOKI_AUTONOMY_MODE": "checkpoint"}, False),
    ],
)
def test_whether_it_ignores_a_pause(
    project: Path, prd: str, variables: dict[str, str], ignores: bool
) -> None:
    """It does if it has no PRD or was told to, unless it was told not to; input needs a word."""
    with process(project, **variables) as pid:
        write(project / ".loki/loki.pid", pid)
        write(project / ".loki/autonomy-state.json", {"pid": pid, "prdPath": prd})
        (run,) = live_runs(str(project))
        assert run.ignores_pause is ignores
        assert not run.takes_input
        write(project / ".loki/autonomy-state.json", {"pid": pid + 1, "status": "paused"})
        (run,) = live_runs(str(project))
        assert run.status is None


def test_a_run_that_is_starting(project: Path) -> None:
    """It has taken the checkout, but is not past its start."""
    with process(project) as pid:
        write(project / ".loki/checkout-runs" / str(pid), pid)
        assert live_runs(str(project)) == [LiveRun(pid=pid, is_up=False)]
        assert live_run(str(project), "s1", pid) == LiveRun(pid=pid, name="s1", is_up=False)


def test_numbers_that_went_to_others(project: Path) -> None:
    """A process that is younger than the file, or works elsewhere, is no run; nor is process 1."""
    path = project / ".loki/loki.pid"
    with process(project) as pid, process(project.parent) as elsewhere:
        write(path, pid)
        assert [run.pid for run in live_runs(str(project))] == [pid]
        hour_ago = time.time() - 3600
        os.utime(path, (hour_ago, hour_ago))
        assert live_runs(str(project)) == []
        for number in (elsewhere, 1, 0, 4_194_305):
            write(path, number)
            assert live_runs(str(project)) == [], number


@pytest.mark.parametrize("content", [b"", b"x", b"12x", b"99999999999999", b"\xff\0", b"-1"])
def test_numbers_that_are_none(project: Path, content: bytes) -> None:
    """Whatever the file holds, it is no run."""
    (project / ".loki/loki.pid").write_bytes(content)
    (project / ".loki/checkout-runs").mkdir()
    (project / ".loki/checkout-runs/1").write_bytes(content)
    assert live_runs(str(project)) == []


def test_links_and_other_things(project: Path, tmp_path: Path) -> None:
    """They are no runs and hold nobody up."""
    with process(project) as pid:
        write(tmp_path / "real", pid)
        (project / ".loki/loki.pid").symlink_to(tmp_path / "real")
        assert live_runs(str(project)) == []
        (project / ".loki/loki.pid").unlink()
        os.mkfifo(project / ".loki/loki.pid")
        (project / ".loki/sessions").touch()
        (project / ".loki/checkout-runs").symlink_to(tmp_path)
        assert live_runs(str(project)) == []


def test_the_ending_of_a_run(project: Path) -> None:
    """What it wrote of itself, and what it left of its outcome since it was started."""
    state = project / ".loki"
    now_ms = int(time.time() * 1000)
    assert ending(str(project), "s1", 4711, now_ms) is None
    write(state / "state/completion.json", {"outcome": "complete", "error_brief": "none"})
    hour_ago = time.time() - 3600
    os.utime(state / "state/completion.json", (hour_ago, hour_ago))
    assert ending(str(project), "s1", 4711, now_ms) is None
    write(state / "autonomy-state.json", {"pid": 4712, "status": "failed"})
    assert ending(str(project), "s1", 4711, now_ms) is None
    write(state / "sessions/s1/autonomy-state.json", {"pid": 4711, "status": "exited"})
    write(state / "sessions/s1/loki.pid", 4711)
    assert ending(str(project), "s1", 4711, now_ms) == RunEnding(status="exited")
    write(state / "state/completion.json", {"outcome": "stopped", "error_brief": None})
    said = ending(str(project), "s1", 4711, now_ms - 10_000)
    assert said == RunEnding(status="exited", outcome="stopped")
    for strange in ([], "x", {"outcome": 7}, {"outcome": ""}):
        write(state / "state/completion.json", strange)
        assert ending(str(project), "s1", 4711, 0) == RunEnding(status="exited")


def test_an_end_that_somebody_wanted(project: Path) -> None:
    """A STOP file, or a process id that is gone or another run's, says that it was called off."""
    state = project / ".loki"

    def is_called_off() -> bool:
        said = ending(str(project), "s1", 4711, 0)
        assert said is not None
        return said.is_called_off

    write(state / "sessions/s1/autonomy-state.json", {"pid": 4711, "status": "exited"})
    assert is_called_off()
    write(state / "loki.pid", 4712)
    assert is_called_off()
    write(state / "loki.pid", 4711)
    assert not is_called_off()
    (state / "loki.pid").unlink()
    write(state / "sessions/s1/loki.pid", 4711)
    assert not is_called_off()
    write(state / "STOP", "")
    assert is_called_off()


def test_a_number_that_an_earlier_run_had_too(project: Path) -> None:
    """What that one wrote of itself is not taken for what a later one says, at work or ended."""
    state = project / ".loki/autonomy-state.json"
    with process(project) as pid:
        write(state, {"pid": pid, "status": "paused"})
        write(project / ".loki/loki.pid", pid)
        now = time.time()
        for age, status in ((0, "paused"), (60, None)):
            os.utime(state, (now - age, now - age))
            run = live_run(str(project), "s1", pid)
            said = ending(str(project), "s1", pid, int(now * 1000))
            assert run is not None
            assert (run.status, said and said.status) == (status, status)


def test_what_is_a_copy_of_its_program() -> None:
    """An absolute path with the name that runs give it."""
    assert is_script("/tmp/loki-run-AbC123.sh")
    for path in ("loki-run-a.sh", "/tmp/loki-run-a.sh/x", "/tmp/loki-run-.sh", "/tmp/run.sh"):
        assert not is_script(path)
