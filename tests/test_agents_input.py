"""What agents are given to read, over crashes of the server, and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from loki_twisted.agents.interface import AgentEnd
from tests.agents_support import AgentCase, Recorder, eventually, plan, python, shell
from tests.standins.sending_server import MESSAGES, POINTS

SERVER = Path(__file__).parent / "standins" / "sending_server.py"


class EndTests(AgentCase):
    """The end of the input."""

    async def test_an_agent_sees_the_end_behind_all_that_was_sent(self) -> None:
        """A program that reads to the end of its input is given all of it, and goes on."""
        agent, recorder = await self.start(
            shell("cat; echo end; exit 3", accepts_input=True),
        )
        agent.send(b"one\n")
        await eventually(lambda: recorder.stdout == ["one"], "it reads")
        agent.send(b"two\n")
        agent.end_input()
        agent.end_input()
        assert await recorder.ended_with == AgentEnd(3, None)
        assert recorder.stdout == ["one", "two", "end"]

    async def test_much_that_is_not_read_yet_comes_before_the_end(self) -> None:
        """The end waits until a slow reader has taken everything."""
        script = (
            "import sys, time\n"
            "size = 0\n"
            "while data := sys.stdin.buffer.raw.read(50_000):\n"
            "    size += len(data); time.sleep(0.002)\n"
            "print(size)"
        )
        agent, recorder = await self.start(python(script, accepts_input=True))
        agent.send(b"x" * 1_000_000)
        agent.end_input()
        assert (await recorder.ended_with).code == 0
        assert recorder.stdout == ["1000000"]

    async def test_an_input_that_has_ended_costs_the_keeper_nothing(self) -> None:
        """When it has closed the pipe, the keeper waits as before, and takes orders."""
        agent, recorder = await self.start(
            shell("cat; echo end; exec sleep 1000", accepts_input=True)
        )
        agent.end_input()
        await eventually(lambda: recorder.stdout == ["end"], "it has seen the end")
        agent.end_input()
        await self.keeper_rests(turns=20)
        agent.stop()
        assert (await recorder.ended_with).signal == signal.SIGTERM

    async def test_the_end_that_a_killed_server_has_stored_is_seen(self) -> None:
        """The next server tells the keeper what the one before could not."""
        _, before = await self.start(plan("/bin/cat", accepts_input=True))
        await self.runner.detach()
        Path(self.root, "session_1", "input").write_bytes(b"stored\n")
        Path(self.root, "session_1", "input.end").touch()
        after = Recorder()
        agent = self.new_runner().adopt("session_1")
        assert agent is not None
        agent.follow(before.cursors, after)
        assert (await after.ended_with).code == 0
        assert after.stdout == ["stored"]


class CrashTests(AgentCase):
    """Servers that are killed while they write."""

    def serve(self, point: str) -> int:
        """Let a server send everything, and be killed at a point; its exit code."""
        done = subprocess.run(
            [sys.executable, SERVER, self.root, point],
            env={**os.environ, "PYTHONPATH": str(SERVER.parents[2])},
            timeout=60,
            check=False,
        )
        return done.returncode

    async def test_whenever_it_is_killed_the_agent_reads_everything_once(self) -> None:
        """Servers that are killed in turn, each a step later, lose and double nothing."""
        await self.runner.start("session_1", plan("/bin/cat", accepts_input=True))
        await self.runner.detach()
        codes = {point: self.serve(point) for point in POINTS}
        # A keeper that has been slow may have seen the mark of the end before the last.
        assert codes.pop(POINTS[-1]) in (-signal.SIGKILL, 0)
        assert set(codes.values()) == {-signal.SIGKILL}
        assert self.serve("never") == 0
        recorder = Recorder()
        agent = self.new_runner().adopt("session_1")
        assert agent is not None
        agent.follow({}, recorder)
        assert await recorder.ended_with == AgentEnd(0, None)
        assert recorder.stdout == b"".join(MESSAGES).decode().splitlines()
