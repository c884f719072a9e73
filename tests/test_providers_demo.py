"""Tests of the demo as what it is: a program of its own, driven by files, pipes and signals."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from twisted.internet.task import Clock

from loki_twisted.agents.interface import LaunchRequest
from loki_twisted.agents.providers.demo import Demo, Ear, State
from loki_twisted.agents.providers.machine import Machine
from loki_twisted.agents.providers.plain import facts_of_line
from loki_twisted.agents.providers.registry import Providers
from loki_twisted.model.events import LOG_LEVELS

TIMEOUT = 60
PATIENT = {"LOKI_DEMO_TIMEOUT": str(TIMEOUT)}
PHASES = ["bootstrap", "planning", "development", "testing", "deployment"]

Facts = list[tuple[str, dict[str, Any]]]


class Run:
    """
    One run of the demo, at high speed, as the registry plans it.

    :ivar mouth: What is written here the demo hears.
    """

    def __init__(self, project: Path, process: subprocess.Popen[str], mouth: IO[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.mouth = mouth
        self.stdout: IO[str] = process.stdout
        self.facts: Facts = []
        self._state = project / ".loki" / "sessions" / "s1"

    def state(self, name: str) -> Any:
        """What a state file says now; None if it is not there yet."""
        path = self._state / name
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def next_fact(self) -> tuple[str, dict[str, Any]] | None:
        """Read a line of stdout; None when there is none any more."""
        line = self.stdout.readline()
        if not line:
            return None
        (fact,) = facts_of_line("stdout", line.rstrip("\n"))
        self.facts.append((fact.type, dict(fact.data)))
        return self.facts[-1]

    def until(self, kind: str) -> dict[str, Any]:
        """Read up to the next event of a type and return its data."""
        while (fact := self.next_fact()) is not None:
            if fact[0] == kind:
                return fact[1]
        pytest.fail(f"the demo ended without {kind}: {self.facts}")

    def say(self, line: str) -> None:
        """Say a line to it."""
        self.mouth.write(line + "\n")
        self.mouth.flush()

    def end(self) -> int:
        """Read all that is left, and wait for the end."""
        while self.next_fact() is not None:
            pass
        return self.process.wait(TIMEOUT)

    def errors(self) -> Facts:
        """What it said on stderr; only after its end."""
        assert self.process.stderr is not None
        lines = self.process.stderr.read().splitlines()
        facts = [facts_of_line("stderr", line)[0] for line in lines]
        return [(fact.type, dict(fact.data)) for fact in facts]

    def messages(self) -> list[str]:
        """The messages of all log lines of stdout so far."""
        return [data["message"] for kind, data in self.facts if kind.startswith("log:")]


@contextmanager
def demo(
    project: Path, request: dict[str, Any] | None = None, said: str = "", **environ: str
) -> Iterator[Run]:
    """
    Start the demo, and make sure of its end.

    :param said: What somebody has said before it even began.
    """
    providers = Providers(Machine({"LOKI_DEMO_SPEED": "100", **environ}), Clock())
    where = {"project_dir": str(project), "loki_dir": str(project)}
    wanted = LaunchRequest(session_id="s1", provider="demo", **where, **(request or {}))
    plan = providers.plan(wanted)
    hearing, saying = os.pipe()
    with open(saying, "w", encoding="utf-8") as mouth, open(hearing, "rb") as ear:
        mouth.write(said)
        mouth.flush()
        with subprocess.Popen(
            plan.argv,
            cwd=plan.cwd,
            env=dict(plan.env),
            stdin=ear,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield Run(project, process, mouth)
            finally:
                process.kill()


def test_from_start_to_end(tmp_path: Path) -> None:
    """Five phases, seven tasks, and every kind of line; the answer is built in; it ends well."""
    with demo(tmp_path, {"prompt": "A to-do list"}, **PATIENT) as run:
        asked = run.until("input:requested")
        assert asked["options"] == ["dawn", "midnight", "paper"]
        assert asked["default"] == "dawn"
        assert asked["timeout"] == TIMEOUT * 1000
        assert run.state("session.json")["status"] == "running"
        assert run.state("phase.json")["current"] == "planning"
        run.say("  midnight ")
        assert run.end() == 0
        errors = run.errors()
        session, tasks = run.state("session.json"), run.state("tasks.json")["tasks"]
        assert (session["id"], session["provider"], session["pid"]) == (
            "s1",
            "demo",
            run.process.pid,
        )
        assert (session["status"], session["taskCount"], session["completedTasks"]) == (
            "completed",
            7,
            7,
        )
        assert [task["status"] for task in tasks] == ["completed"] * 7
        assert "Paint it in midnight" in [task["title"] for task in tasks]
        assert run.state("agents.json") == {"active": []}
        assert run.state("phase.json") == {
            "current": "deployment",
            "previous": "testing",
            "progress": 90,
        }
        assert any("A to-do list" in message for message in run.messages())
        assert any("clock in midnight" in message for message in run.messages())
        levels = {kind for kind, _ in run.facts + errors if kind.startswith("log:")}
        assert levels == {f"log:{level}" for level in LOG_LEVELS}
        assert {kind for kind, _ in errors} == {"log:warn", "log:error"}


def test_each_thing_is_said_once(tmp_path: Path) -> None:
    """Phases, tasks and agents stand in the state files, so no line tells them again."""
    with demo(tmp_path) as run:
        run.mouth.close()
        assert run.end() == 0
        kinds = {kind.partition(":")[0] for kind, _ in run.facts + run.errors()}
        assert kinds == {"log", "metrics", "input"}
        chatter = (tmp_path / ".loki/sessions/s1/agent.log").read_text(encoding="utf-8")
        assert chatter.splitlines()
        assert not set(chatter.splitlines()) & set(run.messages())


def test_what_is_spent_only_grows(tmp_path: Path) -> None:
    """Tokens, calls and cost are totals so far."""
    with demo(tmp_path) as run:
        run.mouth.close()
        run.end()
        spent = [
            (data["tokensUsed"], data["apiCalls"], data["cost"])
            for kind, data in run.facts
            if kind == "metrics:update"
        ]
        assert len(spent) > 5
        for before, after in itertools.pairwise(spent):
            assert all(low < high for low, high in zip(before, after, strict=True))


def test_nobody_answers(tmp_path: Path) -> None:
    """When the time is over it goes on with the default, and says so."""
    with demo(tmp_path, LOKI_DEMO_TIMEOUT="0.01") as run:
        assert run.end() == 0
        assert "Nobody answered, so dawn it is." in run.messages()


def test_nobody_can_answer(tmp_path: Path) -> None:
    """Where its input has ended it does not wait for an answer at all."""
    with demo(tmp_path, **PATIENT) as run:
        run.mouth.close()
        assert run.until("input:requested")
        assert run.end() == 0
        assert "Nobody answered, so dawn it is." in run.messages()


def test_what_is_said_without_a_question(tmp_path: Path) -> None:
    """It is acknowledged, and is not the answer to a question that comes later."""
    with demo(tmp_path, said="hello there\n", **PATIENT) as run:
        assert run.until("input:requested")
        assert "Noted: hello there" in run.messages()
        run.say("\npaper")
        assert run.end() == 0
        assert "Paper it is. Thank you!" in run.messages()


def test_the_state_files_are_never_torn(tmp_path: Path) -> None:
    """Whoever reads a state file at any moment reads a whole one, and never goes back in it."""
    with demo(tmp_path) as run:
        run.mouth.close()
        phases, agents = [], set()
        while run.process.poll() is None:
            phase, active = run.state("phase.json"), run.state("agents.json")
            phases += [] if phase is None else [PHASES.index(phase["current"])]
            agents |= set() if active is None else {each["id"] for each in active["active"]}
            for name in ("session.json", "tasks.json"):
                run.state(name)
        assert phases == sorted(phases)
        assert agents <= {"builder-1", "painter-1"}
        assert not list((tmp_path / ".loki/sessions/s1").glob(".*"))


class Witness(State):
    """A state directory that remembers which agents were at work, and in which phases."""

    def __init__(self, directory: Path) -> None:
        self.phases: list[str] = []
        self.agents: list[list[str]] = []
        super().__init__(directory, {})

    def enter(self, phase: str, progress: int) -> None:
        """See State."""
        self.phases.append(phase)
        super().enter(phase, progress)

    def set_agents(self, *active: Mapping[str, str]) -> None:
        """See State."""
        self.agents.append([f"{each['type']} at {each['task']}" for each in active])
        super().set_agents(*active)


def test_phases_and_sub_agents(tmp_path: Path) -> None:
    """The phases come in their order; a builder and a painter join in, and leave one by one."""
    witness = Witness(tmp_path)
    with open(os.devnull, "rb") as nobody:
        Demo(witness, Ear(nobody.fileno(), 1000.0), 0.01, fails=False).play(None)
    assert witness.phases == PHASES
    assert witness.agents == [
        ["builder at task-3", "painter at task-4"],
        ["builder at task-5"],
        [],
    ]


def test_a_failure(tmp_path: Path) -> None:
    """If it is told to, it fails in the testing phase: a failed task, an error, exit code 1."""
    with demo(tmp_path, LOKI_DEMO_FAIL="1") as run:
        run.mouth.close()
        assert run.end() == 1
        assert run.errors()[-1][0] == "log:error"
        assert run.state("phase.json")["current"] == "testing"
        assert run.state("session.json")["status"] == "failed"
        statuses = {task["id"]: task["status"] for task in run.state("tasks.json")["tasks"]}
        assert (statuses["task-6"], statuses["task-7"]) == ("failed", "pending")
        assert run.state("agents.json") == {"active": []}


def test_a_dry_run(tmp_path: Path) -> None:
    """One short phase, one task, no question."""
    with demo(tmp_path, {"dry_run": True}) as run:
        assert run.end() == 0
        assert "input:requested" not in {kind for kind, _ in run.facts}
        assert run.state("phase.json") == {"current": "planning", "previous": None, "progress": 0}
        (task,) = run.state("tasks.json")["tasks"]
        assert task["status"] == "completed"
        assert run.state("session.json")["status"] == "completed"


@pytest.mark.parametrize("after", ["metrics:update", "input:requested"])
def test_sigterm(tmp_path: Path, after: str) -> None:
    """At work or waiting for an answer, it says a last line and ends with 143."""
    with demo(tmp_path, **PATIENT) as run:
        run.until(after)
        run.process.send_signal(signal.SIGTERM)
        assert run.end() == 143
        assert run.facts[-1][0] == "log:warn"
        assert run.facts[-1][1]["message"].startswith("Asked to stop")
        assert run.state("session.json")["status"] == "stopped"
        assert run.errors() == []


@pytest.mark.parametrize(
    "environ",
    [
        {"LOKI_DEMO_SPEED": "0"},
        {"LOKI_DEMO_SPEED": "-1"},
        {"LOKI_DEMO_SPEED": "nan"},
        {"LOKI_DEMO_SPEED": "fast"},
        {"LOKI_DEMO_TIMEOUT": "inf"},
    ],
)
def test_a_wrong_setting(tmp_path: Path, environ: dict[str, str]) -> None:
    """It is named, with exit code 2, and nothing is written."""
    with demo(tmp_path, **environ) as run:
        assert run.end() == 2
        assert any("must be numbers above 0" in data["message"] for _, data in run.errors())
        assert list(tmp_path.iterdir()) == []


def test_a_session_id_that_is_no_file_name(tmp_path: Path) -> None:
    """It is refused before anything is written."""
    providers = Providers(Machine({}), Clock())
    request = LaunchRequest(session_id="s1", project_dir="/", loki_dir="/", provider="demo")
    argv = providers.plan(request).argv
    environ = {"LOKI_SESSION_ID": "../../escape", "PATH": os.defpath}
    done = subprocess.run(
        argv, cwd=tmp_path, env=environ, capture_output=True, check=False, timeout=TIMEOUT
    )
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_it_needs_the_standard_library_alone(tmp_path: Path) -> None:
    """It runs without site-packages, from any directory."""
    providers = Providers(Machine({}), Clock())
    request = LaunchRequest(session_id="s1", project_dir="/", loki_dir="/", provider="demo")
    program = providers.plan(request).argv[-1]
    done = subprocess.run(
        [sys.executable, "-I", "-S", program, "--dry-run"],
        cwd=tmp_path,
        env={"LOKI_DEMO_SPEED": "100"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert (done.returncode, done.stderr) == (0, b"")
