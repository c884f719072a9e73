"""What the tests of agents share: a listener that remembers, and a place that is left clean."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from loki_twisted.agents import keeper, launch
from loki_twisted.agents.files import AgentFiles
from loki_twisted.agents.interface import AgentEnd, IAgent, IAgentListener, LaunchPlan
from loki_twisted.agents.keeper.watch import HELPER_SECONDS
from loki_twisted.agents.runner import KeeperRunner

PATH = os.environ.get("PATH", os.defpath)
PATIENCE_SECONDS = 60.0
"""As long as a busy machine may need for what is done at once on another."""

PATIENT_KEEPER = """
import sys
from importlib import import_module
sys.path.append({place!r})
watch = import_module("keeper.watch")
watch.STRAGGLER_SECONDS, watch.HELPER_SECONDS = {straggler_seconds}, {helper_seconds}
sys.exit(import_module("keeper.program").main(sys.argv[1], sys.argv[3:]))
"""
"""The keeper, but for how long it waits."""


@implementer(IAgentListener)
class Recorder:
    """
    Takes everything, and remembers it.

    :ivar answer: Called for each piece; what it returns or raises is the answer to it.
    """

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self.cursors: dict[str, str] = {}
        self.ends: list[AgentEnd] = []
        self.ended_with: Deferred[AgentEnd] = Deferred()
        self.answer: Callable[[], Any] = lambda: succeed(None)
        self.pieces = 0

    def lines_received(
        self, stream: str, lines: Sequence[str], cursors: Mapping[str, str]
    ) -> Deferred[object]:
        self.pieces += 1
        return maybeDeferred(self.answer).addCallback(self._take, stream, lines, cursors)

    def _take(
        self, _: object, stream: str, lines: Sequence[str], cursors: Mapping[str, str]
    ) -> None:
        self.lines[stream] += lines
        self.cursors.update(cursors)

    def ended(self, end: AgentEnd) -> None:
        self.ends.append(end)
        if len(self.ends) == 1:
            self.ended_with.callback(end)

    @property
    def stdout(self) -> list[str]:
        return self.lines["stdout"]

    @property
    def stderr(self) -> list[str]:
        return self.lines["stderr"]


def plan(*argv: str, accepts_input: bool = False, cwd: str = "/", **env: str) -> LaunchPlan:
    """A plan with an environment that holds a PATH and what is named."""
    return LaunchPlan(argv=argv, env={"PATH": PATH, **env}, cwd=cwd, accepts_input=accepts_input)


def shell(script: str, **more: Any) -> LaunchPlan:
    """Run a script of the shell."""
    return plan("/bin/sh", "-c", script, **more)


def python(script: str, *argv: str, **more: Any) -> LaunchPlan:
    """Run a program in Python."""
    return plan(sys.executable, "-u", "-c", script, *argv, **more)


def carriers(cookie: str) -> dict[int, str]:
    """The processes that carry a cookie and are not dead: number and state, by ``/proc`` alone."""
    found = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            entries = Path("/proc", name, "environ").read_bytes().split(b"\0")
            state = Path("/proc", name, "stat").read_text("latin-1").rpartition(")")[2].split()[0]
        except OSError:
            continue
        if f"LOKI_KEEPER={cookie}".encode() in entries and state not in "ZX":
            found[int(name)] = state
    return found


async def eventually(
    condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS
) -> Any:
    """
    Let the reactor go round until something is true.

    :returns: What the condition returned then.
    """
    deadline = reactor.seconds() + seconds
    while not (result := condition()):
        if reactor.seconds() > deadline:
            raise AssertionError(f"not so after {seconds} seconds: {what}")
        await deferLater(reactor, 0.005)
    return result


class AgentCase(TestCase):
    """Runs real agents, and leaves neither files nor processes behind."""

    timeout = 90
    grace_seconds = 0.5

    def setUp(self) -> None:
        self.root = tempfile.mkdtemp(prefix="agents-")
        self.runners: list[KeeperRunner] = []
        self.addCleanup(shutil.rmtree, self.root)
        self.addCleanup(self._end_all)
        self.runner = self.new_runner()

    def new_runner(self) -> KeeperRunner:
        runner = KeeperRunner(reactor, self.root, grace_seconds=self.grace_seconds)
        self.runners.append(runner)
        return runner

    async def start(
        self, wanted: LaunchPlan, session_id: str = "session_1"
    ) -> tuple[IAgent, Recorder]:
        """Start an agent and follow it."""
        agent = await self.runner.start(session_id, wanted)
        recorder = Recorder()
        agent.follow({}, recorder)
        return agent, recorder

    def be_patient(self, helper_seconds: float = HELPER_SECONDS) -> None:
        """
        Give agents that are to end in their own way as long as a busy machine may need.

        What outlives them is given as much, and helpers what is said.
        """
        program = Path(self.root, "patient_keeper.py")
        figures = {"straggler_seconds": PATIENCE_SECONDS, "helper_seconds": helper_seconds}
        program.write_text(
            PATIENT_KEEPER.format(place=os.path.dirname(keeper.__path__[0]), **figures)
        )
        self.patch(launch, "_PROGRAM", str(program))
        self.runner = KeeperRunner(reactor, self.root, grace_seconds=PATIENCE_SECONDS)
        self.runners.append(self.runner)

    def note(self, name: str, session_id: str = "session_1") -> dict[str, Any]:
        """Read one of the files of an agent that are JSON."""
        return json.loads(Path(self.root, session_id, name).read_text("ascii"))

    def tree(self, session_id: str = "session_1") -> dict[int, str]:
        """The agent and its descendants, without the keeper: number and state."""
        found = carriers(self.note("spec.json", session_id)["cookie"])
        found.pop(self.note("pid.json", session_id)["keeper"]["pid"], None)
        return found

    async def halted(self) -> None:
        """
        Wait until nothing of the tree runs any more.

        A parent in vfork waits in the kernel (D) until its child goes on, which is halted (T).
        """
        seen: list[dict[int, str]] = []

        def is_still() -> bool:
            seen.append(self.tree())
            states = set(seen[-1].values())
            # One look alone can miss a process that is born meanwhile.
            return "T" in states <= {"T", "D"} and seen[-3:] == [seen[-1]] * 3

        await eventually(is_still, "all of it is halted")

    async def keeper_rests(self, turns: int) -> None:
        """Wait until the keeper has not had the processor for some turns of the reactor."""
        path = Path(f"/proc/{self.note('pid.json')['keeper']['pid']}/status")
        seen: list[list[str]] = []

        def is_calm() -> bool:
            lines = path.read_text().splitlines()
            seen.append([line for line in lines if "ctxt_switches" in line])
            return len(seen) > turns and seen[-1] == seen[-turns]

        await eventually(is_calm, "the keeper rests")

    def order(self, line: bytes) -> None:
        """Give the keeper an order behind the server's back."""
        with open(Path(self.root, "session_1", "control"), "wb", buffering=0) as control:
            control.write(line)

    async def _end_all(self) -> None:
        for runner in self.runners:
            await runner.detach()
        for session_id in os.listdir(self.root):
            if not Path(self.root, session_id, "spec.json").exists():
                continue
            await self._end(session_id)

    async def _end(self, session_id: str) -> None:
        """End an agent by its keeper, which alone is sure to find everybody; then what it left."""
        files = AgentFiles.of(self.root, session_id)
        cookie = self.note("spec.json", session_id)["cookie"]

        def is_gone() -> bool:
            lock = files.lock()
            if lock is not None:
                os.close(lock)
            return lock is not None

        def nobody_left() -> bool:
            left = carriers(cookie)
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            return not left

        if not is_gone():
            for pid in carriers(cookie):
                os.kill(pid, signal.SIGCONT)
            control = files.open_control()
            os.write(control, b"stop 0\n")
            await eventually(is_gone, "the keeper has ended")
            os.close(control)
        await eventually(nobody_left, "all of its processes have ended")
