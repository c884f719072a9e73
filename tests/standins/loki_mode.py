"""
A stand-in for today's ``loki``: what it does with signals, files and process groups, and no work.

``loki start [--provider P] [--prd FILE | --brief TEXT] ...`` in the directory of the project.
How it behaves is said by ``standin.json`` there (see :class:`Plan`). What it changes in
``.loki/`` it also writes to ``standin.log``, an operation a line, so that it can be held against
recordings.

As the program that it stands for it makes a session of its own by ``setsid`` (which forks away
from its exit code where it leads a group already), runs as a copy of itself in TMPDIR, and does
nothing about a signal while a provider call runs. All its waits are short.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

LOOK_SECONDS = 0.02
HOME = "LOKI_STANDIN_HOME"
"""Where the other files of the stand-in are: the copy lies elsewhere."""

VALUED = {"--provider", "--prd", "--brief", "--log-level"}
FLAGS = {"--yes", "--no-plan", "--no-dashboard"}
AT_START = ("PAUSE", "STOP", "HUMAN_INPUT.md", "PAUSE_AT_CHECKPOINT", "PAUSED.md", "COMPLETED")


class Plan:
    """
    What is to happen.

    :ivar iterations: After how many it ends.
    :ivar end: ``complete``, ``max_iterations`` or ``failed``.
    :ivar call: What the provider does: ``quick``; ``gated``, until the project has a file ``go-N``;
        ``silent``, for ever; ``stubborn``, for ever and in spite of SIGTERM.
    :ivar wrapped: Whether it runs under a wrapper in a session of its own, or in our group.
    :ivar budget: Whether the budget is used up after the first iteration.
    :ivar startup: A file of the project that has to be there before it has started up.
    """

    def __init__(self) -> None:
        said = json.loads(Path("standin.json").read_text()) if Path("standin.json").exists() else {}
        self.iterations: int = said.get("iterations", 1)
        self.end: str = said.get("end", "complete")
        self.call: str = said.get("call", "quick")
        self.wrapped: bool = said.get("wrapped", True)
        self.budget: bool = said.get("budget", False)
        self.startup: str | None = said.get("startup")


def main() -> None:
    """Be the command, or the runner that it becomes."""
    if Path(sys.argv[0]).name.startswith("loki-run-"):
        Runner(sys.argv[1:]).run()
    arguments = sys.argv[1:]
    if arguments[:1] == ["plan"]:
        print("Plan:", *arguments[1:])
        sys.exit(0)
    if arguments[:1] != ["start"]:
        fail(f"Unknown command: {' '.join(arguments)}")
    print("Starting Loki Mode...", flush=True)
    become_runner(options_of(arguments[1:]))


def fail(reason: str, code: int = 1) -> NoReturn:
    print(f"\033[0;31m[ERROR]\033[0m {reason}", flush=True)
    sys.exit(code)


def options_of(arguments: list[str]) -> list[str]:
    """The arguments of the runner: the provider and the PRD."""
    rest, passed = list(arguments), []
    while rest:
        word = rest.pop(0)
        if word in VALUED:
            value = rest.pop(0)
            if word == "--provider":
                passed += [word, value]
            elif word == "--prd":
                if not Path(value).is_file():
                    fail(f"PRD file not found: {value}")
                passed.append(value)
            elif word == "--brief":
                Path(".loki").mkdir(exist_ok=True)
                Path(".loki/brief.md").write_text(value)
                passed.append("./.loki/brief.md")
        elif word == "--isolation":
            if rest.pop(0) not in ("none", "worktree", "docker"):
                fail("Bad isolation", 2)
        elif word not in FLAGS:
            fail(f"Unknown option: {word}")
    return passed


def become_runner(arguments: list[str]) -> NoReturn:
    """Go on as a copy of this file, in a session of its own unless that is switched off."""
    file, copy = tempfile.mkstemp(prefix="loki-run-", suffix=".sh")
    os.close(file)
    shutil.copyfile(__file__, copy)
    os.environ.setdefault(HOME, str(Path(__file__).parent))
    has_terminal = sys.stdin is not None and sys.stdin.isatty()
    if not has_terminal and not os.environ.get("LOKI_NO_NEW_SESSION"):
        os.environ["LOKI_OWN_SESSION"] = "1"
        if os.getpgrp() == os.getpid() and os.fork():
            os._exit(0)  # as setsid(1) does, and the exit code of the run is lost
        os.setsid()
    os.execv(sys.executable, [sys.executable, "-u", copy, *arguments])


class Stopped(Exception):
    """A STOP file was found."""


class Runner:
    """The run, from its locks to its exit code."""

    def __init__(self, arguments: list[str]) -> None:
        self.plan = Plan()
        self.state = Path(".loki")
        name = os.environ.get("LOKI_SESSION_ID")
        self.own = self.state / "sessions" / name if name else self.state
        self.prd = next((each for each in arguments if each.endswith((".md", ".txt"))), "")
        mode = os.environ.get("LOKI_AUTONOMY_MODE", "perpetual")
        if mode == "perpetual" and self.prd and os.environ.get("LOKI_FORCE_PERPETUAL") != "true":
            mode = "checkpoint"
        self.mode = mode
        self.iteration = 0
        self.directive = ""
        self.signals: list[int] = []
        self.children: list[subprocess.Popen[bytes]] = []

    def run(self) -> NoReturn:
        """Run to the end."""
        self.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: self.signals.append(number))
        self.heed_signals()
        self.children.append(subprocess.Popen(["sleep", "300"]))
        try:
            self.loop()
        except Stopped:
            self.remove("STOP", "PAUSED.md", "PAUSE")
            self.complete("stopped")
            self.leave(0, "stop_requested")

    # Start

    def start(self) -> None:
        key = os.environ.get("ANTHROPIC_API_KEY", "")
        if key:
            print(f"\033[0;32m[INFO]\033[0m API key ANTHROPIC_API_KEY: {key[:8]}...{key[-4:]} "
                  f"({len(key)} chars)", flush=True)  # fmt: skip
        for each in ("checkout-runs", "queue", "state", "logs", "signals"):
            (self.state / each).mkdir(parents=True, exist_ok=True)
        self.own.mkdir(parents=True, exist_ok=True)
        self.take_checkout()
        if self.plan.startup:
            while not Path(self.plan.startup).exists():
                time.sleep(LOOK_SECONDS)
        self.take_lock()
        self.remove(*AT_START)
        self.write(self.own / "loki.pid", f"{os.getpid()}\n")
        if os.environ.get("LOKI_OWN_SESSION") == "1":
            boot = next(line for line in Path("/proc/stat").read_text().splitlines()
                        if line.startswith("btime"))  # fmt: skip
            stamp = f"pgid={os.getpgrp()} boot={boot.split()[1]} started={int(time.time())}\n"
            self.write(self.own / "loki.pgid", stamp)
        (self.state / "pids").mkdir(exist_ok=True)
        begun = {"pid": os.getpid(), "label": "loki-wrapper", "kind": "wrapper", "started": now()}
        (self.state / "pids" / f"{os.getpid()}.json").write_text(json.dumps(begun))
        phase = {"version": "1", "currentPhase": "BUILDING", "startedAt": now()}
        (self.state / "state/orchestrator.json").write_text(json.dumps(phase))
        (self.state / "state/provider").write_text("claude")
        self.event("session_start", provider="claude", pid=os.getpid())

    def take_checkout(self) -> None:
        """There is one live run for each checkout."""
        runs = self.state / "checkout-runs"
        for each in runs.iterdir():
            if is_alive(int(each.name)):
                fail(f"Another run is active in this checkout (pid {each.name})")
            self.remove_path(each)
        self.write(runs / str(os.getpid()), f"{os.getpid()}\n")

    def take_lock(self) -> None:
        found = self.own / "loki.pid"
        if found.exists():
            if is_alive(int(found.read_text())):
                fail("Loki Mode is already running")
            print("Removing stale loki.pid", flush=True)
            self.remove_own("loki.pid", "session.lock")
        mutex = self.own / "session.lock.lockdir"
        if mutex.exists():
            owner = int((mutex / "owner.pid").read_text())
            if is_alive(owner):
                fail("Another run holds the lock")
            self.remove_own("session.lock.lockdir/owner.pid")
            mutex.rmdir()
        self.write(self.own / "session.lock", "")
        mutex.mkdir()
        self.write(mutex / "owner.pid", f"{os.getpid()}\n")

    # The loop

    def loop(self) -> None:
        while True:
            self.heed_people()
            if self.iteration == self.plan.iterations:
                self.finish()
            self.iteration += 1
            prompt = f"RALPH WIGGUM MODE\nIteration {self.iteration}: do what the PRD says.\n"
            prompt += f"HUMAN_DIRECTIVE (PRIORITY): {self.directive}\n" if self.directive else ""
            self.directive = ""
            prompt += "Never print sk-stand-in-secret-0123456789.\n" * 3
            print(f"\033[0;34m╔{'═' * 30}╗\033[0m\n\033[0;34m║\033[0m Attempt 1 of 50\n"
                  f"\033[0;34m╚{'═' * 30}╝\033[0m\n\033[0;32m[INFO]\033[0m Prompt: {prompt}\n",
                  flush=True)  # fmt: skip
            self.save("running")
            print(f"\033[0;36m{'━' * 30}\033[0m\n\033[0;36m  OUTPUT (live)\033[0m", flush=True)
            code = self.call()
            self.save("exited", code)
            self.event("iteration_complete", iteration=self.iteration, exitCode=code)
            self.heed_signals()
            if self.plan.budget:
                self.exceed_budget()

    def call(self) -> int:
        """Call the provider. Signals wait until it has ended, as in bash."""
        kind = "wrapped" if self.plan.wrapped else "plain"
        provider = str(Path(os.environ[HOME]) / "loki_provider.py")
        argv = [sys.executable, "-u", provider, kind, self.plan.call, str(self.iteration)]
        code = subprocess.Popen(argv, stdin=subprocess.DEVNULL).wait()
        return 128 - code if code < 0 else code

    def heed_signals(self) -> None:
        """Do what a trap does, late."""
        while self.signals:
            number = self.signals.pop(0)
            if os.environ.get("LOKI_SUPERVISED_BUILD") == "1":
                code = 128 + number
                self.save("interrupted", code)
                self.replace("state/termination.json", {"terminated": True, "exit_code": code})
                self.leave(code, "supervisor_signal")
            if (self.state / "STOP").exists():
                self.save("stopped")
                raise Stopped
            if self.mode != "perpetual":
                self.write(self.state / "PAUSE_AT_CHECKPOINT", "")

    def heed_people(self) -> None:
        """Look for files that people put there."""
        if (self.state / "PAUSE_AT_CHECKPOINT").exists():
            self.remove("PAUSE_AT_CHECKPOINT")
            self.write(self.state / "PAUSE", "")
        if (self.state / "PAUSE").exists():
            if self.mode == "perpetual" and not (self.state / "signals/BUDGET_EXCEEDED").exists():
                self.remove("PAUSE")
            else:
                self.pause()
        self.take_input()
        if (self.state / "STOP").exists():
            raise Stopped

    def pause(self) -> None:
        self.complete("intervention")
        self.save("paused")
        self.write(self.state / "PAUSED.md", "")
        while (self.state / "PAUSE").exists():
            if (self.state / "STOP").exists():
                raise Stopped
            time.sleep(LOOK_SECONDS)
            self.heed_signals()
        self.remove("PAUSED.md")

    def take_input(self) -> None:
        found = self.state / "HUMAN_INPUT.md"
        if found.is_symlink():
            found.unlink()
        if not found.exists():
            return
        accepted = os.environ.get("LOKI_PROMPT_INJECTION") == "true"
        small = found.stat().st_size <= 1024 * 1024
        kind = "" if accepted and small else "REJECTED-" if not accepted else "REJECTED-TOOLARGE-"
        if not kind:
            self.directive = found.read_text()
            print(f"\033[0;32m[INFO]\033[0m Human input detected:\n{self.directive}", flush=True)
        name = f"logs/human-input-{kind}{time.strftime('%Y%m%d-%H%M%S')}.md"
        found.rename(self.state / name)
        self.note("rename", f"logs/human-input-{kind}")

    def exceed_budget(self) -> None:
        self.write(self.state / "PAUSE", "")
        (self.state / "signals/BUDGET_EXCEEDED").write_text('{"type":"BUDGET_EXCEEDED"}')
        self.save("budget_exceeded")
        self.pause()
        self.exceed_budget()  # the limit is fixed at start

    # The end

    def finish(self) -> NoReturn:
        if self.plan.end == "complete":
            self.complete("complete")
            self.save("completion_promise_fulfilled")
            self.complete("complete")
            self.leave(0, "completed")
        if self.plan.end == "failed":
            self.save("failed", 1)
            self.complete("failed", "Iteration 2 failed with exit code 1.")
            self.leave(1, "failed")
        self.save("max_iterations_reached", 20)
        self.complete("max_iterations")
        self.leave(20, "max_iterations")

    def complete(self, outcome: str, brief: str | None = None) -> None:
        said = {"outcome": outcome, "error_brief": brief, "timestamp": now()}
        self.replace("state/completion.json", said)

    def leave(self, code: int, reason: str) -> NoReturn:
        self.event("session_end", result=code, reason=reason)
        for child in self.children:
            child.kill()
        self.remove_own("loki.pid", "loki.pgid", "session.lock.lockdir/owner.pid")
        (self.own / "session.lock.lockdir").rmdir()
        Path(sys.argv[0]).unlink(missing_ok=True)
        sys.exit(code)

    # Files

    def save(self, status: str, code: int = 0) -> None:
        state = {"retryCount": 0, "iterationCount": self.iteration, "status": status}
        state |= {
            "lastExitCode": code,
            "lastRun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        state |= {"prdPath": self.prd, "pid": os.getpid(), "maxRetries": 50, "baseWait": 2}
        self.replace(str((self.own / "autonomy-state.json").relative_to(self.state)), state)

    def replace(self, path: str, content: Any) -> None:
        target = self.state / path
        draft = target.with_name(f"{target.name}.tmp")
        draft.write_text(json.dumps(content))
        draft.rename(target)
        self.note("rename", path, content.get("status") or content.get("outcome"))

    def write(self, path: Path, text: str) -> None:
        path.write_text(text)
        self.note("create", str(path.relative_to(self.state)))

    def remove(self, *names: str) -> None:
        for name in names:
            self.remove_path(self.state / name)

    def remove_own(self, *names: str) -> None:
        for name in names:
            self.remove_path(self.own / name)

    def remove_path(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            self.note("delete", str(path.relative_to(self.state)))

    def event(self, kind: str, **data: Any) -> None:
        with (self.state / "events.jsonl").open("a") as file:
            file.write(json.dumps({"timestamp": now(), "type": kind, "data": data}) + "\n")

    def note(self, operation: str, path: str, word: str | None = None) -> None:
        with Path("standin.log").open("a") as file:
            file.write(json.dumps([operation, path, word]) + "\n")


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main()
