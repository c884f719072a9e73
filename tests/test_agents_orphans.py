"""What is left of an agent whose keeper is gone without a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from loki_twisted.agents import orphans
from loki_twisted.agents.files import AgentFiles
from loki_twisted.agents.interface import AgentEnd
from loki_twisted.agents.keeper.layout import ENDED
from loki_twisted.agents.orphans import GRACE_SECONDS, ROUND_SECONDS, settle_lost, sweep, tell_all
from loki_twisted.kernel.procfs import boot_id
from tests.agents_support import plan

IGNORES_TERM = (
    "import signal, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print(flush=True)\ntime.sleep(100)"
)
PLAIN = "import time\nprint(flush=True)\ntime.sleep(100)"
STOPPED = "import os, signal\nprint(flush=True)\nos.kill(os.getpid(), signal.SIGSTOP)"


class OrphanCase(SynchronousTestCase):
    """With real processes, and a clock that stands still."""

    def setUp(self) -> None:
        root = tempfile.TemporaryDirectory(prefix="orphans-")
        self.addCleanup(root.cleanup)
        self.files = AgentFiles.of(root.name, "session_1")
        self.clock = Clock()
        # Of this test alone: another run on the machine may be at the same one.
        self.cookie = f"cookie-{uuid.uuid4().hex}"

    def orphan(self, script: str, cookie: str) -> subprocess.Popen[bytes]:
        """Start a process that carries a cookie."""
        child = subprocess.Popen(
            [sys.executable, "-c", script],
            env={"LOKI_KEEPER": cookie},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        self.addCleanup(child.communicate)
        self.addCleanup(child.kill)
        child.stdout.readline()
        return child

    def make_files(self, cookie: str = "", boot: str | None = None) -> None:
        self.files.make(plan("/bin/true"), cookie or self.cookie, boot or boot_id(), 1)

    def rest(self) -> None:
        """Let the rounds pass in which nobody is found any more."""
        self.clock.pump([ROUND_SECONDS] * orphans.CALM_ROUNDS)

    def settle(self, problem: str = "It is lost.") -> Deferred[AgentEnd]:
        return ensureDeferred(settle_lost(self.clock, self.files, problem))


class SweepTests(OrphanCase):
    """Finding processes by their cookie, and ending them."""

    def test_they_are_asked_to_end_first(self) -> None:
        """Who ends by SIGTERM gets no SIGKILL, and one that is stopped is let go on for it."""
        plain, stopped = self.orphan(PLAIN, self.cookie), self.orphan(STOPPED, self.cookie)
        done = ensureDeferred(sweep(self.clock, self.cookie))
        assert plain.wait() == stopped.wait() == -signal.SIGTERM
        self.clock.advance(GRACE_SECONDS)
        self.rest()
        assert self.successResultOf(done) == 0

    def test_who_does_not_end_is_killed(self) -> None:
        """Who ignores SIGTERM is killed soon after."""
        child = self.orphan(IGNORES_TERM, self.cookie)
        done = ensureDeferred(sweep(self.clock, self.cookie))
        self.clock.advance(GRACE_SECONDS - 0.01)
        assert child.poll() is None
        self.clock.advance(0.01)
        assert child.wait() == -signal.SIGKILL
        self.rest()
        assert self.successResultOf(done) == 0

    def test_others_are_not_touched(self) -> None:
        """A process with another cookie, even a similar one, or the variable in no way, goes on."""
        similar = (f"{self.cookie}3", self.cookie[:-1], f"x-{self.cookie}")
        others = [self.orphan(PLAIN, cookie) for cookie in similar]
        done = ensureDeferred(sweep(self.clock, self.cookie))
        self.rest()
        assert self.successResultOf(done) == 0
        assert [other.poll() for other in others] == [None] * 3

    def test_what_nothing_ends_is_counted(self) -> None:
        """If processes stay whatever is done, that comes to an end and is said."""
        self.patch(orphans, "tell_all", lambda *_: 2)
        done = ensureDeferred(sweep(self.clock, self.cookie))
        self.clock.pump([ROUND_SECONDS] * (orphans.MOST_ROUNDS + 5))
        assert self.successResultOf(done) == 2

    def test_a_number_that_passed_to_another_is_not_signalled(self) -> None:
        """A process is looked at again when its number cannot change hands any more."""
        child = self.orphan(PLAIN, self.cookie)
        answers = {child.pid: [True, False]}  # then another has the number
        self.patch(
            orphans, "has_variable", lambda pid, *_: bool(answers.get(pid)) and answers[pid].pop(0)
        )
        assert tell_all(self.cookie, signal.SIGKILL) == 0
        assert child.poll() is None
        assert answers == {child.pid: []}

    def test_it_needs_no_descriptors(self) -> None:
        """On a system without pidfd it is done by number."""
        child = self.orphan(PLAIN, self.cookie)
        self.patch(os, "pidfd_open", None)
        del os.pidfd_open
        assert tell_all(self.cookie, signal.SIGKILL) == 1
        assert child.wait() == -signal.SIGKILL

    def test_one_that_is_missed_once_is_found(self) -> None:
        """One round in which nobody is found is not the end."""
        answers = [1, 0, 0, 1, 0, 0, 0, 9]
        self.patch(orphans, "tell_all", lambda *_: answers.pop(0))
        done = ensureDeferred(sweep(self.clock, self.cookie))
        self.clock.pump([GRACE_SECONDS] * 10)
        assert self.successResultOf(done) == 0
        assert answers == [9]


class SettleTests(OrphanCase):
    """From the lost keeper to the end of the agent."""

    def test_the_problem_is_told_and_written(self) -> None:
        """The end is on disk for the next server, after the orphans were ended."""
        child = self.orphan(PLAIN, self.cookie)
        self.make_files(self.cookie)
        done = self.settle("The keeper was ended by signal 9.")
        child.wait()
        assert not os.path.exists(self.files.path(ENDED))
        self.clock.advance(GRACE_SECONDS)
        self.rest()
        end = AgentEnd(None, None, "The keeper was ended by signal 9.")
        assert self.successResultOf(done) == end
        assert self.files.end() == end
        lock = self.files.lock()
        assert lock is not None
        os.close(lock)

    def test_after_another_start_of_the_machine_nobody_is_signalled(self) -> None:
        """What ran in another boot is gone: whoever has that cookie now is not ours."""
        child = self.orphan(PLAIN, self.cookie)
        self.make_files(self.cookie, boot="another-boot")
        end = self.successResultOf(self.settle())
        assert end == AgentEnd(None, None, "The machine was started anew while the agent ran.")
        assert child.poll() is None

    def test_a_word_that_came_after_all_counts(self) -> None:
        """If the keeper has written the end before it went, that is the end."""
        self.make_files()
        self.files.write_end(AgentEnd(7, None))
        assert self.successResultOf(self.settle()) == AgentEnd(7, None)

    def test_it_waits_for_the_lock(self) -> None:
        """While somebody has the lock nothing is decided."""
        self.make_files()
        lock = self.files.lock()
        assert lock is not None
        done = self.settle()
        self.clock.pump([ROUND_SECONDS] * 5)
        self.assertNoResult(done)
        os.close(lock)
        self.clock.advance(ROUND_SECONDS)
        self.rest()
        assert self.successResultOf(done).problem == "It is lost."

    def test_a_keeper_that_comes_late_finds_the_end(self) -> None:
        """The lock is ours from the decision to the word, so no keeper can start in between."""
        self.make_files(self.cookie)
        child = self.orphan(IGNORES_TERM, self.cookie)
        done = self.settle()
        assert self.files.lock() is None
        self.clock.advance(GRACE_SECONDS)
        child.wait()
        self.rest()
        self.successResultOf(done)
        assert self.files.end() is not None

    def test_files_that_were_removed(self) -> None:
        """Without a directory there is an end all the same."""
        problem = self.successResultOf(self.settle()).problem
        assert problem == "The files of the agent were removed."

    def test_half_a_directory(self) -> None:
        """A server that was killed while it made the files leaves an end, too."""
        Path(self.files.directory).mkdir(parents=True)
        done = self.settle()
        self.rest()
        assert self.successResultOf(done).problem == "It is lost."

    def test_giving_up_frees_the_lock(self) -> None:
        """A server that ends in the middle leaves it all to the next."""
        self.make_files(self.cookie)
        self.orphan(IGNORES_TERM, self.cookie)
        done = self.settle()
        done.cancel()
        self.failureResultOf(done)
        assert self.files.end() is None
        lock = self.files.lock()
        assert lock is not None
        os.close(lock)
        assert self.clock.getDelayedCalls() == []

    def test_an_end_that_cannot_be_written_is_told_all_the_same(self) -> None:
        """A full disk keeps nobody from hearing of the end."""
        self.make_files()

        def refuse(*_: object) -> None:
            raise OSError

        self.patch(os, "posix_fallocate", refuse)
        done = self.settle()
        self.rest()
        assert self.successResultOf(done).problem == "It is lost."
