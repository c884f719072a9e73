"""
Agents as the session service knows them.

A *runner* starts agents under keepers and finds them again after a restart of the
server. What says how they are started, and speaks their language, is ``driving.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from loki_twisted.agents.lines import LINE_LIMIT
from loki_twisted.agents.richness import VALUE_LIMIT
from loki_twisted.model.sessions import Steering

LOKI_MODE: Final = "loki"
"""The provider that is Loki Mode with the provider of its own settings."""

TAKING_COMMANDS: Final = frozenset({"acp", "command"})
"""The providers whose program a request may name."""


@attrs.frozen(slots=True, kw_only=True)
class LaunchRequest:
    """
    What a session wants of its provider.

    :ivar project_dir: Absolute path; the agent's working directory.
    :ivar loki_dir: Absolute path of the directory that may hold ``autonomy/run.sh``
        and does hold ``.loki/`` of the server.
    :ivar provider: Name of the provider.
    :ivar prd_path: Absolute path of an existing file, or None.
    :ivar conversation: The provider's own name of the conversation that is to be continued.
    :ivar stays_open: Whether it waits for more messages when it has done its work.
    :ivar direct: Whether the provider's own CLI is meant, even where Loki Mode could run it.
    :ivar command: For a provider that runs any program: the program and its arguments.
    :ivar speed: For one that plays a recording: how many times as fast; 0 is without any wait.
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
    conversation: str | None = None
    stays_open: bool = False
    direct: bool = False
    command: Sequence[str] | None = None
    speed: float = 1.0


@attrs.frozen(slots=True, kw_only=True)
class Limits:
    """
    What an agent may use of the machine; None is as much as there is.

    :ivar memory_bytes: Address space of each of its processes.
    :ivar processes: Of this user in all, as ``RLIMIT_NPROC`` counts them.
    :ivar file_bytes: Of each file that it writes; what it prints goes into two of them.
    """

    memory_bytes: int | None = None
    processes: int | None = None
    file_bytes: int | None = None

    @property
    def given(self) -> dict[str, int]:
        """Those that there are, by name."""
        return attrs.asdict(self, filter=lambda _, value: value is not None)


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
    :ivar limits: Set by the session service.
    :ivar driven_by: The name of the provider whose driver it needs; set by :class:`IProviders`.
    :ivar intent: What the session service has to know to find it again where the log was lost;
        a text that lies with its files.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    accepts_input: bool = False
    steered_by: Steering = Steering.SIGNALS
    limits: Limits = Limits()
    driven_by: str = ""
    intent: str = ""


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

    def follow(
        cursors: Mapping[str, str],
        listener: IAgentListener,
        line_limit: int = LINE_LIMIT,
        value_limit: int = VALUE_LIMIT,
    ) -> None:
        """
        Begin to read its output.

        :param cursors: As last stored; empty to begin at the beginning.
        :param line_limit: Bytes of a line beyond which it is cut, at most
            :data:`~loki_twisted.agents.lines.MOST_LINE_LIMIT`: that of its driver.
        :param value_limit: Values of JSON in a line beyond which it is cut, at most
            :data:`~loki_twisted.agents.richness.MOST_VALUE_LIMIT`: that of its driver.
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

    def send(data: bytes, at: int | None = None) -> int:
        """
        Write to its standard input. Safe on disk when this returns.

        :param at: The offset in all of its input at which the data is to stand: what of it stands
            there already is not written again. None is the end.
        :returns: The offset behind it.
        :raises OtherInput: if something else stands there; then nothing is written.
        :raises Unavailable: if it has ended.
        :raises Conflict: if it was started without input, or that has ended.
        :raises StorageFailed: if it could not be stored; then the agent reads none of it. Or if
            less is there than stood before the offset.
        """

    def end_input() -> None:
        """
        Let it see the end of its standard input, behind what was sent. May be repeated. Does
        nothing if it has ended, or was started without input.

        :raises StorageFailed: if that could not be stored.
        """


class IAgentOutput(Interface):
    """What an agent has written to one of its streams, byte for byte, open for reading."""

    def size() -> int:
        """How many bytes there are now. An agent can empty it: then there are fewer."""

    def read(offset: int, count: int) -> bytes:
        """
        Read what stands at an offset.

        :returns: Some bytes, not always as many as were asked for; none at the end and behind it.
        :raises StorageFailed: if it cannot be read.
        """

    def listen(heard: Callable[[], None]) -> Callable[[], None]:
        """
        Be told when there may be more.

        :param heard: Called in a later turn of the reactor.
        :returns: Call it to be told no more.
        """

    def close() -> None:
        """Close it. To be called once; who listens stops that first."""


@attrs.frozen(slots=True)
class Stray:
    """
    An agent whose end was not noted, as far as its files tell what it is.

    :ivar session_id: The session that it was started for.
    :ivar cwd: Absolute path; empty if nobody knows.
    :ivar driven_by: The name of the provider whose driver it needs; empty if nobody knows.
    :ivar steered_by: How it takes orders; None if nobody knows.
    :ivar intent: That of its :class:`LaunchPlan`; empty if it is lost.
    """

    session_id: str
    cwd: str
    accepts_input: bool
    driven_by: str
    steered_by: Steering | None
    intent: str = ""


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

    def strays(is_known: Callable[[str], bool]) -> Sequence[Stray]:
        """
        Find agents that run, or whose end nobody has noted, and that nobody knows.

        :param is_known: Says of a session whether it is known.
        """

    def output(session_id: str, stream: str) -> IAgentOutput | None:
        """
        Open what an agent has written, whether it runs or has ended.

        :param stream: ``stdout`` or ``stderr``.
        :returns: None if there is nothing of an agent of that session.
        :raises StorageFailed: if it cannot be opened.
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
