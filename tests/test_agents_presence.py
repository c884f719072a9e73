"""Whether a keeper is still there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile

from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from loki_twisted.agents.files import AgentFiles, ProcessIdentity
from loki_twisted.agents.presence import (
    POLL_SECONDS,
    LockPresence,
    PidfdPresence,
    watch_stranger,
)
from loki_twisted.kernel.procfs import stat_of
from tests.agents_support import plan


class LockTests(SynchronousTestCase):
    """By the lock alone."""

    def setUp(self) -> None:
        root = tempfile.TemporaryDirectory(prefix="presence-")
        self.addCleanup(root.cleanup)
        self.files = AgentFiles.of(root.name, "session_1")
        self.files.make(plan("/bin/true"), "cookie", "boot", 1)
        self.lock = self.files.lock()
        assert self.lock is not None
        self.clock = Clock()
        self.presence = LockPresence(self.clock, self.files)
        self.addCleanup(self.presence.close)

    def test_the_end_is_seen_when_the_lock_is_free(self) -> None:
        """The keeper is there for as long as it holds the lock."""
        gone = self.presence.gone()
        self.clock.pump([POLL_SECONDS] * 3)
        self.assertNoResult(gone)
        os.close(self.lock)
        self.clock.advance(POLL_SECONDS)
        self.successResultOf(gone)
        assert self.clock.getDelayedCalls() == []

    def test_the_lock_is_not_kept(self) -> None:
        """Trying the lock leaves it free."""
        os.close(self.lock)
        self.clock.advance(POLL_SECONDS)
        again = self.files.lock()
        assert again is not None
        os.close(again)

    def test_who_asks_later_is_told_at_once(self) -> None:
        """All who wait are told, and so are those who ask when it is over."""
        os.close(self.lock)
        one, other = self.presence.gone(), self.presence.gone()
        self.clock.advance(POLL_SECONDS)
        self.successResultOf(one)
        self.successResultOf(other)
        self.successResultOf(self.presence.gone())

    def test_a_keeper_without_a_directory_is_as_good_as_gone(self) -> None:
        """When somebody has removed the directory, there is nothing to wait for."""
        os.close(self.lock)
        self.files.remove()
        self.clock.advance(POLL_SECONDS)
        self.successResultOf(self.presence.gone())

    def test_no_signal_is_sent(self) -> None:
        """Without a descriptor nobody is signalled; that would be by number alone."""
        self.patch(os, "kill", None)
        self.presence.send(signal.SIGKILL)
        os.close(self.lock)

    def test_after_close_nothing_is_told(self) -> None:
        """Who has closed it hears of no end."""
        gone = self.presence.gone()
        self.presence.close()
        self.presence.close()
        os.close(self.lock)
        self.clock.advance(POLL_SECONDS)
        self.assertNoResult(gone)


class ProcessTests(TestCase):
    """By the process."""

    timeout = 60

    def setUp(self) -> None:
        root = tempfile.TemporaryDirectory(prefix="presence-")
        self.addCleanup(root.cleanup)
        self.files = AgentFiles.of(root.name, "session_1")
        self.child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        self.addCleanup(self.child.communicate)
        found = stat_of(self.child.pid)
        assert found is not None
        self.ticks = found.start_ticks

    async def test_the_end_is_seen(self) -> None:
        """The end of the process is seen, and a signal reaches it."""
        keeper = ProcessIdentity(pid=self.child.pid, start_ticks=self.ticks)
        presence = watch_stranger(reactor, self.files, keeper)
        assert isinstance(presence, PidfdPresence)
        presence.send(signal.SIGTERM)
        await presence.gone()
        assert self.child.wait() == -signal.SIGTERM
        await presence.gone()

    def test_another_process_of_that_number_is_not_watched(self) -> None:
        """A process that started at another time is a stranger: it is not signalled."""
        keeper = ProcessIdentity(pid=self.child.pid, start_ticks=self.ticks + 1)
        presence = watch_stranger(reactor, self.files, keeper)
        assert isinstance(presence, LockPresence)
        presence.send(signal.SIGKILL)
        presence.close()
        assert self.child.poll() is None

    def test_what_is_not_known_is_watched_by_its_lock(self) -> None:
        """Without a process to watch there is the lock."""
        self.child.kill()
        self.child.wait()
        dead = ProcessIdentity(pid=self.child.pid, start_ticks=self.ticks)
        for keeper in (None, dead):
            presence = watch_stranger(reactor, self.files, keeper)
            assert isinstance(presence, LockPresence)
            presence.close()

    def test_without_descriptors_there_is_the_lock(self) -> None:
        """On a system without pidfd the lock says it."""
        self.patch(os, "pidfd_open", None)
        del os.pidfd_open
        keeper = ProcessIdentity(pid=self.child.pid, start_ticks=self.ticks)
        presence = watch_stranger(reactor, self.files, keeper)
        assert isinstance(presence, LockPresence)
        presence.close()
