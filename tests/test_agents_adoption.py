"""Finding agents again after the end of a server, also after a violent one."""

from __future__ import annotations

import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs
import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from loki_twisted.agents import process
from loki_twisted.agents.files import AgentFiles
from loki_twisted.agents.interface import AgentEnd, IAgent, Stray
from loki_twisted.agents.keeper.layout import COOKIE
from loki_twisted.kernel.procfs import boot_id, stat_of
from loki_twisted.model.sessions import Steering
from tests.agents_support import AgentCase, Recorder, carriers, eventually, plan, python, shell

SERVER = str(Path(__file__).parent / "standins" / "adopting_server.py")


class AdoptionTests(AgentCase):
    """One runner has gone, another comes."""

    async def adopt(self, recorder: Recorder) -> tuple[IAgent, Recorder]:
        """Let another server take over; it knows what the first one stored."""
        await self.runner.detach()
        self.runner = self.new_runner()
        agent, after = self.runner.adopt("session_1"), Recorder()
        assert agent is not None
        agent.follow(recorder.cursors, after)
        return agent, after

    @pytest.mark.promise("R12")
    async def test_an_agent_that_runs_goes_on(self) -> None:
        """The same process is read from where the first server stopped, and takes all orders."""
        script = "echo one; read line; echo got $line; while :; do read line; done"
        agent, before = await self.start(shell(script, accepts_input=True))
        await eventually(lambda: before.stdout, "it runs")
        adopted, after = await self.adopt(before)
        assert adopted.pid == agent.pid
        adopted.send(b"input\n")
        await eventually(lambda: after.stdout == ["got input"], "it has read it")
        adopted.pause()
        await self.halted()
        adopted.resume()
        await eventually(lambda: "T" not in self.tree().values(), "it goes on")
        adopted.stop()
        assert await after.ended_with == AgentEnd(None, signal.SIGTERM)
        assert (before.stdout, before.ends) == (["one"], [])
        assert carriers(self.note("spec.json")["cookie"]) == {}

    @pytest.mark.promise("R12")
    async def test_the_end_is_known_though_nobody_saw_it(self) -> None:
        """Exit codes and signals of agents that ended between two servers are told."""
        for script, end in (
            ("read go; echo two; exit 7", AgentEnd(7, None)),
            ("read go; echo two; kill -9 $$", AgentEnd(None, 9)),
        ):
            _, before = await self.start(shell("echo one; " + script, accepts_input=True))
            await eventually(lambda seen=before.stdout: seen, "it runs")
            await self.runner.detach()
            Path(self.root, "session_1", "input").write_bytes(b"go\n")
            self.order(b"input\n")
            await eventually(Path(self.root, "session_1", "exit.json").exists, "it has ended")
            _, after = await self.adopt(before)
            assert await after.ended_with == end
            assert after.stdout == ["two"]
            self.runner.forget("session_1")

    async def test_input_of_a_server_that_was_killed_is_delivered(self) -> None:
        """What was stored before the keeper could be told is read when the next server comes."""
        _, before = await self.start(plan("/bin/cat", accepts_input=True))
        await self.runner.detach()
        with open(Path(self.root, "session_1", "input"), "ab") as file:
            file.write(b"stored\n")
        adopted, after = await self.adopt(before)
        await eventually(lambda: after.stdout == ["stored"], "it was delivered")
        adopted.stop()
        await after.ended_with

    async def test_a_keeper_that_was_killed_while_nobody_looked(self) -> None:
        """The problem is told, with all lines, and what is left is ended."""
        script = "setsid sh -c 'trap \"\" TERM; echo two; sleep 1000; sleep 1000' & echo one; wait"
        _, before = await self.start(shell(script))
        await eventually(lambda: len(before.stdout) == 2, "it runs")
        await self.runner.detach()
        keeper = self.note("pid.json")["keeper"]["pid"]
        os.kill(keeper, signal.SIGKILL)
        await eventually(lambda: stat_of(keeper) is None, "the keeper is gone")
        assert self.tree()
        before.cursors.clear()
        _, after = await self.adopt(before)
        assert "ended before the agent did" in (await after.ended_with).problem
        assert sorted(after.stdout) == ["one", "two"]
        assert carriers(self.note("spec.json")["cookie"]) == {}
        _, again = await self.adopt(before)
        assert await again.ended_with == after.ends[0]

    @pytest.mark.promise("R16")
    async def test_strays(self) -> None:
        """An agent that runs is found by its files alone, unless it is known, until it ends."""
        wanted = attrs.evolve(shell("sleep 1000", cwd="/tmp"), driven_by="codex", intent="ä")
        assert self.runner.strays(lambda _: False) == []
        agent, recorder = await self.start(wanted)
        await self.start(shell("exit"), "session_2")
        Path(self.root, "no session").mkdir()
        Path(self.root, "session_3").mkdir()
        await eventually(Path(self.root, "session_2", "exit.json").exists, "it has ended")
        (stray,) = self.runner.strays(lambda _: False)
        assert stray == Stray("session_1", "/tmp", False, "codex", Steering.SIGNALS, "ä")
        assert self.runner.strays(lambda name: name == "session_1") == []
        agent.stop()
        await recorder.ended_with
        assert self.runner.strays(lambda _: False) == []

    async def test_strays_of_which_files_are_lost(self) -> None:
        """What cannot be read is left out, whatever is in its place, and holds up nobody."""

        def refuse(_: AgentFiles) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        end = AgentFiles.end
        wanted = attrs.evolve(shell("sleep 1000"), intent="for a test")
        agent, recorder = await self.start(wanted)
        Path(self.root, "file").touch()
        where = Path(self.root, "session_1")
        spec = (where / "spec.json").read_bytes()
        (where / "spec.json").write_text("{", "utf-8")
        (stray,) = self.runner.strays(lambda _: False)
        assert (stray.cwd, stray.intent) == ("", "for a test")
        (where / "spec.json").write_bytes(spec)
        (where / "intent.json").write_bytes(b"\xff")
        (stray,) = self.runner.strays(lambda _: False)
        assert (stray.cwd, stray.intent) == ("/", "")
        (where / "intent.json").unlink()
        assert self.runner.strays(lambda _: False) == [stray]
        os.mkfifo(where / "intent.json")
        assert self.runner.strays(lambda _: False) == [stray]
        (where / "exit.json").mkdir()
        assert self.runner.strays(lambda _: False) == [stray]
        (where / "exit.json").rmdir()
        self.patch(AgentFiles, "end", refuse)
        assert self.runner.strays(lambda _: False) == []
        self.patch(AgentFiles, "end", end)
        agent.stop()
        await recorder.ended_with

    async def test_a_stray_without_a_keeper(self) -> None:
        """An agent whose keeper was killed while no server knew of it is found, and ended."""
        _, before = await self.start(shell("sleep 1000"))
        keeper = self.note("pid.json")["keeper"]["pid"]
        cookie = self.note("spec.json")["cookie"]
        await self.runner.detach()
        os.kill(keeper, signal.SIGKILL)
        self.runner = self.new_runner()
        (stray,) = self.runner.strays(lambda _: False)
        assert stray.session_id == "session_1"
        _, after = await self.adopt(before)
        assert (await after.ended_with).problem
        assert carriers(cookie) == {}
        assert self.runner.strays(lambda _: False) == []

    @pytest.mark.promise("R22")
    async def test_an_end_that_cannot_be_read_at_once(self) -> None:
        """While there are no descriptors its end is looked for again and again, and then told."""
        refused = []

        def refuse(files: AgentFiles) -> AgentEnd | None:
            if len(refused) < 3:
                refused.append(files)
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return end(files)

        end = AgentFiles.end
        _, recorder = await self.start(shell("echo one; read line; exit 7", accepts_input=True))
        await eventually(lambda: recorder.stdout, "it runs")
        self.patch(process, "RETRY_SECONDS", 0.01)
        self.patch(AgentFiles, "end", refuse)
        agent = self.runner.adopt("session_1")
        assert agent is not None
        agent.send(b"\n")
        assert await recorder.ended_with == AgentEnd(7, None)
        assert len(refused) == 3

    async def test_an_end_that_can_never_be_read(self) -> None:
        """It is told as lost in the end: a session does not run for ever."""

        def refuse(_: AgentFiles) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        _, recorder = await self.start(shell("read line; exit 7", accepts_input=True))
        self.patch(process, "RETRY_SECONDS", 0.001)
        self.patch(AgentFiles, "end", refuse)
        agent = self.runner.adopt("session_1")
        assert agent is not None
        agent.send(b"\n")
        assert (await recorder.ended_with).problem
        assert len(self.flushLoggedErrors(OSError)) == 1

    async def test_a_directory_in_the_place_of_the_end(self) -> None:
        """An agent that puts one there has ended without a word, and nothing is left of it."""
        where = os.path.join(self.root, "session_1", "exit.json")
        _, recorder = await self.start(shell(f"mkdir {where}; exit 7"))
        assert (await recorder.ended_with).problem
        assert carriers(self.note("spec.json")["cookie"]) == {}

    async def test_what_was_never_started_is_none(self) -> None:
        """There is nothing to adopt of a session without files."""
        assert self.runner.adopt("session_1") is None

    async def test_it_is_adopted_once(self) -> None:
        """Asking again gives the same agent, also for one that was just started."""
        agent, recorder = await self.start(shell("sleep 1000"))
        assert self.runner.adopt("session_1") is agent
        agent.stop()
        await recorder.ended_with

    async def test_half_a_directory_is_an_agent_that_never_ran(self) -> None:
        """A server that was killed while it made the files leaves an end with a problem."""
        os.mkdir(Path(self.root, "session_1"))
        agent, recorder = self.runner.adopt("session_1"), Recorder()
        agent.follow({}, recorder)
        problem = (await recorder.ended_with).problem
        assert problem == "The server ended before its agent was started."
        assert agent.pid is None

    async def test_a_keeper_that_starts_late_does_nothing(self) -> None:
        """Once an agent was given up, no keeper that comes after can start it."""
        await self.start(shell("exit"))
        await eventually(Path(self.root, "session_1", "exit.json").exists, "it has ended")
        for name in ("exit.json", "pid.json", "stdout"):
            Path(self.root, "session_1", name).unlink()
        _, after = await self.adopt(Recorder())
        assert (await after.ended_with).problem
        program = Path(sys.modules["loki_twisted.agents.keeper"].__file__).with_name("__main__.py")
        late = [sys.executable, "-I", "-S", program, f"{self.root}/session_1"]
        done = subprocess.run([*late, "--", "/bin/echo", "late"], timeout=60, check=False)
        assert done.returncode == 0
        assert Path(self.root, "session_1", "stdout").read_text() == ""


class StrangerTests(AgentCase):
    """Numbers that passed to other processes."""

    def setUp(self) -> None:
        super().setUp()
        self.stranger = subprocess.Popen(
            [sys.executable, "-c", "input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={COOKIE: "of somebody else"},
        )
        self.addCleanup(self.stranger.communicate)

    def change_note(self, boot: str, ticks: int) -> None:
        """Let the note of the keeper name the stranger."""
        its = {"pid": self.stranger.pid, "start_ticks": ticks}
        note = {"keeper": its, "agent": its, "boot_id": boot}
        Path(self.root, "session_1", "pid.json").write_text(json.dumps(note))

    @pytest.mark.promise("R12")
    async def test_a_stranger_with_the_number_is_never_signalled(self) -> None:
        """Neither a number of another boot nor one of another start is taken for the keeper."""
        ticks = stat_of(self.stranger.pid).start_ticks
        cases = [(boot_id(), ticks + 1), ("another-boot", ticks)]
        for boot, other_ticks in cases:
            await self.start(shell("exit"))
            exit_file = Path(self.root, "session_1", "exit.json")
            await eventually(exit_file.exists, "it has ended")
            await self.runner.detach()
            exit_file.unlink()
            self.change_note(boot, other_ticks)
            self.runner = self.new_runner()
            agent, recorder = self.runner.adopt("session_1"), Recorder()
            agent.follow({}, recorder)
            agent.stop()
            agent.pause()
            assert (await recorder.ended_with).problem
            assert self.stranger.poll() is None
            self.runner.forget("session_1")

    async def test_nor_is_one_while_the_keeper_lives(self) -> None:
        """A keeper whose note is wrong is known by its lock, takes orders, and is seen to end."""
        _, before = await self.start(shell("echo; sleep 1000"))
        await eventually(lambda: before.stdout, "it runs")
        await self.runner.detach()
        right = Path(self.root, "session_1", "pid.json").read_text()
        self.change_note(boot_id(), stat_of(self.stranger.pid).start_ticks + 1)
        self.runner = self.new_runner()
        agent, after = self.runner.adopt("session_1"), Recorder()
        agent.follow(before.cursors, after)
        agent.stop()
        assert (await after.ended_with).signal == signal.SIGTERM
        assert self.stranger.poll() is None
        Path(self.root, "session_1", "pid.json").write_text(right)

    async def test_after_another_start_of_the_machine_the_problem_is_that(self) -> None:
        """An agent that ran when the machine went down has ended, and why is said."""
        await self.start(python("print('written')"))
        exit_file = Path(self.root, "session_1", "exit.json")
        await eventually(exit_file.exists, "it has ended")
        await self.runner.detach()
        exit_file.unlink()
        spec = {**self.note("spec.json"), "boot_id": "another-boot"}
        Path(self.root, "session_1", "spec.json").write_text(json.dumps(spec))
        note = {**self.note("pid.json"), "boot_id": "another-boot"}
        Path(self.root, "session_1", "pid.json").write_text(json.dumps(note))
        self.runner = self.new_runner()
        agent, recorder = self.runner.adopt("session_1"), Recorder()
        assert agent.pid is None
        agent.follow({}, recorder)
        end = await recorder.ended_with
        assert end.problem == "The machine was started anew while the agent ran."
        assert recorder.stdout == ["written"]


class Server(ProcessProtocol):
    """A server that is killed when it has stored so many pieces; never, if None."""

    def __init__(self, pieces: int | None) -> None:
        self.pieces = pieces
        self.ended: Deferred[None] = Deferred()
        self.signal: int | None = None
        self.complaints = b""

    def outReceived(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
        if self.pieces is not None:
            self.pieces -= data.count(b"\n")
            if self.pieces <= 0:
                self.transport.signalProcess("KILL")

    def errReceived(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
        self.complaints += data

    def processEnded(self, reason: Failure) -> None:  # noqa: N802  # Twisted's name
        self.signal = getattr(reason.value, "signal", None)
        self.ended.callback(None)


class KilledServerTests(AgentCase):
    """Servers that are killed in the middle of the output."""

    timeout = 900

    @pytest.fixture(autouse=True)
    def figures(self, is_full: bool) -> None:
        self.kills, self.lines = (40, 60_000) if is_full else (5, 6_000)

    async def serve(self, database: str, pieces: int | None) -> Server:
        server = Server(pieces)
        reactor.spawnProcess(
            server,
            sys.executable,
            [sys.executable, SERVER, self.root, database, "3", str(self.lines)],
            env={**os.environ, "PYTHONPATH": str(Path(SERVER).parents[2])},
        )
        await server.ended
        return server

    @pytest.mark.promise("R12")
    async def test_each_line_is_told_exactly_once(self) -> None:
        """However often the server is killed, no line is lost or told twice, and the end known."""
        path = tempfile.mktemp(prefix="database-", dir=tempfile.gettempdir())
        for suffix in ("", "-wal", "-shm"):
            self.addCleanup(Path(path + suffix).unlink, missing_ok=True)
        killed = 0
        for kill in range(self.kills):
            server = await self.serve(path, 5 + kill % 7 * 3)
            assert server.complaints == b""
            killed += server.signal == signal.SIGKILL
        assert killed
        server = await self.serve(path, None)
        assert server.complaints == b""
        database = sqlite3.connect(path)
        self.addCleanup(database.close)
        numbers = [str(number) for number in range(1, self.lines + 1)]
        for session in ("session_0", "session_1", "session_2"):
            rows = database.execute("select line from lines where session = ?", (session,))
            told = [line for (line,) in rows]
            for stream in ("out", "err"):
                assert [line[4:] for line in told if line.startswith(stream)] == numbers
            pids = database.execute("select distinct pid from pids where session = ?", (session,))
            assert pids.fetchall() == [(self.note("pid.json", session)["agent"]["pid"],)]
        ends = database.execute("select * from ends order by session").fetchall()
        assert ends == [(f"session_{number}", 3, None, None) for number in range(3)]
