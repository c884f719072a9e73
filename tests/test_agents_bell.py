"""Being told to look at directories."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from loki_twisted.agents import bell as bell_module
from loki_twisted.agents.bell import POLL_SECONDS, InotifyBell, PollingBell, make_bell
from loki_twisted.kernel.inotify import IN_Q_OVERFLOW, Inotify, Notice


class Ears:
    """Counts what it hears, and lets wait for the next."""

    def __init__(self) -> None:
        self.heard = 0
        self._next: Deferred[None] = Deferred()

    def __call__(self) -> None:
        self.heard += 1
        heard, self._next = self._next, Deferred()
        heard.callback(None)

    def next(self) -> Deferred[None]:
        return self._next


class PollingTests(SynchronousTestCase):
    """The bell that always rings."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.bell = PollingBell(self.clock)

    def test_it_rings_for_all_who_listen(self) -> None:
        """Each listener is called twenty times a second, whatever the directory."""
        one, other = Ears(), Ears()
        self.bell.listen("/one", one)
        self.bell.listen("/other", other)
        self.clock.pump([POLL_SECONDS] * 3)
        assert (one.heard, other.heard) == (3, 3)

    def test_it_is_quiet_when_nobody_listens(self) -> None:
        """Without listeners it asks nothing of the reactor."""
        ears = Ears()
        stop = self.bell.listen("/one", ears)
        stop()
        stop()
        assert self.clock.getDelayedCalls() == []
        self.clock.advance(1)
        assert ears.heard == 0

    def test_it_rings_again_for_who_comes_later(self) -> None:
        """After a silence it serves the next listener."""
        self.bell.listen("/one", Ears())()
        ears = Ears()
        self.bell.listen("/one", ears)
        self.clock.advance(POLL_SECONDS)
        assert ears.heard == 1

    def test_who_fails_disturbs_nobody(self) -> None:
        """A listener that raises is logged, and called again."""
        ears = Ears()

        def fail() -> None:
            raise RuntimeError

        self.bell.listen("/one", fail)
        self.bell.listen("/one", ears)
        self.clock.pump([POLL_SECONDS] * 2)
        assert ears.heard == 2
        assert len(self.flushLoggedErrors(RuntimeError)) == 2

    def test_a_listener_may_leave_while_it_rings(self) -> None:
        """Who stops listening while being told takes nobody's turn."""
        ears = Ears()
        stop = self.bell.listen("/one", lambda: stop())  # noqa: PLW0108  # bound only later
        self.bell.listen("/one", ears)
        self.clock.pump([POLL_SECONDS] * 2)
        assert ears.heard == 2

    def test_a_listener_may_give_way_to_another_while_it_rings(self) -> None:
        """When the only one leaves and another comes in the same turn, it rings on as before."""
        ears = Ears()

        def give_way() -> None:
            stop()
            self.bell.listen("/one", ears)

        stop = self.bell.listen("/one", give_way)
        self.clock.pump([POLL_SECONDS] * 4)
        assert ears.heard == 3
        assert len(self.clock.getDelayedCalls()) == 1

    def test_close_ends_it(self) -> None:
        """A closed bell is silent."""
        ears = Ears()
        self.bell.listen("/one", ears)
        self.bell.close()
        assert self.clock.getDelayedCalls() == []


class InotifyTests(TestCase):
    """The bell that the kernel rings."""

    timeout = 60

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="bell-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.clock = Clock()
        self.bell = InotifyBell(reactor, PollingBell(self.clock))
        self.addCleanup(self.bell.close)

    async def test_it_rings_when_a_file_is_made_written_or_renamed(self) -> None:
        """All that an agent and its keeper do to their files is heard."""
        ears = Ears()
        path = Path(self.directory, "file")
        self.bell.listen(self.directory, ears)
        for change in (path.touch, lambda: path.write_text("x"), lambda: path.rename(f"{path}2")):
            heard = ears.next()
            change()
            await heard

    async def test_it_rings_for_all_who_listen_to_a_directory(self) -> None:
        """Two can listen to the same directory, and one can leave."""
        one, other, path = Ears(), Ears(), Path(self.directory, "file")
        stop = self.bell.listen(self.directory, one)
        self.bell.listen(self.directory, other)
        both = [one.next(), other.next()]
        path.touch()
        for heard in both:
            await heard
        stop()
        stop()
        before, heard = one.heard, other.next()
        path.write_text("x")
        await heard
        assert one.heard == before

    async def test_it_rings_only_for_the_directory(self) -> None:
        """Listeners to other directories are left in peace."""
        elsewhere = tempfile.mkdtemp(prefix="bell-")
        self.addCleanup(shutil.rmtree, elsewhere)
        quiet, ears = Ears(), Ears()
        self.bell.listen(elsewhere, quiet)
        self.bell.listen(self.directory, ears)
        heard = ears.next()
        Path(self.directory, "file").touch()
        await heard
        assert quiet.heard == 0

    async def test_a_directory_that_goes_away_harms_nobody(self) -> None:
        """When one directory is removed, the others are listened to as before."""
        gone = tempfile.mkdtemp(prefix="bell-")
        stop = self.bell.listen(gone, Ears())
        ears = Ears()
        self.bell.listen(self.directory, ears)
        os.rmdir(gone)
        await deferLater(reactor, 0)
        heard = ears.next()
        Path(self.directory, "file").touch()
        await heard
        stop()

    def test_an_overflow_rings_for_all(self) -> None:
        """When the kernel has lost notices, everybody is told to look."""
        one, other = Ears(), Ears()
        self.bell.listen(self.directory, one)
        self.bell.listen("/", other)
        self.bell._received([Notice(-1, IN_Q_OVERFLOW, 0, b"")])
        assert (one.heard, other.heard) == (1, 1)

    def test_what_cannot_be_watched_is_polled(self) -> None:
        """Where the kernel refuses a watch, the other bell rings."""
        ears = Ears()
        stop = self.bell.listen(f"{self.directory}/not/there", ears)
        self.clock.advance(POLL_SECONDS)
        assert ears.heard == 1
        stop()
        self.clock.advance(POLL_SECONDS)
        assert ears.heard == 1

    def test_who_fails_disturbs_nobody(self) -> None:
        """A listener that raises is logged, and the next is told."""

        def fail() -> None:
            raise RuntimeError

        ears = Ears()
        self.bell.listen(self.directory, fail)
        self.bell.listen(self.directory, ears)
        self.bell._received([Notice(-1, IN_Q_OVERFLOW, 0, b"")])
        assert ears.heard == 1
        assert len(self.flushLoggedErrors(RuntimeError)) == 1


class MakeTests(TestCase):
    """Choosing a bell."""

    def test_linux_has_the_better_one(self) -> None:
        """Where there is inotify it is used, and given back."""
        bell = make_bell(reactor)
        assert isinstance(bell, InotifyBell)
        assert any(isinstance(reader, Inotify) for reader in reactor.getReaders())
        bell.close()
        assert not any(isinstance(reader, Inotify) for reader in reactor.getReaders())

    def test_without_inotify_there_is_polling(self) -> None:
        """Where there is none, or no more, the agents are polled."""

        def refuse(*_: object) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.patch(bell_module, "Inotify", refuse)
        assert isinstance(make_bell(reactor), PollingBell)
