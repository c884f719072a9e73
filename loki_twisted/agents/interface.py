"""
Agents as the session service knows them.

A *provider* knows one kind of command-line agent: how it is started and what
its lines mean. A *runner* starts agents under keepers and finds them again
after a restart of the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from loki_twisted.model.events import Fact
from loki_twisted.model.sessions import Steering

LOKI_MODE: Final = "loki"
"""The provider that is Loki Mode with the provider of its own settings."""


@attrs.frozen(slots=True, kw_only=True)
class LaunchRequest:
    """
    What a session wants of its provider.

    :ivar project_dir: Absolute path; the agent's working directory.
    :ivar loki_dir: Absolute path of the directory that may hold ``autonomy/run.sh``
        and does hold ``.loki/`` of the server.
    :ivar provider: Name of the provider.
    :ivar prd_path: Absolute path of an existing file, or None.
    :ivar timeout_ms: Limit of the whole run; kept by the session service, not by the provider.
    """

    session_id: str
    project_dir: str
    loki_dir: str
    provider: str
    prd_path: str | None = None
    prompt: str | None = None
    model: str | None = None
    dry_run: bool = False
    verbose: bool = False


@attrs.frozen(slots=True, kw_only=True)
class LaunchPlan:
    """
    How to start an agent.

    :ivar argv: The program's absolute path and its arguments. No shell sees them.
    :ivar env: The whole environment of the agent.
    :ivar cwd: Absolute path.
    :ivar accepts_input: Whether its standard input is a pipe that we write to;
        otherwise it is empty.
    :ivar steered_by: How it takes orders.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    accepts_input: bool = False
    steered_by: Steering = Steering.SIGNALS


class IDriver(Interface):
    """
    What the lines of one agent mean. Made anew for each session; without I/O.

    After a restart of the server a new driver goes on in the middle of the output.
    """

    def line(stream: str, text: str) -> Sequence[Fact]:
        """
        Translate a line.

        :param stream: ``stdout`` or ``stderr``.
        :param text: The line without its end, decoded from UTF-8 (broken bytes as U+FFFD).
        :returns: Never ``session:*`` and never ``heartbeat``. At least one fact, unless the line
            is a part of something that is left out, and that another one stands for.
        """


class IProviders(Interface):
    """All the kinds of agents that this server can start."""

    def available() -> Mapping[str, bool]:
        """
        Which providers can be started now, by name.

        Looks at the file system at most once in a few seconds and starts no process.
        """

    def plan(request: LaunchRequest) -> LaunchPlan:
        """
        Say how to start an agent.

        :raises InvalidRequest: if there is no such provider, or it needs what the request lacks.
        :raises ProviderNotAvailable: if its program is not installed.
        """

    def driver(provider: str) -> IDriver:
        """
        Make a driver for a session.

        :param provider: :data:`LOKI_MODE` for all that Loki Mode runs. That of the plain
            line protocol is made for an unknown one.
        """


@attrs.frozen(slots=True)
class AgentEnd:
    """
    How an agent ended.

    :ivar code: Its exit code, or None.
    :ivar signal: The number of the signal that ended it, or None.
    :ivar problem: Why we know neither, or why it never ran; else None.
    """

    code: int | None
    signal: int | None
    problem: str | None = None

    @property
    def exit_code(self) -> int | None:
        """One number as a shell gives it: 128 + n for signal n."""
        return self.code if self.signal is None else 128 + self.signal


class IAgentListener(Interface):
    """Who is told what an agent does."""

    def lines_received(
        stream: str, lines: Sequence[str], cursors: Mapping[str, str]
    ) -> Deferred[Any]:
        """
        Take lines that the agent wrote, in order.

        :param cursors: What to store, in one transaction with what the lines became, for
            :meth:`IAgent.follow`. Names begin with ``<session id>/``.
        :returns: Nothing more of this stream is read until it fires. If it
            fails, the same lines are read and given again, after a pause.
        """

    def ended(end: AgentEnd) -> None:
        """The agent has ended and all its lines were taken. Called once."""


class IAgent(Interface):
    """One agent that runs, or has ended while nobody looked."""

    pid: int | None = Attribute("Process id of the agent itself (not of its keeper), if known.")

    def follow(cursors: Mapping[str, str], listener: IAgentListener) -> None:
        """
        Begin to read its output.

        :param cursors: As last stored; empty to begin at the beginning.
        """

    def stop() -> None:
        """
        End the whole process tree: SIGTERM, after the grace SIGKILL.

        Returns when the order is given. May be repeated.
        """

    def pause() -> None:
        """Halt the whole process tree (SIGSTOP)."""

    def resume() -> None:
        """Let the whole process tree go on (SIGCONT)."""

    def send(data: bytes) -> None:
        """
        Write to its standard input. Safe on disk when this returns.

        :raises Unavailable: if it has ended.
        :raises Conflict: if it was started without input.
        :raises StorageFailed: if it could not be stored; then the agent reads none of it.
        """


class IAgentRunner(Interface):
    """Starts agents under keepers that outlive the server."""

    def start(session_id: str, plan: LaunchPlan) -> Deferred[IAgent]:
        """
        Start an agent.

        :returns: Fires when its program runs.
        :raises AgentNotStarted: (through the Deferred) if it could not be started;
            nothing is left behind then.
        """

    def adopt(session_id: str) -> IAgent | None:
        """
        Find an agent that an earlier server started.

        :returns: The agent, running or ended; None if no agent of that session was ever started.
        """

    def forget(session_id: str) -> None:
        """
        Remove the files of an agent that has ended. Does nothing if there are none.

        :raises Conflict: if it has not ended.
        """

    def detach() -> Deferred[None]:
        """
        Stop reading all agents and leave them running, for the end of the server.

        :returns: Fires when no more lines will be given to listeners.
        """
