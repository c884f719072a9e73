"""What an agent may use of the machine."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from pathlib import Path

import attrs
import pytest

from loki_twisted.agents.files import AgentFiles
from loki_twisted.agents.interface import LaunchPlan, Limits
from loki_twisted.agents.keeper.layout import STARTED
from loki_twisted.agents.keeper.spawning import set_limits
from loki_twisted.kernel.procfs import stat_of
from tests.agents_support import AgentCase, eventually, plan, python, shell
from tests.test_agents_keeper import COMMAND

ALL = Limits(memory_bytes=3_000_000_000, processes=54_321, file_bytes=5_000_000)
SHOW = "grep -E '^Max (address space|processes|file size)' /proc/self/limits"


def limited(wanted: LaunchPlan, **limits: int) -> LaunchPlan:
    """The same plan with limits."""
    return attrs.evolve(wanted, limits=Limits(**limits))


def numbers_in(lines: list[str]) -> dict[str, list[str]]:
    """Each limit's name with the soft and the hard number, from lines of ``/proc/PID/limits``."""
    return {line[:26].strip(): line[26:].split()[:2] for line in lines}


class LimitsTests(AgentCase):
    """Agents with limits."""

    @pytest.mark.threat("T29")
    async def test_they_hold_for_the_agent_and_not_for_its_keeper(self) -> None:
        """All three are set for good before the program begins; the keeper has those of ours."""
        script = f"{SHOW}; exec sleep 1000"
        agent, recorder = await self.start(attrs.evolve(shell(script), limits=ALL))
        await eventually(lambda: len(recorder.stdout) == 3, "it has shown them")
        assert numbers_in(recorder.stdout) == {
            "Max file size": ["5000000", "5000000"],
            "Max processes": ["54321", "54321"],
            "Max address space": ["3000000000", "3000000000"],
        }
        keeper = self.note(STARTED)["keeper"]["pid"]
        limits = Path(f"/proc/{keeper}/limits").read_text()
        assert limits == Path(f"/proc/{os.getpid()}/limits").read_text()
        agent.stop()
        await recorder.ended_with

    @pytest.mark.threat("T29")
    async def test_no_core_file_is_left(self) -> None:
        """Without any limit too: it would hold what the agent knows. Who wants one can have it."""
        before = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
        try:
            script = "ulimit -Sc; ulimit -Sc $(ulimit -Hc) && echo raised"
            _, recorder = await self.start(shell(script))
            await recorder.ended_with
        finally:
            resource.setrlimit(resource.RLIMIT_CORE, before)
        assert recorder.stdout == ["0", "raised"]

    async def test_the_process_is_where_it_is_without_them(self) -> None:
        """It is the keeper's child, in a group that it does not lead, under the number we know."""
        wanted = shell("echo $$; exec sleep 1000")
        agent, recorder = await self.start(attrs.evolve(wanted, limits=ALL))
        await eventually(lambda: recorder.stdout, "it runs")
        found, keeper = stat_of(agent.pid), self.note(STARTED)["keeper"]["pid"]
        assert recorder.stdout == [str(agent.pid)]
        assert (found.parent, found.session) == (keeper, keeper)
        assert found.group not in (found.pid, keeper)
        agent.stop()
        await recorder.ended_with

    async def test_who_wants_more_memory_gets_none(self) -> None:
        """A program that asks for more than it may have is refused by the system."""
        script = "bytearray(100_000_000); print('some'); bytearray(1_000_000_000); print('much')"
        _, recorder = await self.start(limited(python(script), memory_bytes=600_000_000))
        assert (await recorder.ended_with).code == 1
        assert recorder.stdout == ["some"]
        assert recorder.stderr[-1] == "MemoryError"

    async def test_a_file_that_becomes_too_large_ends_its_writer(self) -> None:
        """What an agent prints counts as well: it cannot fill the disk that way."""
        for place in ("", f' > "{self.root}/large"'):
            wanted = limited(shell(f"exec head -c 3000000 /dev/zero{place}"), file_bytes=1_000_000)
            _, recorder = await self.start(wanted)
            assert (await recorder.ended_with).signal == signal.SIGXFSZ
            self.runner.forget("session_1")
        large = Path(self.root, "large")
        assert large.stat().st_size == 1_000_000
        large.unlink()

    async def test_a_limit_with_which_nothing_runs_is_no_success(self) -> None:
        """A program that cannot even be loaded has ended, and not with 0."""
        await self.runner.start("session_1", limited(shell("exit 0"), memory_bytes=1))
        note = Path(self.root, "session_1", "exit.json")
        await eventually(note.exists, "it has ended")
        assert json.loads(note.read_text())["code"] != 0


@pytest.mark.parametrize("most", [1_000_000, 3_000_000])
def test_a_limit_is_not_above_that_of_the_server(most: int, tmp_path: Path) -> None:
    """Where the server itself may have less, so may its agents."""
    files = AgentFiles.of(str(tmp_path), "session_1")
    files.make(limited(plan("unused"), file_bytes=2_000_000), "cookie-by-hand", "boot", 1)
    subprocess.run(
        [*COMMAND, files.directory, "--", "/bin/sh", "-c", SHOW],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
        timeout=60,
        check=True,
    )
    shown = numbers_in(Path(files.path("stdout")).read_text().splitlines())
    assert shown["Max file size"] == [str(min(most, 2_000_000))] * 2


def test_without_limits_nothing_is_changed() -> None:
    """No limit is set that was not asked for."""
    before = [
        resource.getrlimit(each)
        for each in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE)
    ]
    set_limits({})
    assert [
        resource.getrlimit(each)
        for each in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE)
    ] == before
