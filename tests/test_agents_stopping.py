"""Stopping and pausing trees of processes of every kind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater

from loki_twisted.agents.keeper.processes import children, process
from tests.agents_support import (
    PATIENCE_SECONDS,
    AgentCase,
    carriers,
    eventually,
    python,
    shell,
)

TREES = {
    "plain": "echo ready; exec sleep 1000",
    "background": "sleep 1000 & echo ready; sleep 1000",
    "double fork": "(sh -c 'sleep 1000 & sleep 1000 &' &); echo ready; sleep 1000",
    "own session": "setsid nohup sleep 1000 & setsid sh -c 'sleep 1000 & wait' & echo ready; wait",
    "ignores SIGTERM": "trap '' TERM; echo ready; while :; do sleep 1000; done",
    "halts itself": "echo ready; sleep 1000 & kill -STOP $$; wait",
    "many forks": "for i in $(seq 200); do sleep 1000 & done; echo ready; wait",
    "zombies": "for i in 1 2 3 4 5; do true & done; echo ready; exec sleep 1000",
}
"""Scripts by the kind of tree that they make. Each says when it is there."""


class StoppingTests(AgentCase):
    """Everything ends."""

    timeout = 900

    @pytest.fixture(autouse=True)
    def figures(self, is_full: bool) -> None:
        self.rounds = 8 if is_full else 1

    @pytest.mark.promise("R10")
    async def test_nothing_is_left_of_any_tree(self) -> None:
        """Of 56 trees of 8 kinds, stopped together, nothing is left, and each end is told once."""
        for number in range(self.rounds):
            await self.stop_all(f"round-{number}")

    async def stop_all(self, name: str) -> None:
        scripts = {
            f"{kind.replace(' ', '_')}-{number}-{name}": script
            for number in range(7)
            for kind, script in TREES.items()
        }
        started = {name: self.start(shell(script), name) for name, script in scripts.items()}
        agents = {session_id: await start for session_id, start in started.items()}
        for session_id, (agent, recorder) in agents.items():
            await eventually(lambda lines=recorder.stdout: lines == ["ready"], session_id)
            if session_id.startswith("halts"):
                await eventually(lambda pid=agent.pid: process(pid).state == b"T", session_id)
        for agent, _ in agents.values():
            agent.stop()
            agent.stop()
        ends = await gatherResults([recorder.ended_with for _, recorder in agents.values()])
        await deferLater(reactor, 0)
        for session_id in agents:
            assert carriers(self.note("spec.json", session_id)["cookie"]) == {}, session_id
        assert {len(recorder.ends) for _, recorder in agents.values()} == {1}
        for session_id, end in zip(agents, ends, strict=True):
            wanted = signal.SIGKILL if session_id.startswith("ignores") else signal.SIGTERM
            assert (session_id, end.signal, end.problem) == (session_id, wanted, None)
        await eventually(lambda: not self.zombies(), "all keepers were reaped")

    def zombies(self) -> list[int]:
        """Children of ours that nobody has reaped."""
        found = map(process, children(os.getpid()))
        return [one.pid for one in found if one is not None and one.state == b"Z"]

    async def test_an_agent_may_end_in_its_own_way(self) -> None:
        """Within the grace a program can put things in order, with the help of others."""
        self.be_patient()
        script = "trap 'sleep 0.05; echo in order; exit 5' TERM; echo ready; sleep 1000 & wait"
        agent, recorder = await self.start(shell(script))
        await eventually(lambda: recorder.stdout, "it runs")
        agent.stop()
        assert (await recorder.ended_with).code == 5
        assert recorder.stdout == ["ready", "in order"]

    async def test_its_helpers_are_not_disturbed_in_that(self) -> None:
        """What a shell runs to put things in order runs to its end, one after the other."""
        self.be_patient(helper_seconds=PATIENCE_SECONDS)
        script = (
            "trap 'for i in 1 2 3 4 5; do sleep 0.01 || echo disturbed; done; exit 5' TERM; "
            "echo ready; setsid -w sleep 1000 | cat"
        )
        agent, recorder = await self.start(shell(script))
        await eventually(lambda: recorder.stdout, "it runs")
        agent.stop()
        assert (await recorder.ended_with).code == 5
        assert recorder.stdout == ["ready"]

    async def test_a_copy_that_does_nothing_is_asked_again(self) -> None:
        """A shell's child that takes the signal before it is a program is asked when it is one."""
        self.be_patient()
        script = (
            "import os, signal, sys, time\n"
            "signal.signal(signal.SIGTERM, lambda *_: None)\n"
            "child = os.fork()\n"
            "if not child:\n"
            "    print('ready', flush=True)\n"
            "    signal.pause()\n"
            "    signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
            "    os.execvp('sleep', ['sleep', '1000'])\n"
            "os.waitpid(child, 0)\n"
            "sys.exit(5)\n"
        )
        agent, recorder = await self.start(python(script))
        await eventually(lambda: recorder.stdout, "it runs")
        agent.stop()
        assert (await recorder.ended_with).code == 5

    async def test_helpers_that_stay_are_asked_to_end(self) -> None:
        """After a second a helper is nobody's any more: the agent need not wait for the end."""
        script = "trap 'sleep 1000; echo on; exit 5' TERM; echo ready; sleep 1000 & wait"
        self.be_patient()
        agent, recorder = await self.start(shell(script))
        await eventually(lambda: recorder.stdout, "it runs")
        agent.stop()
        assert (await recorder.ended_with).code == 5
        assert recorder.stdout == ["ready", "on"]

    async def test_helpers_of_the_last_moment_are_asked_to_end_too(self) -> None:
        """What an agent starts while it ends, and leaves behind, is not just killed."""
        self.be_patient(helper_seconds=PATIENCE_SECONDS)
        script = (
            "import os, signal, time\n"
            "def leave(*_):\n"
            "    time.sleep(0.05)\n"  # until everybody there was asked
            "    ready, done = os.pipe()\n"
            "    if os.fork():\n"
            "        os.close(done)\n        os.read(ready, 1)\n        os._exit(5)\n"
            "    signal.signal(signal.SIGTERM, lambda *_: (print('asked'), os._exit(0)))\n"
            "    os.write(done, b'.')\n    time.sleep(1000)\n"
            "signal.signal(signal.SIGTERM, leave)\n"
            "print('ready')\ntime.sleep(1000)"
        )
        agent, recorder = await self.start(python(script))
        await eventually(lambda: recorder.stdout, "it runs")
        agent.stop()
        assert (await recorder.ended_with).code == 5
        assert recorder.stdout == ["ready", "asked"]

    async def test_orders_after_the_end_do_nothing(self) -> None:
        """Who has ended cannot be stopped, halted or let go on; that is no error."""
        agent, recorder = await self.start(shell("exit 0"))
        await recorder.ended_with
        agent.stop()
        agent.pause()
        agent.resume()
        await deferLater(reactor, 0)
        assert len(recorder.ends) == 1

    async def test_a_halted_keeper_takes_the_order_to_stop(self) -> None:
        """Somebody may have halted the keeper as well."""
        agent, recorder = await self.start(shell(TREES["plain"]))
        os.kill(self.note("pid.json")["keeper"]["pid"], signal.SIGSTOP)
        agent.stop()
        assert (await recorder.ended_with).signal == signal.SIGTERM

    async def test_a_keeper_that_reads_no_orders_is_told_by_signal(self) -> None:
        """When the way for orders is full, the order to stop comes through all the same."""
        agent, recorder = await self.start(shell(TREES["plain"]))
        keeper = self.note("pid.json")["keeper"]["pid"]
        os.kill(keeper, signal.SIGSTOP)
        await eventually(lambda: process(keeper).state == b"T", "the keeper is halted")
        for _ in range(20_000):
            agent.resume()
        agent.stop()
        assert (await recorder.ended_with).signal == signal.SIGTERM
        assert (await recorder.ended_with).problem is None


BUSY = "while :; do :; done"
COUNTING = f"{BUSY} & setsid sh -c '{BUSY}' & (sh -c '{BUSY}' &); echo ready; {BUSY}"


class PausingTests(AgentCase):
    """Everything halts, and goes on."""

    async def started(self, script: str) -> tuple:
        agent, recorder = await self.start(shell(script))
        await eventually(lambda: recorder.stdout, "it runs")
        return agent, recorder

    def states(self) -> set[str]:
        return set(self.tree().values())

    async def test_all_of_a_tree_halts_and_goes_on(self) -> None:
        """Pausing stops every process of the tree, resuming lets each go on."""
        agent, recorder = await self.started(COUNTING)
        await eventually(lambda: len(self.tree()) == 4, "the tree is there")
        for _ in range(3):
            agent.pause()
            await eventually(lambda: self.states() == {"T"}, "all of it is halted")
            agent.resume()
            await eventually(lambda: self.states() <= {"R", "S"}, "all of it goes on")
        assert len(self.tree()) == 4
        agent.stop()
        await recorder.ended_with

    async def test_a_tree_that_grows_halts_wholly(self) -> None:
        """Processes that were born while the others were being halted are halted too."""
        script = (
            "import os, time\n"
            "for _ in range(8):\n    if os.fork() == 0: break\n"
            "else:\n    print('ready')\n    time.sleep(1000)\n"
            "end = time.monotonic() + 60\n"
            "while time.monotonic() < end:\n    if os.fork(): os._exit(0)\n    time.sleep(0.0005)"
        )
        agent, recorder = await self.start(python(script))
        await eventually(lambda: recorder.stdout, "it runs")
        agent.pause()
        await self.halted()
        tree = self.tree()
        for _ in range(10):
            await deferLater(reactor, 0.005)
            assert self.tree() == tree
        agent.resume()
        await eventually(lambda: self.tree() != tree, "it grows again")
        agent.stop()
        await recorder.ended_with

    async def test_a_parent_that_waits_in_the_kernel_counts_as_halted(self) -> None:
        """A parent in vfork cannot be stopped before its child goes on; the keeper rests then."""
        gate = Path(self.root, "gate")
        os.mkfifo(gate)
        self.addCleanup(gate.unlink)
        script = (
            "import os, sys\n"
            "action = (os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0)\n"
            "print('ready')\n"
            "os.posix_spawn('/bin/cat', ['cat'], {}, file_actions=[action])\n"
            "os.wait()"
        )
        agent, recorder = await self.start(python(script, str(gate)))
        await eventually(lambda: sorted(self.tree().values()) == ["D", "S"], "it is in vfork")
        agent.pause()
        await eventually(lambda: sorted(self.tree().values()) == ["D", "T"], "the child is halted")
        await self.keeper_rests(turns=100)
        agent.resume()
        await eventually(lambda: "T" not in self.tree().values(), "it goes on")
        with gate.open("wb") as file:
            file.write(b"through\n")
        assert (await recorder.ended_with).code == 0
        assert recorder.stdout == ["ready", "through"]

    async def test_a_halted_tree_can_be_stopped(self) -> None:
        """A program that was halted still ends by its own SIGTERM handler."""
        self.be_patient()
        script = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done"
        agent, recorder = await self.started(script)
        agent.pause()
        await self.halted()
        agent.stop()
        assert (await recorder.ended_with).code == 3
        assert recorder.stdout == ["ready", "bye"]

    async def test_while_it_is_being_stopped_it_is_not_halted(self) -> None:
        """A late order to pause does not keep a tree from ending."""
        agent, recorder = await self.started("trap '' TERM; echo ready; while :; do sleep 1; done")
        agent.stop()
        agent.pause()
        agent.resume()
        assert (await recorder.ended_with).signal == signal.SIGKILL

    async def test_one_that_is_killed_while_it_is_halted_has_ended(self) -> None:
        """A kill from elsewhere ends a halted agent, and its helpers with it."""
        agent, recorder = await self.started("sleep 1000 & echo ready; wait")
        agent.pause()
        await self.halted()
        os.kill(agent.pid, signal.SIGKILL)
        assert (await recorder.ended_with).signal == signal.SIGKILL
        assert carriers(self.note("spec.json")["cookie"]) == {}

    async def test_what_was_written_before_the_halt_is_read(self) -> None:
        """Halting an agent does not halt the reading of what it wrote."""
        agent, recorder = await self.started(r"printf 'ready\ntwo\n'; exec sleep 1000")
        agent.pause()
        await eventually(lambda: recorder.stdout == ["ready", "two"], "all of it is read")
        assert Path(self.root, "session_1", "stdout").read_text() == "ready\ntwo\n"
