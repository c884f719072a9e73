"""
The demo: an agent that needs no model, no account and no network.

This file is a program of its own, run as ``python -I demo.py``, and uses the standard library
alone. It plays how an agent builds a small page that tells the time: five phases, seven tasks,
two sub-agents, and one question to whoever watches, whose answer it builds in.

It says each thing once. Phases, tasks and agents go by the state files
(``.loki/sessions/<LOKI_SESSION_ID>/`` in the working directory, each replaced as a whole, so
that no reader sees half a file), the chatter of the sub-agents by ``agent.log``. All else goes by
the line protocol on stdout and stderr: log lines, what was spent, the question. A line on stdin
is the answer while the question waits for one; at any other time it is acknowledged.

Environment: ``LOKI_DEMO_SPEED`` divides all waits (some 12 seconds at 1);
``LOKI_DEMO_TIMEOUT`` is how many seconds the question waits (20 divided by the speed, if it is
not set); ``LOKI_DEMO_FAIL=1`` lets the tests fail.

Exit codes: 0; 1 when the tests failed; 2 for a wrong setting; 143 when it was asked to stop.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

QUESTION = "Which colours shall the clock have?"
COLOURS = ("dawn", "midnight", "paper")
QUESTION_SECONDS = 20.0
MAX_WORDS = 60
MAX_UNREAD = 65_536
PRICE_OF_TOKEN = 0.000_004

BUILDER = {"id": "builder-1", "type": "builder", "model": "demo"}
PAINTER = {"id": "painter-1", "type": "painter", "model": "demo"}


class Stopped(BaseException):
    """A signal asks for the end; like KeyboardInterrupt, no handler of errors is to take it."""


class TestsFailed(Exception):
    """The page does not do what it shall; says why."""


# What is said


def print_line(line: str, stream: TextIO | None = None) -> None:
    """Print a line at once, on stdout if nothing else is said."""
    stream = stream or sys.stdout
    stream.write(line + "\n")
    stream.flush()


def say(level: str, source: str, message: str, stream: TextIO | None = None) -> None:
    """Print a log line."""
    print_line(f"[{level}] [{source}] {message}", stream)


def tell(kind: str, **data: Any) -> None:
    """Print an event."""
    print_line(json.dumps({"type": kind, "data": data}))


# What is heard


class Ear:
    """
    What people say to the agent while it works.

    :param descriptor: Where to listen; a closed or empty one is somebody who says nothing.
    :param speed: Divides all waits.
    """

    def __init__(self, descriptor: int, speed: float) -> None:
        self._descriptor: int | None = descriptor
        self._speed = speed
        self._unread = b""

    def wait(self, seconds: float) -> None:
        """Wait, and acknowledge what is said meanwhile."""
        end = time.monotonic() + seconds / self._speed
        for words in self._heard_until(end):
            say("INFO", "demo", f"Noted: {words}")
        time.sleep(max(0.0, end - time.monotonic()))

    def ask(self, prompt: str, options: Sequence[str], seconds: float) -> str:
        """Put a question; the first option is taken if nobody answers in time."""
        choice, timeout = options[0], round(seconds * 1000)
        tell("input:requested", prompt=prompt, options=options, default=choice, timeout=timeout)
        for words in self._heard_until(time.monotonic() + seconds):
            say("INFO", "demo", f"{words[0].upper()}{words[1:]} it is. Thank you!")
            return words
        say("WARN", "demo", f"Nobody answered, so {choice} it is.")
        return choice

    def _heard_until(self, end: float) -> Iterator[str]:
        """What is said until a moment; less, once nobody can say anything any more."""
        while True:
            line, newline, rest = self._unread.partition(b"\n")
            if newline:
                self._unread = rest
                words = " ".join(line.decode(errors="replace").split())[:MAX_WORDS]
                if words:
                    yield words
            elif self._descriptor is None or not self._listen(self._descriptor, end):
                return

    def _listen(self, descriptor: int, end: float) -> bool:
        """Read once; false when the time is over."""
        try:
            if not select.select([descriptor], [], [], max(0.0, end - time.monotonic()))[0]:
                return False
            data = os.read(descriptor, 4096)
        except OSError:
            data = b""
        if not data:
            self._descriptor = None
        self._unread = (self._unread + data)[-MAX_UNREAD:]
        return True


# What is written


class State:
    """
    The state directory of one session.

    :param directory: Of the session.
    :param session: The fields of ``session.json`` that never change.
    """

    def __init__(self, directory: Path, session: Mapping[str, Any]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._session = {**session, "startedAt": now()}
        self._tasks: dict[str, dict[str, Any]] = {}
        self._phase: str | None = None
        self.set_status("running")

    def set_status(self, status: str) -> None:
        """Say how the session as a whole stands."""
        statuses = [task["status"] for task in self._tasks.values()]
        counts = {"taskCount": len(statuses), "completedTasks": statuses.count("completed")}
        about = {"status": status, "updatedAt": now(), "currentPhase": self._phase}
        self._replace("session.json", {**self._session, **about, **counts})

    def enter(self, phase: str, progress: int) -> None:
        """Begin a phase; progress is percent of the whole."""
        previous, self._phase = self._phase, phase
        self.set_status("running")
        self._replace("phase.json", {"current": phase, "previous": previous, "progress": progress})

    def plan(self, task_id: str, title: str, description: str, priority: int) -> None:
        """Put a task on the list."""
        about = {"title": title, "description": description, "priority": priority}
        self._tasks[task_id] = {"id": task_id, **about, "createdAt": now()}
        self.move(task_id, "pending")

    def begin(self, task_id: str, agent: str = "demo") -> None:
        """Begin a task."""
        self.move(task_id, "running", startedAt=now(), agent=agent)

    def finish(self, task_id: str, output: str) -> None:
        """A task is done."""
        self.move(task_id, "completed", completedAt=now(), output=output)

    def move(self, task_id: str, status: str, **changes: str) -> None:
        """Say how a task stands."""
        self._tasks[task_id] |= {"status": status, **changes}
        self._replace("tasks.json", {"tasks": list(self._tasks.values())})

    def set_agents(self, *active: Mapping[str, str]) -> None:
        """Say which sub-agents are at work."""
        self._replace("agents.json", {"active": active})

    def note(self, line: str) -> None:
        """Let a sub-agent chatter."""
        with (self._directory / "agent.log").open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def _replace(self, name: str, value: Any) -> None:
        new = self._directory / f".{name}.new"
        new.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
        new.replace(self._directory / name)


def now() -> str:
    """The time as the state files have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# What is played


class Demo:
    """
    The play.

    :param answer_timeout: Seconds that the question waits.
    :param fails: Whether the tests fail.
    """

    def __init__(self, state: State, ear: Ear, answer_timeout: float, *, fails: bool) -> None:
        self._state = state
        self._ear = ear
        self._answer_timeout = answer_timeout
        self._fails = fails
        self._tokens = 0
        self._calls = 0

    def play(self, wish: str | None) -> None:
        """All of it. What was wished for is mentioned, not built."""
        self._bootstrap(wish)
        colours = self._planning()
        self._development(colours)
        self._testing()
        self._deployment(colours)

    def rehearse(self) -> None:
        """Say what would be done."""
        state = self._state
        state.enter("planning", 0)
        state.plan("task-1", "Rehearse", "Say what would be done, and do none of it.", 1)
        state.begin("task-1")
        say("INFO", "demo", "A dry run: I would plan, ask one question, build, test and hand over.")
        self._spend(400, 0.8)
        state.finish("task-1", "Nothing was built.")
        say("INFO", "demo", "Nothing was touched. Run me without dryRun to see the play.")

    def _bootstrap(self, wish: str | None) -> None:
        state = self._state
        state.enter("bootstrap", 0)
        say("INFO", "demo", "Hello! I am the demo: no model is asked, nothing leaves this machine.")
        say("DEBUG", "demo", f"I work in {Path.cwd()} and write below .loki/ only.")
        state.plan("task-1", "Read the brief", "Find out what is to be built.", 9)
        state.begin("task-1")
        self._spend(900, 0.6)
        if wish is not None:
            say("INFO", "demo", f"You asked for: {wish}")
        say("INFO", "demo", "The brief, this time: a small page that tells the time.")
        self._spend(700, 0.6)
        state.finish("task-1", "One page, one clock, no surprises.")

    def _planning(self) -> str:
        state = self._state
        state.enter("planning", 10)
        state.plan("task-2", "Draw up a plan", "Cut the work into pieces one can finish.", 8)
        state.begin("task-2")
        self._spend(2100, 0.9)
        state.plan("task-3", "Build the clock", "A face, two hands, the right time.", 7)
        say("INFO", "planner", "The clock comes first, the paint second, the proof third.")
        self._spend(1400, 0.7)
        colours = self._ear.ask(QUESTION, COLOURS, self._answer_timeout)
        state.plan("task-4", f"Paint it in {colours}", "The colours that were asked for.", 6)
        state.plan("task-5", "Keep time everywhere", "Every time zone, the half-hour ones too.", 5)
        state.plan("task-6", "Test around midnight", "Clocks break when the day does.", 4)
        state.plan("task-7", "Hand it over", "Sum up what was built.", 3)
        self._spend(500, 0.4)
        state.finish("task-2", "Five steps, none larger than a cup of coffee.")
        return colours

    def _development(self, colours: str) -> None:
        state = self._state
        state.enter("development", 30)
        say("INFO", "demo", "Two hands are better than one: a builder and a painter join in.")
        state.set_agents({**BUILDER, "task": "task-3"}, {**PAINTER, "task": "task-4"})
        state.begin("task-3", BUILDER["id"])
        state.begin("task-4", PAINTER["id"])
        state.note("builder-1: twelve numbers on the face; I counted them twice.")
        self._spend(3200, 1.4)
        state.note(f"painter-1: mixing {colours}.")
        say("INFO", "builder", "The hands turn. Clockwise, after a short discussion.")
        self._spend(2600, 1.4)
        state.finish("task-3", "clock.html, 84 lines")
        say("INFO", "painter", f"Two coats of {colours}, still wet.")
        self._spend(1200, 0.8)
        state.finish("task-4", f"clock.css, in {colours}")
        state.set_agents({**BUILDER, "task": "task-5"})
        state.begin("task-5", BUILDER["id"])
        say("WARN", "builder", "Kathmandu is at a quarter to. That is no error, that is Kathmandu.")
        self._spend(2400, 1.3)
        state.note("builder-1: 38 time zones, all of them right at least twice a day.")
        state.finish("task-5", "38 time zones")

    def _testing(self) -> None:
        state = self._state
        state.enter("testing", 70)
        state.set_agents()
        state.begin("task-6")
        say("INFO", "tests", "23 of 24 hours pass.")
        self._spend(800, 1.0)
        say("WARN", "tests", "slow: waiting for midnight", sys.stderr)
        say("ERROR", "tests", "At midnight: expected 00:00, got 24:00.", sys.stderr)
        self._spend(600, 1.0)
        if self._fails:
            state.move("task-6", "failed", completedAt=now(), error="expected 00:00, got 24:00")
            raise TestsFailed("The clock shows 24:00 at midnight, and I was told not to mend it.")
        say("INFO", "tests", "Mended: the day now ends before the next one begins.")
        self._spend(700, 0.7)
        say("INFO", "tests", "24 of 24 hours pass.")
        state.finish("task-6", "24 of 24 hours pass")

    def _deployment(self, colours: str) -> None:
        state = self._state
        state.enter("deployment", 90)
        state.begin("task-7")
        self._spend(300, 1.2)
        state.finish("task-7", f"A clock in {colours}, tested around midnight")
        say("INFO", "demo", f"Done: a clock in {colours}, for {self._tokens:,} imagined tokens.")
        say("INFO", "demo", "Your turn: start a session with claude, codex, cline or aider.")

    def _spend(self, tokens: int, seconds: float) -> None:
        """Work for a while, and say what all the work has cost so far."""
        self._ear.wait(seconds)
        self._tokens += tokens
        self._calls += 1
        cost = round(self._tokens * PRICE_OF_TOKEN, 6)
        tell("metrics:update", tokensUsed=self._tokens, apiCalls=self._calls, cost=cost)


# The program


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Play, or rehearse; returns the exit code."""
    parser = argparse.ArgumentParser(prog="demo", allow_abbrev=False)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--prd", help="a file to mention")
    parser.add_argument("--prompt", help="a wish to mention")
    arguments = parser.parse_args(argv)
    session_id = environ.get("LOKI_SESSION_ID", "demo")
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", session_id) is None:
        parser.error(f"LOKI_SESSION_ID is no name of a session: {session_id!r}")
    try:
        speed = positive(environ.get("LOKI_DEMO_SPEED", "1"))
        timeout = positive(environ.get("LOKI_DEMO_TIMEOUT", str(QUESTION_SECONDS / speed)))
    except ValueError:
        parser.error("LOKI_DEMO_SPEED and LOKI_DEMO_TIMEOUT must be numbers above 0")
    state = State(
        Path.cwd() / ".loki" / "sessions" / session_id,
        {"id": session_id, "provider": "demo", "prdPath": arguments.prd, "pid": os.getpid()},
    )
    fails = environ.get("LOKI_DEMO_FAIL") == "1"
    demo = Demo(state, Ear(0, speed), timeout, fails=fails)
    wish = arguments.prompt or arguments.prd
    return perform(state, demo.rehearse if arguments.dry_run else lambda: demo.play(wish))


def perform(state: State, play: Callable[[], None]) -> int:
    """Play to whatever end it comes to."""
    try:
        signal.signal(signal.SIGTERM, stop)
        play()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except TestsFailed as error:
        state.set_status("failed")
        say("ERROR", "demo", str(error), sys.stderr)
        return 1
    except Stopped:
        state.set_agents()
        state.set_status("stopped")
        say("WARN", "demo", "Asked to stop, so I stop here. The paint may be wet.")
        return 128 + signal.SIGTERM
    state.set_status("completed")
    return 0


def positive(text: str) -> float:
    """Read a number above 0; ValueError for anything else."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError
    return number


def stop(_number: int, _frame: FrameType | None) -> NoReturn:
    """Take SIGTERM as the end, and a second one as said already."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
