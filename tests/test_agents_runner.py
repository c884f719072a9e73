"""Starting agents, reading them, writing to them, and forgetting them."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from loki_twisted.agents import launch
from loki_twisted.agents import runner as runner_module
from loki_twisted.agents.bell import PollingBell
from loki_twisted.agents.interface import AgentEnd, IAgentRunner, LaunchPlan
from loki_twisted.agents.lines import CUT_MARK, LINE_LIMIT
from loki_twisted.agents.runner import KeeperRunner
from loki_twisted.model.errors import AgentNotStarted, Conflict
from tests.agents_support import (
    AgentCase,
    Recorder,
    carriers,
    eventually,
    plan,
    python,
    shell,
)


class StartTests(AgentCase):
    """From a plan to a program that runs."""

    def test_it_is_a_runner(self) -> None:
        """It has what the session service calls."""
        assert verifyObject(IAgentRunner, self.runner)

    async def test_the_agent_is_the_program(self) -> None:
        """It has the arguments, the environment, the directory and the number that we say."""
        directory = os.path.realpath(self.root)
        script = 'echo $$ $PWD "$NAME" "$LOKI_KEEPER"; printf \'%s|\' "$@"'
        wanted = LaunchPlan(
            argv=["/bin/sh", "-c", script, "sh", "a b", "", "'\"*", "ä\n--"],
            env={"NAME": "a value", "LOKI_KEEPER": "of another"},
            cwd=directory,
        )
        agent, recorder = await self.start(wanted)
        assert await recorder.ended_with == AgentEnd(0, None)
        cookie = self.note("spec.json")["cookie"]
        assert recorder.stdout == [
            f"{agent.pid} {directory} a value {cookie}", "a b||'\"*|ä", "--|"
        ]  # fmt: skip

    async def test_it_is_followed_when_its_output_can_be_opened(self) -> None:
        """Where one stream cannot be opened none is, and it can be tried again."""
        agent = await self.runner.start("session_1", shell("echo one; exec sleep 60"))
        spool = os.path.join(self.root, "session_1", "stderr")
        os.rename(spool, spool + ".away")
        os.mkdir(spool)  # it cannot be put aside, because something is there already
        os.makedirs(os.path.join(spool + ".odd", "full"))
        before, recorder = os.listdir("/proc/self/fd"), Recorder()
        with pytest.raises(OSError, match="not empty"):
            agent.follow({}, recorder)
        assert len(os.listdir("/proc/self/fd")) == len(before)
        os.rmdir(spool)
        agent.follow({}, recorder)
        await eventually(lambda: recorder.stdout == ["one"], "it is followed")
        agent.stop()
        await recorder.ended_with

    async def test_exit_codes_and_signals(self) -> None:
        """How a program ended is told as it was: a code, or the number of a signal."""
        for script, end in (
            ("exit 0", AgentEnd(0, None)),
            ("exit 255", AgentEnd(255, None)),
            ("kill -KILL $$", AgentEnd(None, 9)),
            ("kill -SEGV $$", AgentEnd(None, 11)),
        ):
            session_id = f"s{end.exit_code}"
            _, recorder = await self.start(shell(script), session_id)
            assert await recorder.ended_with == end
            assert self.note("exit.json", session_id)["problem"] is None

    async def test_output_comes_in_order_on_both_streams(self) -> None:
        """All lines of each stream are told, in the order in which they were written."""
        script = (
            "import sys\nfor number in range(20000):\n"
            "    print(number, file=sys.stdout if number % 2 else sys.stderr)"
        )
        _, recorder = await self.start(plan(sys.executable, "-c", script))
        await recorder.ended_with
        assert recorder.stdout == [str(number) for number in range(1, 20000, 2)]
        assert recorder.stderr == [str(number) for number in range(0, 20000, 2)]

    async def test_each_cookie_is_its_own(self) -> None:
        """No two agents carry the same cookie."""
        for session_id in ("one", "two"):
            _, recorder = await self.start(shell("exit"), session_id)
            await recorder.ended_with
        assert self.note("spec.json", "one")["cookie"] != self.note("spec.json", "two")["cookie"]

    async def test_what_cannot_be_started_leaves_nothing(self) -> None:
        """The error says what is wrong, and there are no files to be found later."""
        text = Path(self.root, "a text")
        text.write_text("no program")
        cases = [
            (plan("/no/such/program"), "/no/such/program: No such file"),
            (plan(str(text)), "a text: Permission denied"),
            (plan("/bin/sh", cwd="/no/such/place"), "/no/such/place: No such file"),
            (plan("/bin/sh", "a\0b"), "null"),
            (plan("/bin/sh", "x" * 200_000), "Argument list too long"),
            (LaunchPlan(argv=["/bin/sh"], env={"A": "\0"}, cwd="/"), "null"),
        ]
        for wanted, reason in cases:
            with pytest.raises(AgentNotStarted, match=reason):
                await self.runner.start("session_1", wanted)
        text.unlink()
        assert os.listdir(self.root) == []
        assert self.runner.adopt("session_1") is None

    async def test_a_session_is_started_once(self) -> None:
        """A second start of a session is refused, and the first agent goes on."""
        agent, recorder = await self.start(shell("sleep 1000"))
        with pytest.raises(AgentNotStarted, match="before"):
            await self.runner.start("session_1", shell("exit"))
        assert self.tree()
        agent.stop()
        await recorder.ended_with
        with pytest.raises(AgentNotStarted, match="before"):
            await self.runner.start("session_1", shell("exit"))

    async def test_an_id_that_is_no_name_is_refused(self) -> None:
        """Nothing is made outside of the directory of agents."""
        with pytest.raises(AgentNotStarted):
            await self.runner.start("../outside", shell("exit"))
        assert not Path(self.root, "..", "outside").exists()

    async def test_a_keeper_that_hangs_is_killed(self) -> None:
        """If the program is not executed in time, that is an error, and nothing is left."""
        self.patch(launch, "START_SECONDS", 0.05)
        self.patch(launch, "_PROGRAM", os.path.join(self.root, "hangs.py"))
        Path(self.root, "hangs.py").write_text("import time; time.sleep(1000)")
        with pytest.raises(AgentNotStarted, match="ended by signal 9"):
            await self.runner.start("session_1", shell("exit"))
        assert os.listdir(self.root) == ["hangs.py"]

    async def test_a_keeper_that_breaks_says_why(self) -> None:
        """What the keeper complained of is part of the error."""
        self.patch(launch, "_PROGRAM", os.path.join(self.root, "breaks.py"))
        Path(self.root, "breaks.py").write_text("raise OSError('the disk is gone')")
        with pytest.raises(AgentNotStarted, match="exit code 1: OSError: the disk is gone"):
            await self.runner.start("session_1", shell("exit"))
        os.unlink(Path(self.root, "breaks.py"))

    async def test_many_start_at_once(self) -> None:
        """Agents that are started together do not disturb each other."""
        names = [f"session_{number}" for number in range(10)]
        starts = [self.runner.start(name, shell(f"echo {name}; exit 3")) for name in names]
        for name, start in zip(names, starts, strict=True):
            agent, recorder = await start, Recorder()
            agent.follow({}, recorder)
            assert (await recorder.ended_with).code == 3
            assert recorder.stdout == [name]


class ReadingTests(AgentCase):
    """What agents print."""

    @pytest.mark.promise("R11")
    async def test_a_helper_that_holds_the_output_does_not_hold_up_the_end(self) -> None:
        """The end is told soon after the agent ended, though a grandchild has its stdout open."""
        script = "setsid sh -c 'trap \"\" TERM; echo helper; sleep 1000' & read go; exit 4"
        agent, recorder = await self.start(shell(script, accepts_input=True))
        await eventually(lambda: recorder.stdout, "the helper runs")
        agent.send(b"go\n")
        assert (await recorder.ended_with).code == 4
        assert recorder.stdout == ["helper"]
        assert carriers(self.note("spec.json")["cookie"]) == {}

    @pytest.mark.promise("R11")
    async def test_the_end_waits_for_nobody_who_has_the_output_open(self) -> None:
        """It is told while a process that no stop can reach may still write to its stdout."""
        script = "echo $$; read go; exit 4"
        agent, recorder = await self.start(shell(script, accepts_input=True))
        await eventually(lambda: recorder.stdout, "it runs")
        with open(f"/proc/{recorder.stdout[0]}/fd/1", "ab", buffering=0) as held:
            agent.send(b"go\n")
            assert (await recorder.ended_with).code == 4
            held.write(b"too late\n")
        assert len(recorder.stdout) == 1

    async def test_a_script_that_opens_its_output_anew(self) -> None:
        """Lines that are written by way of ``/dev/stderr``, which empties the file, are read."""
        script = "for n in one two three; do echo $n > /dev/stderr; read go; done"
        agent, recorder = await self.start(shell(script, accepts_input=True))
        for count, line in enumerate(("one", "two", "three"), 1):
            await eventually(lambda count=count: len(recorder.stderr) == count, line)
            agent.send(b"go\n")
        await recorder.ended_with
        assert recorder.stderr == ["one", "two", "three"]

    async def test_lines_without_end_and_characters_in_pieces(self) -> None:
        """A line that is too long is cut, and a character that comes byte by byte stays whole."""
        script = (
            "import os, sys, time\n"
            "for byte in 'ä€😀'.encode(): os.write(1, bytes([byte])); time.sleep(0.002)\n"
            "os.write(1, b'\\n'); sys.stdout.write('x' * 1_000_000); print(); print('last', end='')"
        )
        _, recorder = await self.start(python(script))
        await recorder.ended_with
        assert recorder.stdout == ["ä€😀", "x" * LINE_LIMIT + CUT_MARK, "last"]

    async def test_an_agent_that_nobody_follows_runs_all_the_same(self) -> None:
        """What it writes is there when somebody follows later."""
        agent = await self.runner.start("session_1", shell("seq 100000; exit 2"))
        await eventually(Path(self.root, "session_1", "exit.json").exists, "it has ended")
        recorder = Recorder()
        agent.follow({}, recorder)
        assert (await recorder.ended_with).code == 2
        assert recorder.stdout == [str(number) for number in range(1, 100001)]

    async def test_without_inotify_and_pidfd_it_works_by_polling(self) -> None:
        """Where the kernel offers neither, output and end are told a little later."""
        self.patch(runner_module, "make_bell", PollingBell)
        self.patch(os, "pidfd_open", None)
        del os.pidfd_open
        agent, recorder = await self.start(shell("echo one; read go; exit 3", accepts_input=True))
        await eventually(lambda: recorder.stdout, "it is read")
        agent.send(b"\n")
        assert (await recorder.ended_with).code == 3


class InputTests(AgentCase):
    """What agents read."""

    async def test_input_arrives_in_order(self) -> None:
        """Each line that is sent is read once, in order."""
        agent, recorder = await self.start(plan("/bin/cat", accepts_input=True))
        for number in range(200):
            agent.send(b"%d\n" % number)
        await eventually(lambda: len(recorder.stdout) == 200, "all came back")
        assert recorder.stdout == [str(number) for number in range(200)]
        agent.stop()
        await recorder.ended_with

    async def test_much_input_waits_for_a_slow_reader(self) -> None:
        """A megabyte that is sent at once arrives whole, as fast as it is read."""
        script = (
            "import sys, time, hashlib\n"
            "digest, count = hashlib.sha256(), 0\n"
            "while count < 1_000_000:\n"
            "    data = sys.stdin.buffer.raw.read(50_000)\n"
            "    digest.update(data); count += len(data); time.sleep(0.002)\n"
            "print(digest.hexdigest())"
        )
        sent = b"".join(b"%09d\n" % number for number in range(100_000))
        agent, recorder = await self.start(python(script, accepts_input=True))
        agent.send(sent)
        await recorder.ended_with

        assert recorder.stdout == [hashlib.sha256(sent).hexdigest()]

    async def test_an_agent_that_closes_its_input_goes_on(self) -> None:
        """What is sent to a closed input goes nowhere, and harms neither keeper nor agent."""
        script = "exec 0</dev/null; echo closed; while [ ! -e $DONE ]; do sleep 0.01; done; exit 3"
        done = Path(self.root, "done")
        agent, recorder = await self.start(shell(script, accepts_input=True, DONE=str(done)))
        await eventually(lambda: recorder.stdout, "it has closed it")
        agent.send(b"x" * 300_000)
        agent.send(b"more\n")
        done.touch()
        assert (await recorder.ended_with).code == 3
        done.unlink()

    async def test_a_helper_that_holds_the_input_does_not_hold_up_the_end(self) -> None:
        """The end of the agent ends its input for all who read it."""
        # A shell gives what it runs in the background no input, but for another descriptor.
        helper = "exec 3<&0; (cat <&3; echo input ended) &"
        script = f"{helper} while [ ! -e $DONE ]; do sleep 0.01; done; exit 4"
        done = Path(self.root, "done")
        agent, recorder = await self.start(shell(script, accepts_input=True, DONE=str(done)))
        agent.send(b"line\n")
        await eventually(lambda: recorder.stdout == ["line"], "the helper reads")
        done.touch()
        assert (await recorder.ended_with).code == 4

    async def test_an_agent_without_input_sees_its_end(self) -> None:
        """A program that reads all the same is not kept waiting."""
        _, recorder = await self.start(shell("cat; echo nothing"))
        assert (await recorder.ended_with).code == 0
        assert recorder.stdout == ["nothing"]


class LossTests(AgentCase):
    """When a keeper is killed."""

    async def test_the_problem_is_told_and_nothing_goes_on(self) -> None:
        """The end is told as a problem, what was written is read, and no process is left."""
        helpers = "setsid nohup sleep 1000 & (sleep 1000 &)"
        script = f"{helpers}; trap '' TERM; echo; while :; do sleep 1; done"
        agent, recorder = await self.start(shell(script))
        await eventually(lambda: recorder.stdout, "it runs")
        os.kill(self.note("pid.json")["keeper"]["pid"], signal.SIGKILL)
        end = await recorder.ended_with
        assert end == AgentEnd(None, None, "The keeper of the agent was ended by signal 9.")
        assert carriers(self.note("spec.json")["cookie"]) == {}
        assert self.note("exit.json")["problem"] == end.problem
        agent.stop()

    async def test_a_halted_tree_is_swept_as_well(self) -> None:
        """What was paused when the keeper was killed does not stay for ever."""
        agent, recorder = await self.start(shell("trap '' TERM; echo; sleep 1000; sleep 1000"))
        await eventually(lambda: recorder.stdout, "it runs")
        agent.pause()
        await self.halted()
        os.kill(self.note("pid.json")["keeper"]["pid"], signal.SIGKILL)
        assert (await recorder.ended_with).problem
        assert carriers(self.note("spec.json")["cookie"]) == {}


class ForgetTests(AgentCase):
    """Removing what is left of agents."""

    async def test_an_agent_that_has_ended_is_forgotten(self) -> None:
        """Its files go, and the name is free again."""
        _, recorder = await self.start(shell("exit"))
        await recorder.ended_with
        self.runner.forget("session_1")
        assert os.listdir(self.root) == []
        assert self.runner.adopt("session_1") is None
        self.runner.forget("session_1")
        _, recorder = await self.start(shell("exit 3"))
        assert (await recorder.ended_with).code == 3

    async def test_one_of_an_earlier_server_too(self) -> None:
        """An agent need not be adopted to be forgotten."""
        _, recorder = await self.start(shell("exit"))
        await recorder.ended_with
        self.new_runner().forget("session_1")
        assert os.listdir(self.root) == []

    async def test_one_whose_end_could_not_be_written_too(self) -> None:
        """An agent that is known to have ended by its lock alone can be forgotten."""
        _, recorder = await self.start(shell("exit"))
        await recorder.ended_with
        Path(self.root, "session_1", "exit.json").unlink()
        self.new_runner().forget("session_1")
        assert os.listdir(self.root) == []

    async def test_one_that_runs_is_not(self) -> None:
        """The files of an agent that runs stay, whoever started it."""
        agent, recorder = await self.start(shell("sleep 1000"))
        for runner in (self.runner, self.new_runner()):
            with pytest.raises(Conflict):
                runner.forget("session_1")
        agent.stop()
        await recorder.ended_with


class DetachTests(AgentCase):
    """The end of the server."""

    async def test_agents_go_on(self) -> None:
        """After detach nothing is told and nothing is started, and the agents run."""
        _, recorder = await self.start(shell("echo one; read go; echo two", accepts_input=True))
        await eventually(lambda: recorder.stdout, "it runs")
        await self.runner.detach()
        Path(self.root, "session_1", "input").write_bytes(b"go\n")
        self.order(b"input\n")
        await eventually(Path(self.root, "session_1", "exit.json").exists, "it has ended")
        await deferLater(reactor, 0)
        assert (recorder.stdout, recorder.ends) == (["one"], [])
        with pytest.raises(AgentNotStarted, match="shutting down"):
            await self.runner.start("session_2", shell("exit"))

    async def test_it_waits_for_starts(self) -> None:
        """An agent that is being started is finished first, and left to the next server."""
        start = self.runner.start("session_1", shell("sleep 1000"))
        await self.runner.detach()
        agent, recorder = await start, Recorder()
        agent.follow({}, recorder)
        assert self.note("pid.json")["agent"]["pid"] == agent.pid

    async def test_it_waits_for_the_listener(self) -> None:
        """When it fires, the listener has answered to what it was given last."""
        agent = await self.runner.start("session_1", shell("echo one; sleep 1000"))
        recorder, answer = Recorder(), Deferred()
        recorder.answer = lambda: answer
        agent.follow({}, recorder)
        await eventually(lambda: recorder.pieces, "the listener has a line")
        done = self.runner.detach()
        self.assertNoResult(done)
        answer.callback(None)
        await done
        assert recorder.stdout == ["one"]

    @pytest.mark.promise("R8")
    async def test_nothing_is_left_in_the_reactor(self) -> None:
        """Neither descriptors nor delayed calls stay, while agents run on."""
        before = set(reactor.getReaders())
        await self.start(shell("sleep 1000"))
        assert set(reactor.getReaders()) > before
        await self.runner.detach()
        left = set(reactor.getReaders()) - before
        assert [each for each in left if "Waker" not in type(each).__name__] == []  # the reactor's


def test_the_directory_is_made_when_it_is_needed() -> None:
    """A runner that starts nothing makes nothing."""
    runner = KeeperRunner(reactor, "/no/such/directory")
    assert runner.adopt("session_1") is None
    assert not os.path.exists("/no/such")
