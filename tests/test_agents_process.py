"""An agent as the server has it, with a bell and a keeper that do as the test wants."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from loki_twisted.agents import process as process_module
from loki_twisted.agents.files import AgentFiles
from loki_twisted.agents.interface import AgentEnd, IAgent
from loki_twisted.agents.lines import CUT_MARK
from loki_twisted.agents.orphans import GRACE_SECONDS
from loki_twisted.agents.pieces import TURN_WORK
from loki_twisted.agents.process import AgentFacts, KeptAgent
from loki_twisted.kernel.procfs import boot_id
from loki_twisted.kernel.shares import Shares
from loki_twisted.model.errors import Conflict, StorageFailed, StorageFull, Unavailable
from tests.agents_support import Recorder, plan


class HandBell:
    """
    A bell that a test rings.

    :ivar before: Called when somebody begins to listen.
    """

    def __init__(self) -> None:
        self.listeners: list[Callable[[], None]] = []
        self.before: Callable[[], object] = lambda: None

    def listen(self, directory: str, heard: Callable[[], None]) -> Callable[[], None]:
        self.before()
        self.listeners.append(heard)
        return lambda: self.listeners.remove(heard)

    def ring(self) -> None:
        for heard in tuple(self.listeners):
            heard()

    def close(self) -> None:
        self.listeners.clear()


class KeeperAtHand:
    """A keeper that goes when a test wants, and the signals that it was sent."""

    def __init__(self) -> None:
        self.signals: list[int] = []
        self.is_closed = False
        self._gone: list[Deferred[None]] = []

    def gone(self) -> Deferred[None]:
        self._gone.append(Deferred())
        return self._gone[-1]

    def go(self) -> None:
        for gone in self._gone:
            gone.callback(None)

    def send(self, number: int) -> None:
        self.signals.append(number)

    def close(self) -> None:
        self.is_closed = True


class AgentTests(SynchronousTestCase):
    """Without a process."""

    def setUp(self) -> None:
        root = tempfile.TemporaryDirectory(prefix="agent-")
        self.addCleanup(root.cleanup)
        self.files = AgentFiles.of(root.name, "session_1")
        wanted = plan("/bin/true", accepts_input=True)
        self.files.make(wanted, "cookie-without-bearer", boot_id(), 1)
        lock = self.files.lock()
        assert lock is not None
        self.lock = os.fdopen(lock)
        self.addCleanup(self.lock.close)
        self.control = self.files.open_control()
        self.addCleanup(os.close, self.control)
        self.clock, self.bell, self.keeper = Clock(), HandBell(), KeeperAtHand()
        self.recorder = Recorder()
        self.agent = self.make_agent(self.keeper)
        assert self.orders() == ["input"]

    def make_agent(self, keeper: KeeperAtHand | None, **changes: object) -> KeptAgent:
        facts = AgentFacts(
            **{
                "session_id": "session_1",
                "files": self.files,
                "pid": 42,
                "accepts_input": True,
                "grace_seconds": 2.5,
                **changes,
            }
        )
        agent = KeptAgent(
            Shares(self.clock, TURN_WORK), self.bell, facts, keeper, lambda: "It was lost."
        )
        self.addCleanup(agent.detach)
        return agent

    def orders(self) -> list[str]:
        try:
            return os.read(self.control, 1_000_000).decode().splitlines()
        except BlockingIOError:
            return []

    def write(self, data: bytes, stream: str = "stdout") -> None:
        with open(self.files.path(stream), "ab") as file:
            file.write(data)

    def end(self, end: AgentEnd | None = None) -> None:
        """Let the keeper write the end, if it knows it, and go."""
        if end is not None:
            self.files.write_end(end)
        self.lock.close()
        self.keeper.go()

    def turn(self) -> None:
        self.clock.pump([0] * 4)

    def test_it_is_an_agent(self) -> None:
        """It has what the session service calls."""
        assert verifyObject(IAgent, self.agent)
        assert self.agent.pid == 42

    def test_what_is_written_as_the_watch_begins_is_read(self) -> None:
        """A line that is written just before the kernel watches, and the only one, is read."""
        self.bell.before = lambda: self.write(b"line\n")
        self.agent.follow({}, self.recorder)
        assert self.recorder.stdout == ["line"]

    def test_both_streams_are_read_from_their_cursors(self) -> None:
        """Each stream has a cursor of its own, named after the session."""
        self.write(b"one\ntwo\n")
        self.write(b"three\nfour\n", "stderr")
        self.agent.follow({"session_1/stdout": "4", "session_1/request": "x"}, self.recorder)
        self.turn()
        self.write(b"five\n", "stderr")
        self.bell.ring()
        assert self.recorder.lines == {"stdout": ["two"], "stderr": ["three", "four", "five"]}
        assert self.recorder.cursors == {"session_1/stdout": "8", "session_1/stderr": "16"}

    def test_lines_are_as_long_as_who_follows_wants_them(self) -> None:
        """A line beyond the limit is cut, whatever that is; and it cannot be any number."""
        for limit, most in ((5, 100), (100, 5)):
            self.patch(process_module, "MOST_LINE_LIMIT", most)
            recorder = Recorder()
            self.make_agent(KeeperAtHand()).follow({}, recorder, limit)
            self.write(b"12345\n123456\n")
            self.bell.ring()
            assert recorder.stdout[:2] == ["12345", "12345" + CUT_MARK]

    def test_a_slow_stream_does_not_hold_up_the_other(self) -> None:
        """The answer to lines of one stream is waited for in that stream alone."""
        held: list[Deferred[None]] = []
        self.recorder.answer = lambda: held.append(Deferred()) or held[-1]
        self.write(b"one\n")
        self.agent.follow({}, self.recorder)
        self.write(b"two\n", "stderr")
        self.bell.ring()
        assert self.recorder.pieces == 2

    def test_the_end_is_told_after_the_last_line(self) -> None:
        """All lines are taken first, the last also without a newline; then comes the end, once."""
        held: list[Deferred[None]] = []
        self.recorder.answer = lambda: held.append(Deferred()) or held[-1]
        self.agent.follow({}, self.recorder)
        self.write(b"last words")
        self.end(AgentEnd(3, None))
        self.turn()
        assert self.recorder.ends == []
        held[0].callback(None)
        self.turn()
        assert self.recorder.stdout == ["last words"]
        assert self.recorder.ends == [AgentEnd(3, None)]
        assert (self.bell.listeners, self.keeper.is_closed) == ([], True)

    def test_who_follows_late_is_told_everything(self) -> None:
        """An agent that has ended is read from the cursor to the end, and its end is told."""
        self.write(b"one\ntwo\n")
        self.end(AgentEnd(None, 9))
        self.agent.follow({"session_1/stdout": "4"}, self.recorder)
        self.turn()
        assert self.recorder.stdout == ["two"]
        assert self.recorder.ends == [AgentEnd(None, 9)]
        assert self.bell.listeners == []

    def test_an_agent_that_had_ended_before(self) -> None:
        """An agent whose end is known needs no keeper."""
        self.write(b"one\n")
        agent = self.make_agent(None, end=AgentEnd(0, None))
        agent.follow({}, self.recorder)
        self.turn()
        assert (self.recorder.stdout, self.recorder.ends) == (["one"], [AgentEnd(0, None)])
        agent.stop()
        assert self.orders() == []

    def test_a_lost_keeper(self) -> None:
        """If the keeper goes without a word, the end is that problem, after all lines."""
        self.agent.follow({}, self.recorder)
        self.write(b"one\n")
        self.end()
        self.clock.pump([GRACE_SECONDS] * 5)
        self.turn()
        assert self.recorder.stdout == ["one"]
        assert self.recorder.ends == [AgentEnd(None, None, "It was lost.")]
        assert self.files.end() == AgentEnd(None, None, "It was lost.")

    def test_what_keeps_a_lost_agent_from_being_settled_is_told(self) -> None:
        """Also where the rest cannot be put in order there is an end."""
        self.agent.follow({}, self.recorder)
        self.patch(self.files.__class__, "lock", lambda _: 1 / 0)
        self.end()
        self.turn()
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1
        assert self.recorder.ends == [AgentEnd(None, None, "The keeper of the agent was lost.")]

    def test_orders_are_lines(self) -> None:
        """Each order is one line to the keeper; the stop names the grace, and wakes the keeper."""
        self.agent.pause()
        self.agent.resume()
        self.agent.stop()
        assert self.orders() == ["pause", "resume", "stop 2.5"]
        assert self.keeper.signals == [signal.SIGCONT]

    def test_a_stop_that_nobody_reads_becomes_a_signal(self) -> None:
        """When the way for orders is full, a stop is sent as SIGTERM; others are given up."""
        for _ in range(20_000):
            self.agent.pause()
        self.agent.stop()
        assert self.keeper.signals == [signal.SIGCONT, signal.SIGTERM]

    def test_input_is_stored_before_the_keeper_is_told(self) -> None:
        """What was sent is on disk in order, and the keeper is told for each."""
        assert self.agent.send(b"one\n") == 4
        assert self.agent.send(b"two\n", 4) == 8
        assert self.agent.send(b"two\n", 4) == 8
        assert Path(self.files.path("input")).read_bytes() == b"one\ntwo\n"
        assert self.orders() == ["input", "input", "input"]

    def test_the_end_of_the_input_is_stored_before_the_keeper_is_told(self) -> None:
        """Whoever comes after a crash finds the end on disk; nothing is taken behind it."""
        self.agent.send(b"one\n")
        self.agent.end_input()
        self.agent.end_input()
        assert Path(self.files.path("input.end")).exists()
        assert self.orders() == ["input", "input", "input"]
        with pytest.raises(Conflict, match="has ended"):
            self.agent.send(b"two\n")
        assert self.agent.send(b"one\n", 0) == 4

    def test_input_that_is_gone_is_no_place_to_write_behind(self) -> None:
        """Who sends is told if the input is shorter than was stored before."""
        with pytest.raises(StorageFailed, match="0 are left"):
            self.agent.send(b"two\n", 4)
        assert self.orders() == []

    def test_an_agent_without_input_takes_none(self) -> None:
        """Sending to an agent that reads nothing conflicts with its state."""
        agent = self.make_agent(KeeperAtHand(), accepts_input=False)
        with pytest.raises(Conflict):
            agent.send(b"one\n")
        agent.end_input()
        assert not Path(self.files.path("input.end")).exists()

    def test_an_agent_that_has_ended_takes_no_input(self) -> None:
        """After the end input is refused, and orders do nothing."""
        self.end(AgentEnd(0, None))
        with pytest.raises(Unavailable, match="takes no input"):
            self.agent.send(b"one\n")
        self.agent.end_input()
        self.agent.pause()
        self.agent.resume()
        self.agent.stop()
        assert self.orders() == []

    def test_input_that_cannot_be_stored_is_refused(self) -> None:
        """Who sends is told that the disk is full, or broken."""
        for number, wanted in (
            (errno.ENOSPC, StorageFull),
            (errno.EDQUOT, StorageFull),
            (errno.EIO, StorageFailed),
        ):

            def refuse(_: int, number: int = number) -> None:
                raise OSError(number, os.strerror(number))

            self.patch(os, "fdatasync", refuse)
            with pytest.raises(wanted, match=os.strerror(number)):
                self.agent.send(b"one\n")
        assert self.orders() == []

    def test_after_detach_nothing_is_told(self) -> None:
        """Who has detached hears neither lines nor the end."""
        self.agent.follow({}, self.recorder)
        self.successResultOf(self.agent.detach())
        self.write(b"one\n")
        self.bell.ring()
        self.end(AgentEnd(0, None))
        self.turn()
        assert (self.recorder.stdout, self.recorder.ends) == ([], [])
        assert (self.bell.listeners, self.keeper.is_closed) == ([], True)
        assert self.clock.getDelayedCalls() == []

    def test_detach_waits_for_the_listener(self) -> None:
        """What the listener was given last is finished first."""
        held: list[Deferred[None]] = []
        self.recorder.answer = lambda: held.append(Deferred()) or held[-1]
        self.write(b"one\n")
        self.agent.follow({}, self.recorder)
        done = self.agent.detach()
        self.assertNoResult(done)
        held[0].callback(None)
        self.successResultOf(done)
        assert self.recorder.stdout == ["one"]

    def test_detach_between_the_end_and_its_telling(self) -> None:
        """An end that was not told yet is left to the next server."""
        held: list[Deferred[None]] = []
        self.recorder.answer = lambda: held.append(Deferred()) or held[-1]
        self.write(b"one\n")
        self.agent.follow({}, self.recorder)
        self.end(AgentEnd(0, None))
        self.agent.detach()
        held[0].callback(None)
        self.turn()
        assert self.recorder.ends == []

    def test_detach_while_a_lost_agent_is_settled(self) -> None:
        """The settling is given up, and the next server does it again."""
        self.agent.follow({}, self.recorder)
        self.keeper.go()  # the lock is still held: it must wait
        self.successResultOf(self.agent.detach())
        self.lock.close()
        assert self.clock.getDelayedCalls() == []
        assert self.files.end() is None

    def test_detach_may_be_repeated(self) -> None:
        """A second detach does nothing."""
        self.successResultOf(self.agent.detach())
        self.successResultOf(self.agent.detach())

    def test_a_listener_that_fails_at_the_end_is_logged(self) -> None:
        """An exception from who is told the end breaks nothing."""
        self.patch(self.recorder, "ended", lambda _: 1 / 0)
        self.agent.follow({}, self.recorder)
        self.end(AgentEnd(0, None))
        self.turn()
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    def test_a_cursor_that_is_none_is_an_error(self) -> None:
        """A damaged cursor is not taken for the beginning, which would tell everything twice."""
        with pytest.raises(ValueError, match="not a place"):
            self.agent.follow({"session_1/stdout": "4x"}, self.recorder)
