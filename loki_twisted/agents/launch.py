"""Bringing an agent's program to run, under a keeper that is our child."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.process import reapAllProcesses
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from loki_twisted.agents import keeper
from loki_twisted.agents.bell import Bell
from loki_twisted.agents.files import AgentFiles, Started
from loki_twisted.agents.interface import LaunchPlan
from loki_twisted.agents.keeper.layout import COOKIE, LOG
from loki_twisted.agents.presence import OneTimeEvent, PidfdPresence, Presence
from loki_twisted.agents.reactors import IAgentReactor

START_SECONDS: Final = 30.0
"""How long a keeper may take to have its program executed; files may come over a network."""

_PROGRAM = os.path.join(os.path.dirname(keeper.__file__), "__main__.py")


class KeeperChild(ProcessProtocol):
    """
    A keeper that is our child: learns how it ended, by being its parent.

    It is a :class:`Presence` too, for systems that have no better one. Its lock would not do:
    that is free before the keeper has taken it as well.
    """

    transport: IProcessTransport
    _log = Logger()

    def __init__(self) -> None:
        self._end: BaseException | None = None
        self._ended = OneTimeEvent()
        self._is_closed = False

    def processEnded(self, reason: Failure) -> None:  # noqa: N802  # Twisted's name
        """Take note, when it has been reaped."""
        self._end = reason.value
        if not self._is_closed:
            self._ended.happen()

    def gone(self) -> Deferred[None]:
        """See :class:`Presence`."""
        return self._ended.wait()

    def send(self, number: int) -> None:
        """See :class:`Presence`."""
        try:
            self.transport.signalProcess(number)
        except ProcessExitedAlready:
            self._log.debug("A signal {number} came too late.", number=number)

    def close(self) -> None:
        """See :class:`Presence`."""
        self._is_closed = True

    @property
    def words(self) -> str:
        """How it ended, as the end of a sentence."""
        if not isinstance(self._end, ProcessTerminated):
            return "ended too early"
        if self._end.signal is not None:
            return f"was ended by signal {self._end.signal}"
        return f"ended with exit code {self._end.exitCode}"


class Launch:
    """One attempt to start an agent."""

    _log = Logger()

    def __init__(
        self, reactor: IAgentReactor, bell: Bell, files: AgentFiles, plan: LaunchPlan, cookie: str
    ) -> None:
        """
        Spawn the keeper.

        Nothing of it is tied to us: it has no pipes, so it does not notice when we end.

        :param files: Have been made.
        :raises OSError: if that fails.
        :raises TypeError: for arguments that Twisted does not take.
        :raises ValueError: for arguments that the system does not take.
        """
        self._reactor = reactor
        self._files = files
        self._child = KeeperChild()
        null = os.open(os.devnull, os.O_RDWR)
        log = os.open(files.path(LOG), os.O_WRONLY | os.O_APPEND)
        try:
            # Without a path Twisted need not fork, which costs the more the larger we are.
            transport: Any = reactor.spawnProcess(
                self._child,
                sys.executable,
                [sys.executable, "-I", "-S", _PROGRAM, files.directory, "--", *plan.argv],
                env={**plan.env, COOKIE: cookie},
                childFDs={0: null, 1: null, 2: log},
            )
        finally:
            os.close(null)
            os.close(log)
        self.presence = self._watch(transport.pid)
        self._runs: Deferred[Started | None] = Deferred()
        self._stop_listening = bell.listen(files.directory, self._look)
        self._deadline = reactor.callLater(START_SECONDS, self._give_up)

    def program_runs(self) -> Deferred[Started | None]:
        """
        Wait until the program was executed. To be called once.

        :returns: Fires with None if the keeper has ended without that.
        """
        gone = self.presence.gone().addCallback(lambda _: self._settle(self._files.started()))
        gone.addErrback(self._not_known)
        self._look()  # at what happened before we listened
        return self._runs

    def reason_of_loss(self) -> str:
        """Say in a sentence what became of the keeper."""
        complaint = self._files.complaint()
        words = f"The keeper of the agent {self._child.words}"
        return f"{words}: {complaint}" if complaint else f"{words}."

    def _look(self) -> None:
        started = self._files.started()
        if started is not None:
            self._settle(started)

    def _settle(self, started: Started | None) -> None:
        self._stop_listening()
        if self._deadline.active():
            self._deadline.cancel()
        if not self._runs.called:
            self._runs.callback(started)

    def _not_known(self, failure: Failure) -> None:
        path = self._files.directory
        self._log.failure("{path}: it is not known whether it ran", failure, path=path)
        self._settle(None)

    def _give_up(self) -> None:
        self._log.error("{path}: the keeper hangs, and is killed", path=self._files.directory)
        self._child.send(signal.SIGKILL)

    def _watch(self, pid: int) -> Presence:
        try:
            presence = PidfdPresence(self._reactor, pid)
        except OSError:
            return self._child
        # A reactor that is not told of SIGCHLD would leave it a zombie.
        presence.gone().addCallback(lambda _: reapAllProcesses())
        return presence
