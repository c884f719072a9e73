"""Starting agents under keepers, and finding them again."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred, DeferredList, ensureDeferred
from twisted.logger import Logger
from zope.interface import implementer

from loki_twisted.agents.bell import Bell, make_bell
from loki_twisted.agents.files import AgentFiles
from loki_twisted.agents.interface import IAgent, IAgentOutput, IAgentRunner, LaunchPlan, Stray
from loki_twisted.agents.launch import Launch
from loki_twisted.agents.orphans import settle_lost
from loki_twisted.agents.pieces import TURN_WORK
from loki_twisted.agents.presence import watch_stranger
from loki_twisted.agents.process import AgentFacts, KeptAgent
from loki_twisted.agents.raw_output import RawOutput
from loki_twisted.agents.reactors import IAgentReactor
from loki_twisted.kernel.procfs import boot_id
from loki_twisted.kernel.shares import Shares
from loki_twisted.model.errors import AgentNotStarted, Conflict, StorageFailed

GRACE_SECONDS: Final = 5.0
"""How long an agent may take to end by itself after it was told to."""

_LOST = "The keeper of the agent ended before the agent did, and it is not known how that ended."

_NEVER = "The server ended before its agent was started."

_log = Logger()


@implementer(IAgentRunner)
class KeeperRunner:
    """
    Runs agents, each under a keeper of its own.

    An agent belongs to its directory, not to us: what we have of it in memory can be made again
    from there.
    """

    def __init__(
        self, reactor: IAgentReactor, directory: str, *, grace_seconds: float = GRACE_SECONDS
    ) -> None:
        """
        Make a runner that does nothing yet.

        :param directory: Where the directories of agents are, one for each session; made
            (0700) when it is needed.
        :param grace_seconds: Between SIGTERM and SIGKILL.
        """
        self._reactor = reactor
        self._directory = os.path.abspath(directory)
        self._grace_seconds = grace_seconds
        self._agents: dict[str, KeptAgent] = {}
        self._starting: set[Deferred[None]] = set()
        self._bell_of_all: Bell | None = None
        self._shares = Shares(reactor, TURN_WORK)
        self._is_detached = False

    def start(self, session_id: str, plan: LaunchPlan) -> Deferred[IAgent]:
        """See :class:`IAgentRunner`."""
        return ensureDeferred(self._start(session_id, plan))

    def adopt(self, session_id: str) -> IAgent | None:
        """See :class:`IAgentRunner`."""
        if session_id in self._agents:
            return self._agents[session_id]
        files = AgentFiles.of(self._directory, session_id)
        if not files.exist:
            return None
        spec, started, end = files.spec(), files.started(), files.end()
        if started is not None and started.boot_id != boot_id():
            started = None  # The numbers of another boot mean nothing.
        keeper = started.keeper if started is not None else None
        facts = AgentFacts(
            session_id=session_id,
            files=files,
            pid=started.agent.pid if started is not None else None,
            accepts_input=spec is not None and spec.accepts_input,
            grace_seconds=self._grace_seconds,
            end=end,
        )
        presence = None if end is not None else watch_stranger(self._reactor, files, keeper)

        def reason_of_loss() -> str:
            return _NEVER if files.started() is None else _LOST

        agent = KeptAgent(self._shares, self._bell(), facts, presence, reason_of_loss)
        self._agents[session_id] = agent
        return agent

    def strays(self, is_known: Callable[[str], bool]) -> Sequence[Stray]:
        """See :class:`IAgentRunner`."""
        try:
            names = sorted(os.listdir(self._directory))
        except FileNotFoundError:
            return ()
        except OSError as error:
            _log.error("Agents that are on no record are not looked for: {error}", error=error)
            return ()
        found = (self._stray(name) for name in names if not is_known(name))
        return [stray for stray in found if stray is not None]

    def _stray(self, name: str) -> Stray | None:
        try:
            files = AgentFiles.of(self._directory, name)
        except ValueError:
            return None
        if not files.exist:
            return None
        try:
            spec, intent, end = files.spec(), files.intent(), files.end()
        except OSError as error:
            _log.error("{name} is passed over: {error}", name=name, error=error)
            return None
        if end is not None or (spec is None and not intent):
            return None
        if spec is None:
            return Stray(
                name, "", accepts_input=False, driven_by="", steered_by=None, intent=intent
            )
        return Stray(name, spec.cwd, spec.accepts_input, spec.driven_by, spec.steered_by, intent)

    def output(self, session_id: str, stream: str) -> IAgentOutput | None:
        """See :class:`IAgentRunner`."""
        files = AgentFiles.of(self._directory, session_id)
        try:
            return RawOutput(files, stream, self._bell)
        except FileNotFoundError:
            return None
        except OSError as error:
            msg = f"The output cannot be opened: {error.strerror}."
            raise StorageFailed(msg) from error

    def forget(self, session_id: str) -> None:
        """See :class:`IAgentRunner`."""
        files = AgentFiles.of(self._directory, session_id)
        if not files.exist:
            return
        lock = files.lock()
        # A keeper that has written the end has nothing more to do than to go.
        if lock is None and files.end() is None:
            msg = f"The agent of session {session_id} has not ended."
            raise Conflict(msg)
        agent = self._agents.pop(session_id, None)
        if agent is not None:
            agent.detach()
        _discard(files)
        if lock is not None:
            os.close(lock)

    def spool_bytes(self) -> int:
        """How much the agents at work have printed, as it stands on disk."""
        at_work = [agent for agent in self._agents.values() if not agent.is_over]
        return sum(agent.spool_bytes() for agent in at_work)

    def cramped(self) -> list[str]:
        """List the sessions whose agents would find no room for more output on a full disk."""
        return [name for name in self.at_work() if self._agents[name].is_cramped()]

    def at_work(self) -> list[str]:
        """List the sessions whose agents are at work, or have something to tell still."""
        return [name for name, agent in self._agents.items() if not agent.is_over]

    def detach(self) -> Deferred[None]:
        """See :class:`IAgentRunner`."""
        self._is_detached = True
        waiting = [*self._starting, *(agent.detach() for agent in self._agents.values())]
        return DeferredList(waiting).addCallback(self._close)

    def _close(self, _: object) -> None:
        if self._bell_of_all is not None:
            self._bell_of_all.close()
            self._bell_of_all = None

    def _bell(self) -> Bell:
        if self._bell_of_all is None:
            self._bell_of_all = make_bell(self._reactor)
        return self._bell_of_all

    async def _start(self, session_id: str, plan: LaunchPlan) -> IAgent:
        if self._is_detached:
            msg = "The server is shutting down."
            raise AgentNotStarted(msg)
        self._agents = {name: one for name, one in self._agents.items() if not one.is_over}
        under_way: Deferred[None] = Deferred()
        self._starting.add(under_way)
        try:
            agent = await self._launch(session_id, plan)
            self._agents[session_id] = agent
            if self._is_detached:
                agent.detach()
            return agent
        finally:
            self._starting.remove(under_way)
            under_way.callback(None)

    async def _launch(self, session_id: str, plan: LaunchPlan) -> KeptAgent:
        cookie = secrets.token_hex(16)
        try:
            files = AgentFiles.of(self._directory, session_id)
            files.make(plan, cookie, boot_id(), self._grace_seconds)
        except FileExistsError as error:
            msg = f"An agent of session {session_id} was started before."
            raise AgentNotStarted(msg) from error
        except (OSError, ValueError) as error:
            raise _not_started(plan, error) from error
        try:
            launch = Launch(self._reactor, self._bell(), files, plan, cookie)
        except (OSError, TypeError, ValueError) as error:  # Twisted's words for bad arguments
            _discard(files)
            raise _not_started(plan, error) from error
        started = await launch.program_runs()
        if started is None:
            reason = launch.reason_of_loss()
            end = files.end() or await settle_lost(self._reactor, files, reason)
            _discard(files)
            raise _not_started(plan, end.problem)
        facts = AgentFacts(
            session_id=session_id,
            files=files,
            pid=started.agent.pid,
            accepts_input=plan.accepts_input,
            grace_seconds=self._grace_seconds,
        )
        return KeptAgent(self._shares, self._bell(), facts, launch.presence, launch.reason_of_loss)


def _not_started(plan: LaunchPlan, reason: object) -> AgentNotStarted:
    program = plan.argv[0] if plan.argv else "The agent"
    return AgentNotStarted(f"{program} could not be started: {reason}")


def _discard(files: AgentFiles) -> None:
    """Remove the files of an agent that nobody asks for any more, as far as that can be done."""
    try:
        files.remove()
    except OSError as error:
        _log.warn("{path} is left behind: {error}", path=files.directory, error=error)
