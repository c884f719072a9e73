"""The program beside each agent."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_twisted.agents import keeper
from loki_twisted.agents.files import AgentFiles
from loki_twisted.agents.interface import Limits
from loki_twisted.agents.keeper.layout import COOKIE, ENDED, EXIT_LOCKED, LOG, STARTED
from loki_twisted.agents.keeper.processes import Process, children, children_of_all, process
from loki_twisted.agents.keeper.watch import order_from
from loki_twisted.kernel.procfs import stat_of
from tests.agents_support import AgentCase, carriers, eventually, plan, python, shell

PROGRAM = os.path.join(os.path.dirname(keeper.__file__), "__main__.py")
COMMAND = [sys.executable, "-I", "-S", PROGRAM]


class ProgramCase:
    """
    With a directory, and the keeper run by hand.

    :ivar limits: Of the agent.
    """

    limits = Limits()

    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self.files = AgentFiles.of(str(tmp_path), "session_1")
        wanted = attrs.evolve(plan("unused"), limits=self.limits)
        self.files.make(wanted, "cookie-by-hand", "boot", 1)

    def run(self, *argv: str, **env: str) -> int:
        done = subprocess.run(
            [*COMMAND, self.files.directory, "--", *argv], env=env, timeout=60, check=False
        )
        return done.returncode

    def output(self, stream: str = "stdout") -> str:
        return Path(self.files.path(stream)).read_text()


class TestOnce(ProgramCase):
    """An agent is started once."""

    def test_it_runs_the_program(self) -> None:
        """The exit code of the agent is in the exit file, that of the keeper is 0."""
        assert self.run("/bin/sh", "-c", "echo out; echo err >&2; exit 7") == 0
        assert json.loads(Path(self.files.path(ENDED)).read_text()) == {
            "code": 7,
            "signal": None,
            "problem": None,
        }
        assert (self.output(), self.output("stderr")) == ("out\n", "err\n")
        started = json.loads(Path(self.files.path(STARTED)).read_text())
        assert set(started) == {"keeper", "agent", "boot_id"}

    def test_while_another_has_the_lock_nothing_is_done(self) -> None:
        """A second keeper in a directory goes away, and says why by its exit code."""
        lock = self.files.lock()
        assert lock is not None
        assert self.run("/bin/sh", "-c", "echo out") == EXIT_LOCKED == 75
        os.close(lock)
        assert self.output() == ""

    @pytest.mark.parametrize("name", [STARTED, ENDED])
    def test_when_it_ran_before_nothing_is_done(self, name: str) -> None:
        """An agent that has ended, or whose keeper is lost, is not run again."""
        Path(self.files.path(name)).write_text("{}")
        assert self.run("/bin/sh", "-c", "echo out") == 0
        assert self.output() == ""

    @pytest.mark.parametrize(
        ("program", "problem"),
        [
            ("/no/such/program", "/no/such/program: No such file or directory"),
            (__file__, f"{__file__}: Permission denied"),
            ("/", "/: Permission denied"),
        ],
    )
    def test_a_program_that_cannot_be_executed(self, program: str, problem: str) -> None:
        """The problem is in the exit file, and nothing says that it ran."""
        assert self.run(program) == 0
        end = json.loads(Path(self.files.path(ENDED)).read_text())
        assert end == {"code": None, "signal": None, "problem": problem}
        assert not os.path.exists(self.files.path(STARTED))

    def test_the_environment_is_passed_on_as_it_is(self) -> None:
        """Nothing is added to the environment and nothing taken away."""
        env = {COOKIE: "c", "EMPTY": "", "WITH": "a=b", "BYTES": "\udcff"}
        self.run("/bin/cat", "/proc/self/environ", **env)
        entries = Path(self.files.path("stdout")).read_bytes().split(b"\0")
        assert sorted(entries) == [b"", b"BYTES=\xff", b"EMPTY=", b"LOKI_KEEPER=c", b"WITH=a=b"]

    def test_the_agent_has_nothing_of_ours(self) -> None:
        """It has three descriptors, all signals as a new process has them, and no input."""
        self.run("/bin/ls", "/proc/self/fd")
        assert self.output().split() == ["0", "1", "2", "3"]  # the last is that of ls
        Path(self.files.path(ENDED)).unlink()
        Path(self.files.path(STARTED)).unlink()
        self.run("/bin/sh", "-c", "grep ^Sig[BI] /proc/self/status >&2; pwd >&2; cat >&2")
        blocked, ignored, directory = self.output("stderr").splitlines()
        assert int(blocked.split()[1], 16) == 0
        # Two signals are the C library's own; its posix_spawn, by which we came here, ignores them.
        assert int(ignored.split()[1], 16) & ~(0b11 << 31) == 0
        assert directory == "/"


class TestLimitedOnce(TestOnce):
    """All of that holds for an agent with limits too."""

    limits = Limits(memory_bytes=2_000_000_000, processes=100_000, file_bytes=10_000_000)


class TestFullDisk(ProgramCase):
    """When there is no room any more. Needs the right to mount a file system in memory."""

    @pytest.fixture(autouse=True)
    def small_disk(self, directory: None, tmp_path: Path) -> None:
        self.mount = ["unshare", "--user", "--map-root-user", "--mount"]
        probe = [*self.mount, "true"]
        if not shutil.which("unshare") or subprocess.run(probe, check=False).returncode:
            pytest.skip("no file system can be mounted here")

    def in_small_disk(self, script: str) -> str:
        """Run a script of the shell with the agent's directory on a disk of its own."""
        whole = (
            "set -e; cp -r $DIR $DIR.copy; rm -r $DIR/*\n"
            "mount -t tmpfs -o size=256k none $DIR\n"
            "for name in spec.json input; do cp $DIR.copy/$name $DIR; done; mkfifo $DIR/control\n"
            "fill() { head -c 1000000 /dev/zero > $DIR/fill 2>/dev/null || true; }\n"
        )
        env = {**os.environ, "DIR": self.files.directory, "KEEPER": " ".join(COMMAND)}
        done = subprocess.run(
            [*self.mount, "/bin/sh", "-c", whole + script],
            env=env,
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    @pytest.mark.promise("R15")
    def test_the_end_is_told_all_the_same(self) -> None:
        """The agent goes on when the disk has filled up, and its exit code is told."""
        shown = self.in_small_disk(
            "mkfifo $DIR.go\n"
            "$KEEPER $DIR -- /bin/sh -c 'read go < $DIR.go; echo lost; exit 9' &\n"
            "while [ ! -e $DIR/pid.json ]; do sleep 0.01; done\n"
            "fill; echo go > $DIR.go; wait; cat $DIR/exit.json"
        )
        assert json.loads(shown) == {"code": 9, "signal": None, "problem": None}

    @pytest.mark.promise("R15")
    def test_nothing_is_started_without_room_for_the_end(self) -> None:
        """Where the end could not be told, there is no beginning."""
        shown = self.in_small_disk(
            "fill; $KEEPER $DIR -- /bin/touch $DIR.ran 2>$DIR.err || echo failed $?\n"
            "[ ! -e $DIR.ran ]; tail -n 1 $DIR.err"
        )
        assert shown == "failed 1\nOSError: [Errno 28] No space left on device\n"


class OrderTests(AgentCase):
    """What the keeper does on order."""

    def keeper_pid(self) -> int:
        return self.note(STARTED)["keeper"]["pid"]

    async def test_the_agent_leads_neither_session_nor_group(self) -> None:
        """So ``setsid(1)`` need not fork, and a ``kill 0`` does not hit the keeper."""
        agent, recorder = await self.start(shell("exec sleep 100"))
        found, its_keeper = stat_of(agent.pid), stat_of(self.keeper_pid())
        assert its_keeper.session == its_keeper.group == its_keeper.pid
        assert found.session == its_keeper.pid
        assert found.group not in (found.pid, its_keeper.group)
        assert found.parent == its_keeper.pid
        agent.stop()
        await recorder.ended_with

    async def test_setsid_in_front_of_the_agent_keeps_its_number_and_exit_code(self) -> None:
        """The program that leads a session of its own is the process that we know."""
        agent, recorder = await self.start(
            plan("/usr/bin/env", "setsid", "sh", "-c", "echo $$; exit 4")
        )
        assert (await recorder.ended_with).code == 4
        assert recorder.stdout == [str(agent.pid)]

    async def test_a_signal_to_the_own_group_does_not_hit_the_keeper(self) -> None:
        """A script that signals its group, as cleaning up often does, ends as it wants."""
        script = "trap 'echo cleaned; exit 6' TERM; sleep 100 & kill 0; wait"
        _, recorder = await self.start(shell(script))
        assert (await recorder.ended_with).code == 6
        assert recorder.stdout == ["cleaned"]

    async def test_sigterm_is_an_order_to_stop(self) -> None:
        """Who ends the keeper, as the system does when it goes down, ends the agent properly."""
        self.be_patient()
        _, recorder = await self.start(
            shell("trap 'echo bye; exit 3' TERM; echo; sleep 100 & wait")
        )
        await eventually(lambda: recorder.stdout, "the script runs")
        os.kill(self.keeper_pid(), signal.SIGTERM)
        assert (await recorder.ended_with).code == 3
        assert recorder.stdout == ["", "bye"]

    async def test_other_signals_do_not_disturb_it(self) -> None:
        """The keeper outlives what would end an ordinary program."""
        agent, recorder = await self.start(shell("echo; sleep 100"))
        for number in (
            signal.SIGHUP,
            signal.SIGINT,
            signal.SIGQUIT,
            signal.SIGUSR1,
            signal.SIGUSR2,
        ):
            os.kill(self.keeper_pid(), number)
        agent.stop()
        assert (await recorder.ended_with).signal == signal.SIGTERM

    async def test_what_is_no_order_is_complained_of(self) -> None:
        """A line that is no order changes nothing, and is in the keeper's log."""
        _, recorder = await self.start(shell("sleep 100"))
        self.order(b"what\n\nstop later\npause 5\n\xff\xff\n")
        self.order(b"stop 0\n")
        assert (await recorder.ended_with).signal in (signal.SIGTERM, signal.SIGKILL)
        log = Path(self.root, "session_1", LOG).read_text()
        assert log.count("\n") == 5

    async def test_a_second_stop_can_hasten_the_first(self) -> None:
        """An order with a shorter grace counts, one with a longer does not."""
        _, recorder = await self.start(shell("trap '' TERM; echo; while :; do sleep 1; done"))
        await eventually(lambda: recorder.stdout, "the script runs")
        self.order(b"stop 1000\nstop 0.01\nstop 1000\n")
        assert (await recorder.ended_with).signal == signal.SIGKILL

    async def test_stragglers_are_asked_to_end_after_the_agent(self) -> None:
        """What outlives the agent gets a SIGTERM; the end is told after that."""
        self.be_patient()
        assert (await self.ended_leaving("lambda *_: (print('asked'), os._exit(0))")) == ["asked"]

    async def test_stragglers_that_stay_are_killed_soon(self) -> None:
        """Who outlives the agent and its SIGTERM as well gets a SIGKILL before the end is told."""
        assert (await self.ended_leaving("signal.SIG_IGN")) == []

    async def ended_leaving(self, action: str) -> list[str]:
        """Have an agent end that leaves a process; gives what that said after a SIGTERM."""
        script = (
            "import os, signal, time\n"
            "ready, done = os.pipe()\n"
            "if os.fork():\n    os.read(ready, 1)\n    os._exit(2)\n"
            f"signal.signal(signal.SIGTERM, {action})\n"
            "os.write(done, b'.')\ntime.sleep(100)"
        )
        _, recorder = await self.start(python(script))
        assert (await recorder.ended_with).code == 2
        assert carriers(self.note("spec.json")["cookie"]) == {}
        return recorder.stdout

    async def test_it_is_small(self) -> None:
        """A keeper needs little memory, most of it shared with the others."""
        agent, recorder = await self.start(shell("exec sleep 100"))
        status = Path(f"/proc/{self.keeper_pid()}/status").read_text().splitlines()
        kib = next(line.split()[1] for line in status if line.startswith("RssAnon"))
        assert int(kib) < 10_000
        agent.stop()
        await recorder.ended_with

    async def test_it_does_nothing_while_nothing_happens(self) -> None:
        """A keeper uses no processor while it waits."""
        agent, recorder = await self.start(shell("echo; exec sleep 100"))
        await self.keeper_rests(turns=20)
        agent.stop()
        await recorder.ended_with

    async def test_a_tree_that_forks_without_end_is_ended(self) -> None:
        """Processes that flee, each living only until it has started the next, are caught."""
        script = (
            "import os, signal, time\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "print(flush=True)\n"
            "for _ in range(3):\n    if os.fork() == 0: break\nelse: time.sleep(100)\n"
            "end = time.monotonic() + 60\n"
            "while time.monotonic() < end:\n"
            "    if os.fork(): os._exit(0)\n    os.setsid()\n    time.sleep(0.002)"
        )
        agent, recorder = await self.start(python(script))
        await eventually(lambda: recorder.stdout, "it runs")
        agent.stop()
        assert (await recorder.ended_with).signal == signal.SIGKILL
        assert carriers(self.note("spec.json")["cookie"]) == {}


@given(st.binary(max_size=30))
def test_any_line_is_an_order_or_an_error(line: bytes) -> None:
    """Whatever is written to the FIFO, the keeper goes on."""
    try:
        word, seconds = order_from(line, 5.0)
    except ValueError:
        return
    assert word in ("stop", "pause", "resume", "input")
    assert isinstance(seconds, float)


@pytest.mark.parametrize(
    ("line", "order"),
    [
        (b"stop", ("stop", 5.0)),
        (b"stop 0.25", ("stop", 0.25)),
        (b"pause", ("pause", 5.0)),
        (b"resume", ("resume", 5.0)),
        (b"input", ("input", 5.0)),
    ],
)
def test_orders_are_understood(line: bytes, order: tuple[str, float]) -> None:
    """The words that the server uses mean what it means by them."""
    assert order_from(line, 5.0) == order


def test_children_are_found_either_way() -> None:
    """Kernels that keep no lists of children give the same answer, more slowly."""
    with subprocess.Popen(
        ["/bin/sh", "-c", "sleep 100 & sleep 100 & echo; wait"], stdout=-1
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        try:
            assert child.pid in children(os.getpid())
            assert sorted(children(child.pid)) == sorted(children_of_all()(child.pid))
            assert len(children(child.pid)) == 2
        finally:
            for pid in [*children(child.pid), child.pid]:
                os.kill(pid, signal.SIGKILL)
    assert children(child.pid) == []
    assert process(child.pid) is None


def test_another_process_of_the_same_number_is_not_told() -> None:
    """A process that is not the one that was looked at gets no signal."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, stdout=-1) as child:
        found = process(child.pid)
        assert found is not None
        found.parent = 1  # then it is no child, whose number would be safe
        found.start_ticks -= 1
        found.tell(signal.SIGKILL)
        child.communicate(b"\n")
        assert child.returncode == 0
    found.tell(signal.SIGKILL)  # it has ended: nobody is hit


def test_a_name_with_parentheses_is_read_over() -> None:
    """The fields behind the name are found whatever the name is."""
    stat = b"5 (a) Z 9 (b)) T 3 4 4 0" + b" 0" * 14 + b" 777 0 0 0 0 0 888 0\n"
    found = Process(5, stat)
    assert (found.state, found.parent, found.start_ticks) == (b"T", 3, 777)
    assert found.image == b"888"
    assert found.is_halted


def test_the_keeper_needs_nothing_of_ours() -> None:
    """All that it imports is the standard library and itself."""
    script = (
        "import sys; sys.path.append(sys.argv[1]); import keeper.program\n"
        "print([name for name, module in sys.modules.items() if name.split('.')[0] != 'keeper'"
        " and (getattr(module, '__file__', None) or '').find('loki_twisted') >= 0])"
    )
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", script, os.path.dirname(os.path.dirname(PROGRAM))],
            stdout=subprocess.PIPE,
            text=True,
            cwd=elsewhere,
            check=True,
        )
    assert done.stdout == "[]\n"
