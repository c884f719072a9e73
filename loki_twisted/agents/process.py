"""One agent, as the server has it: its output, its end, and the orders to its keeper."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from enum import Enum
from typing import Final

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredList, ensureDeferred, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from loki_twisted.agents.bell import Bell
from loki_twisted.agents.files import AgentFiles
from loki_twisted.agents.input_file import InputFile
from loki_twisted.agents.interface import AgentEnd, IAgent, IAgentListener
from loki_twisted.agents.keeper.layout import STREAMS
from loki_twisted.agents.lines import LINE_LIMIT, MOST_LINE_LIMIT, Cursor
from loki_twisted.agents.orphans import settle_lost
from loki_twisted.agents.presence import Presence
from loki_twisted.agents.richness import VALUE_LIMIT
from loki_twisted.agents.spool import Spool, Tail
from loki_twisted.kernel.shares import Shares
from loki_twisted.model.errors import Conflict, Unavailable

RETRY_SECONDS: Final = 1.0
MOST_ATTEMPTS: Final = 60
"""So often it is tried to learn the end of an agent whose files cannot be opened."""

_log = Logger()


class Stage(Enum):
    """
    Where an agent stands for the server.

    ======== ====================== =======================================
    stage    what happens in it     what leads on
    ======== ====================== =======================================
    KEPT     orders, output         LOST: the keeper is gone
    LOST     its end is looked for, ENDED
             or orphans are ended
    ENDED    the rest of the output TOLD: the listener has taken all of it
    TOLD     nothing                nothing
    ======== ====================== =======================================

    From each, ``detach`` leads to DETACHED, in which nothing happens.
    """

    KEPT = "its keeper watches it"
    LOST = "its keeper is gone"
    ENDED = "it is known how it ended"
    TOLD = "its listener knows how it ended"
    DETACHED = "we watch it no longer"


@attrs.frozen(slots=True, kw_only=True)
class AgentFacts:
    """
    What is known of an agent when we begin with it.

    :ivar pid: Its process id in this boot, if known.
    :ivar accepts_input: Whether its keeper passes input on.
    :ivar end: How it ended, if it has.
    """

    session_id: str
    files: AgentFiles
    pid: int | None
    accepts_input: bool
    grace_seconds: float
    end: AgentEnd | None = None


@implementer(IAgent)
class KeptAgent:
    """An agent under a keeper."""

    def __init__(
        self,
        shares: Shares,
        bell: Bell,
        facts: AgentFacts,
        presence: Presence | None,
        reason_of_loss: Callable[[], str],
    ) -> None:
        """
        Begin to watch it.

        :param shares: Of all agents of the same reactor.
        :param presence: Of its keeper; None if it has ended.
        :param reason_of_loss: Called if the keeper is gone without a word: why, in a sentence.
        """
        self.pid = facts.pid
        self._shares = shares
        self._bell = bell
        self._facts = facts
        self._input = InputFile(facts.files.directory)
        self._presence = presence
        self._reason_of_loss = reason_of_loss
        self._end = facts.end
        self._tails: list[Tail] = []
        self._all_read: Deferred[None] = succeed(None)
        self._settling: Deferred[None] | None = None
        self._stop_listening: Callable[[], None] | None = None
        self._control = -1
        self._attempts = 0
        self._stage = Stage.ENDED
        if presence is not None:
            self._stage = Stage.KEPT
            self._control = facts.files.open_control()
            self._give_order(b"input")  # for a server that was killed after writing some
            presence.gone().addCallback(lambda _: self._keeper_gone())

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return self._end is not None

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to be done with it."""
        return self._stage in (Stage.TOLD, Stage.DETACHED)

    def spool_bytes(self) -> int:
        """How much it has printed, as it stands on disk."""
        return self._facts.files.spool_bytes()

    def is_cramped(self) -> bool:
        """Whether it would find no room for more, if the disk is full."""
        return self._facts.files.is_cramped()

    def follow(
        self,
        cursors: Mapping[str, str],
        listener: IAgentListener,
        line_limit: int = LINE_LIMIT,
        value_limit: int = VALUE_LIMIT,
    ) -> None:
        """See :class:`IAgent`."""
        limit = min(line_limit, MOST_LINE_LIMIT)
        names = {stream: f"{self._facts.session_id}/{stream}" for stream in STREAMS}
        places = {name: Cursor.from_text(cursors.get(name, "0")) for name in names.values()}
        with ExitStack() as opened:  # all of them, or none
            spools = {}
            for stream, name in names.items():
                path = self._facts.files.path(stream)
                spool = spools[stream] = Spool(
                    path,
                    places[name],
                    is_growing=not self.has_ended,
                    line_limit=limit,
                    value_limit=value_limit,
                )
                opened.callback(spool.close)
            opened.pop_all()
        for stream, spool in spools.items():
            self._tails.append(Tail(self._shares, spool, stream, names[stream], listener))
        if not self.has_ended:
            # Before the first look: what is written between the two would go unnoticed.
            self._stop_listening = self._bell.listen(self._facts.files.directory, self._look)
        reading = [tail.read() for tail in self._tails]
        if self.has_ended:
            self._finish()
        self._all_read = DeferredList(reading).addCallback(self._read_up, listener)

    def stop(self) -> None:
        """See :class:`IAgent`."""
        if self._stage is not Stage.KEPT or self._presence is None:
            return
        self._presence.send(signal.SIGCONT)  # in case somebody has halted the keeper
        if not self._give_order(b"stop %g" % self._facts.grace_seconds):
            self._presence.send(signal.SIGTERM)

    def pause(self) -> None:
        """See :class:`IAgent`."""
        self._give_order(b"pause")

    def resume(self) -> None:
        """See :class:`IAgent`."""
        self._give_order(b"resume")

    def send(self, data: bytes, at: int | None = None) -> int:
        """See :class:`IAgent`."""
        if self._stage is not Stage.KEPT:
            msg = f"The agent takes no input: {self._stage.value}."
            raise Unavailable(msg)
        if not self._facts.accepts_input:
            msg = "The agent takes no input."
            raise Conflict(msg)
        end = self._input.add(data, at)
        self._give_order(b"input")
        return end

    def end_input(self) -> None:
        """See :class:`IAgent`."""
        if self._stage is Stage.KEPT and self._facts.accepts_input:
            self._input.end()
            self._give_order(b"input")

    def detach(self) -> Deferred[None]:
        """
        Tell the listener nothing more, and leave the agent alone.

        :returns: Fires when the listener has answered to what it was given last.
        """
        self._leave(Stage.DETACHED)
        for tail in self._tails:
            tail.stop()
        return self._all_read

    def _give_order(self, order: bytes) -> bool:
        if self._stage is not Stage.KEPT:
            return False
        try:
            os.write(self._control, order + b"\n")
        except BlockingIOError:
            _log.error(
                "{session_id}: the keeper takes no orders, {order} is lost",
                session_id=self._facts.session_id,
                order=order.decode(),
            )
            return False
        return True

    def _look(self) -> None:
        for tail in self._tails:
            tail.look()

    def _finish(self) -> None:
        for tail in self._tails:
            tail.finish()

    def _keeper_gone(self) -> None:
        self._leave(Stage.LOST)
        self._settle()

    def _settle(self) -> None:
        """Learn how it ended, or end what is left of it."""
        try:
            end = self._facts.files.end()
        except OSError:
            self._not_settled(Failure())
            return
        if end is not None:
            self._ended(end)
            return
        settled = settle_lost(self._shares.clock, self._facts.files, self._reason_of_loss())
        self._settling = ensureDeferred(settled).addCallbacks(self._ended, self._not_settled)

    def _not_settled(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        name = self._facts.session_id
        self._attempts += 1
        if failure.check(OSError) and self._attempts < MOST_ATTEMPTS:
            _log.warn("{id}: {error}; it is tried again", id=name, error=failure.getErrorMessage())
            later = deferLater(self._shares.clock, RETRY_SECONDS, self._settle)
            self._settling = later.addErrback(lambda failure: failure.trap(CancelledError))
            return
        _log.failure("{id}: what is left cannot be ended", failure, id=name)
        self._ended(AgentEnd(None, None, "The keeper of the agent was lost."))

    def _ended(self, end: AgentEnd) -> None:
        self._leave(Stage.ENDED)
        self._end = end
        self._finish()

    def _read_up(self, results: list[tuple[bool, bool]], listener: IAgentListener) -> None:
        is_complete = all(complete for _, complete in results)
        if not is_complete or self._stage is not Stage.ENDED or self._end is None:
            return
        self._leave(Stage.TOLD)
        with _log.failuresHandled("who was told the end of an agent failed"):
            listener.ended(self._end)

    def _leave(self, stage: Stage) -> None:
        """Go to another stage, and let go of what only the one before needed."""
        before, self._stage = self._stage, stage
        if before is Stage.KEPT:
            os.close(self._control)
            if self._presence is not None:
                self._presence.close()
        if before is Stage.LOST and stage is Stage.DETACHED and self._settling is not None:
            self._settling.cancel()
        if stage is not Stage.LOST and self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
