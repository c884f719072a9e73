"""The stand-in for ``loki`` is like the program: it does what was recorded and observed of that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.system import TIMEOUT

HERE = Path(__file__).parent
RECORDED = json.loads((HERE / "data" / "loki_mode_core.json").read_text())
LOKI = [sys.executable, str(HERE / "standins" / "loki_mode.py")]
START = ["start", "--provider", "claude", "--yes", "--no-plan", "--no-dashboard"]
LOOK_SECONDS = 0.02


class Terminal:
    """A project in which somebody types ``loki``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.running: list[subprocess.Popen[bytes]] = []
        (path / "tmp").mkdir()
        (path / "prd.md").write_text("Build it.\n")

    def start(
        self, *arguments: str, plan: dict[str, Any], leads: bool = False, **variables: str
    ) -> subprocess.Popen[bytes]:
        """Type it."""
        (self.path / "standin.json").write_text(json.dumps(plan))
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOKI_")}
        run = subprocess.Popen(
            [*LOKI, *(arguments or (*START, "--prd", "./prd.md"))],
            cwd=self.path,
            env={**inherited, "TMPDIR": str(self.path / "tmp"), **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=leads,
        )
        self.running.append(run)
        return run

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait for something that no event tells, not for ever."""
        deadline = time.monotonic() + TIMEOUT
        while not (found := condition()):
            assert time.monotonic() < deadline, self.log()
            time.sleep(LOOK_SECONDS)
        return found

    def called(self, iteration: int) -> int:
        """Wait for a provider call; gives the provider's process."""
        path = self.path / f"called-{iteration}"
        return int(self.until(lambda: path.exists() and path.read_text()))

    def log(self) -> list[list[str]]:
        """What the runs did to the state directory."""
        path = self.path / "standin.log"
        if not path.exists():
            return []
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [
            [word, "checkout-runs/PID" if "checkout-runs" in name else name, more]
            for word, name, more in lines
        ]

    def says(self, status: str, times: int = 1) -> None:
        """Wait until the run has said a status so often."""
        said = ["rename", "autonomy-state.json", status]
        self.until(lambda: self.log().count(said) >= times)

    def file(self, name: str) -> Path:
        """A file of the state directory."""
        return self.path / ".loki" / name

    def end(self) -> None:
        """End all that these runs have started, by the variable that they carry."""
        entry = f"TMPDIR={self.path / 'tmp'}".encode()
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with suppress(OSError):
                if entry in Path("/proc", name, "environ").read_bytes().split(b"\0"):
                    os.kill(int(name), signal.SIGKILL)
        for run in self.running:
            run.wait(TIMEOUT)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A project of its own, with nothing left of it."""
    used = Terminal(tmp_path)
    yield used
    used.end()


def is_alive(pid: int) -> bool:
    """Whether a process is there and not dead."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


# As recorded


@pytest.mark.parametrize(
    ("name", "plan", "code"),
    [
        ("run1-simple", {"iterations": 2}, 0),
        ("run4-fail", {"iterations": 2, "end": "failed"}, 1),
        ("run5-prov-codex", {"end": "max_iterations"}, 20),
    ],
)
def test_runs_that_end_by_themselves(
    terminal: Terminal, name: str, plan: dict[str, Any], code: int
) -> None:
    """The files of locks, state and outcome change in the recorded order."""
    assert terminal.start(plan=plan).wait(TIMEOUT) == code
    assert terminal.log() == RECORDED[name]


def test_pause_input_resume_and_a_stop_by_kill(terminal: Terminal) -> None:
    """So do they with a pause, an input in it, and the end that ``loki stop`` makes."""
    run = terminal.start(plan={"call": "gated", "iterations": 3}, LOKI_PROMPT_INJECTION="true")
    terminal.called(1)
    terminal.file("PAUSE").touch()
    (terminal.path / "go-1").touch()
    terminal.says("paused")
    terminal.file("HUMAN_INPUT.md").write_text("Add a farewell.")
    terminal.file("PAUSE").unlink()
    terminal.called(2)
    terminal.file("STOP").touch()
    run.send_signal(signal.SIGTERM)
    run.kill()
    assert run.wait(TIMEOUT) == -signal.SIGKILL
    assert terminal.log() == RECORDED["run3-pause-human-stop"]


def test_a_budget_that_is_used_up(terminal: Terminal) -> None:
    """It pauses itself, pauses again when PAUSE is removed, and ends by STOP with 0."""
    run = terminal.start(plan={"budget": True, "iterations": 2})
    terminal.says("paused")
    terminal.file("PAUSE").unlink()
    terminal.says("paused", times=2)
    terminal.file("STOP").touch()
    assert run.wait(TIMEOUT) == 0
    assert terminal.log() == RECORDED["run4-budget"]


def test_a_killed_run_and_the_next_one(terminal: Terminal) -> None:
    """The provider survives SIGKILL to the group; the next run removes what is stale."""
    run = terminal.start(plan={"call": "silent"})
    provider = terminal.called(1)
    os.killpg(run.pid, signal.SIGKILL)
    assert run.wait(TIMEOUT) == -signal.SIGKILL
    assert is_alive(provider)
    assert list((terminal.path / "tmp").glob("loki-run-*.sh"))
    assert terminal.start(plan={"end": "max_iterations"}).wait(TIMEOUT) == 20
    assert terminal.log() == RECORDED["run4-kill9"]


# As observed


def test_sigterm_to_the_run_alone_waits_for_the_provider(terminal: Terminal) -> None:
    """It is a pause then, and the provider is not disturbed."""
    run = terminal.start(plan={"call": "gated", "iterations": 2})
    provider = terminal.called(1)
    run.terminate()
    # A whole run of another project later it is still as it was.
    assert subprocess.run([*LOKI, "plan", "x"], cwd=terminal.path, check=True).returncode == 0
    assert run.poll() is None
    assert is_alive(provider)
    assert ["create", "PAUSE_AT_CHECKPOINT", None] not in terminal.log()
    (terminal.path / "go-1").touch()
    terminal.says("paused")
    assert ["create", "PAUSE_AT_CHECKPOINT", None] in terminal.log()


@pytest.mark.parametrize(
    ("order", "variables", "number", "code", "status"),
    [
        ("STOP", {}, signal.SIGTERM, 0, "stopped"),
        (None, {"LOKI_SUPERVISED_BUILD": "1"}, signal.SIGTERM, 143, "interrupted"),
        (None, {"LOKI_SUPERVISED_BUILD": "1"}, signal.SIGINT, 130, "interrupted"),
    ],
)
def test_signals_to_the_group_that_end_it(
    terminal: Terminal,
    order: str | None,
    variables: dict[str, str],
    number: signal.Signals,
    code: int,
    status: str,
) -> None:
    """With a STOP file or under supervision it ends cleanly, and its provider with it."""
    run = terminal.start(plan={"call": "silent"}, **variables)
    provider = terminal.called(1)
    if order is not None:
        terminal.file(order).touch()
    if number is signal.SIGINT:
        run.send_signal(number)
        os.kill(provider, signal.SIGTERM)
    else:
        os.killpg(run.pid, number)
    assert run.wait(TIMEOUT) == code
    assert ["rename", "autonomy-state.json", status] in terminal.log()
    assert not is_alive(provider)
    assert not terminal.file("loki.pid").exists()
    assert not terminal.file("session.lock.lockdir").exists()


def test_sigterm_to_the_group_is_a_pause_without_either(terminal: Terminal) -> None:
    """The provider is gone, the run survives and pauses itself."""
    run = terminal.start(plan={"call": "silent", "iterations": 2})
    provider = terminal.called(1)
    os.killpg(run.pid, signal.SIGTERM)
    terminal.says("paused")
    assert run.poll() is None
    assert not is_alive(provider)


def test_a_provider_in_the_group_of_the_run(terminal: Terminal) -> None:
    """Some providers have no wrapper, and the group is theirs too."""
    run = terminal.start(plan={"call": "silent", "wrapped": False})
    assert os.getpgid(terminal.called(1)) == run.pid == os.getpgid(run.pid)


def test_a_leader_loses_its_exit_code(terminal: Terminal) -> None:
    """Started as the leader of a group it forks away, and how it ends nobody learns."""
    run = terminal.start(plan={"end": "max_iterations"}, leads=True)
    assert run.wait(TIMEOUT) == 0
    terminal.says("max_iterations_reached")


def test_a_leader_that_is_told_so(terminal: Terminal) -> None:
    """Told that it has a session of its own already, it keeps its process and its exit code."""
    told = {"LOKI_NO_NEW_SESSION": "1", "LOKI_OWN_SESSION": "1"}
    run = terminal.start(plan={"end": "max_iterations"}, leads=True, **told)
    assert run.wait(TIMEOUT) == 20


def test_a_second_start_is_refused(terminal: Terminal) -> None:
    """One run for each checkout: the second exits with 1 and changes nothing."""
    terminal.start(plan={"call": "gated"})
    terminal.called(1)
    before = terminal.log()
    assert terminal.start(plan={"call": "gated"}).wait(TIMEOUT) == 1
    assert terminal.log() == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("start", "--verbose"), 1),
        (("start", "--prd", "nowhere.md"), 1),
        (("start", "--isolation", "vm"), 2),
        (("run",), 1),
    ],
)
def test_arguments_that_are_wrong(
    terminal: Terminal, arguments: tuple[str, ...], code: int
) -> None:
    """It exits before it touches anything."""
    assert terminal.start(*arguments, plan={}).wait(TIMEOUT) == code
    assert not (terminal.path / ".loki").exists()


def test_what_people_ask_of_a_perpetual_run(terminal: Terminal) -> None:
    """Without a PRD PAUSE is deleted; input is rejected unless a variable is the word true."""
    run = terminal.start(*START, plan={"call": "gated", "iterations": 2}, LOKI_PROMPT_INJECTION="1")
    terminal.called(1)
    terminal.file("PAUSE").touch()
    terminal.file("HUMAN_INPUT.md").write_text("Hello.")
    (terminal.path / "go-1").touch()
    terminal.called(2)
    (terminal.path / "go-2").touch()
    assert run.wait(TIMEOUT) == 0
    assert ["delete", "PAUSE", None] in terminal.log()
    assert ["rename", "logs/human-input-REJECTED-", None] in terminal.log()
