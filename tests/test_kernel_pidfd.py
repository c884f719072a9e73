"""Descriptors that stand for processes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from loki_twisted.kernel.pidfd import Pidfd

WAITER = [sys.executable, "-c", "input()"]


class PidfdTests(TestCase):
    """With real processes."""

    timeout = 60

    def setUp(self) -> None:
        self.child = subprocess.Popen(WAITER, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.addCleanup(self.child.communicate)
        self.ended: Deferred[None] = Deferred()
        self.times = 0
        self.pidfd = Pidfd(reactor, self.child.pid, self.note_end)
        self.addCleanup(self.pidfd.close)

    def note_end(self) -> None:
        self.times += 1
        self.ended.callback(None)

    def test_it_is_a_reader(self) -> None:
        """It can be given to a reactor."""
        verifyObject(IReadDescriptor, self.pidfd)

    async def test_the_end_is_told_once(self) -> None:
        """When the process ends, that is told, once, and the descriptor is closed."""
        self.child.kill()
        await self.ended
        await deferLater(reactor, 0.02)
        assert (self.times, self.pidfd.fileno()) == (1, -1)
        assert self.pidfd not in reactor.getReaders()

    async def test_a_child_is_left_to_be_reaped(self) -> None:
        """It is for the parent to take the exit code."""
        self.pidfd.send(signal.SIGTERM)
        await self.ended
        assert self.child.wait() == -signal.SIGTERM

    async def test_a_process_of_another_parent_can_be_watched(self) -> None:
        """The process need not be a child of ours."""
        script = (
            "import os, sys, time\n"
            "pid = os.fork()\n"
            "if pid:\n    print(pid)\n    os._exit(0)\n"
            "os.close(1)\ntime.sleep(100)"
        )
        shown = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
        ended: Deferred[None] = Deferred()
        stranger = Pidfd(reactor, int(shown.stdout), lambda: ended.callback(None))
        stranger.send(signal.SIGKILL)
        await ended

    async def test_after_close_nothing_is_told(self) -> None:
        """Who has closed it hears of no end, and sends no signal."""
        self.pidfd.close()
        self.pidfd.close()
        self.pidfd.send(signal.SIGKILL)
        assert self.child.poll() is None
        self.child.kill()
        self.child.wait()
        await deferLater(reactor, 0.02)
        assert self.times == 0

    async def test_a_signal_to_one_that_has_ended_hits_nobody(self) -> None:
        """A signal after the end is no error."""
        self.child.kill()
        self.child.wait()
        self.pidfd.send(signal.SIGKILL)
        await self.ended

    def test_a_process_that_is_not_there_is_an_error(self) -> None:
        """There is no descriptor for what is not there."""
        self.child.kill()
        self.child.wait()
        with pytest.raises(ProcessLookupError):
            Pidfd(reactor, self.child.pid, lambda: None)

    def test_a_system_without_them_says_so(self) -> None:
        """Where Python has no such call, that is an error like the kernel's own."""
        self.patch(os, "pidfd_open", None)
        del os.pidfd_open
        with pytest.raises(OSError, match=os.strerror(errno.ENOSYS)):
            Pidfd(reactor, self.child.pid, lambda: None)

    async def test_a_failure_of_who_is_told_is_logged(self) -> None:
        """What waits for the end cannot break the reactor."""

        def fail() -> None:
            self.ended.callback(None)
            raise RuntimeError

        other = Pidfd(reactor, self.child.pid, fail)
        self.pidfd.close()
        self.child.kill()
        await self.ended
        await deferLater(reactor, 0)
        assert len(self.flushLoggedErrors(RuntimeError)) == 1
        assert other.fileno() == -1
