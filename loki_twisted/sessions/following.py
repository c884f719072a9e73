"""Following an agent of ours: what its lines mean for its session, and its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from loki_twisted.agents.interface import AgentEnd, IAgentListener, IDriver
from loki_twisted.model.events import Fact
from loki_twisted.model.redaction import Redactor
from loki_twisted.sessions.book import Record, SessionBook
from loki_twisted.sessions.ending import commit_end
from loki_twisted.sessions.state import after_end, after_facts
from loki_twisted.state.interface import RunEnding

_log = Logger()


@implementer(IAgentListener)
@attrs.define(eq=False)
class AgentFollower:
    """
    Takes what one agent prints, and its end, into the book.

    :ivar driver: Knows what its lines mean.
    :ivar redactor: Takes the secrets out of that.
    :ivar settle: Called when the agent has ended, before that is told: fires when what it
        left in its state directory has been told.
    :ivar ending: Called then: what it wrote of its own end.
    :ivar after: Called once with the record when the end is on disk.
    """

    reactor: IReactorTime
    book: SessionBook
    record: Record
    driver: IDriver
    redactor: Redactor
    settle: Callable[[], Awaitable[None]]
    ending: Callable[[], RunEnding | None]
    after: Callable[[Record], None]

    def lines_received(
        self, stream: str, lines: Sequence[str], cursors: Mapping[str, str]
    ) -> Deferred[Any]:
        """See :class:`IAgentListener`."""
        facts: list[Fact] = []
        for line in lines:
            facts += self._facts_of(stream, line)
        if self.redactor.may_concern(lines):
            facts = [self.redactor.fact(fact) for fact in facts]
        state = after_facts(self.record.state, facts, self.book.now())
        return self.book.commit(self.record, state, facts, cursors)

    def _facts_of(self, stream: str, line: str) -> Sequence[Fact]:
        """Ask the driver; a line that it cannot bear is a log line, and holds up no others."""
        try:
            return self.driver.line(stream, line)
        except Exception:  # noqa: BLE001 (a driver may be anybody's)
            _log.failure("The driver of {session} failed on a line.", session=self.record.id)
            level = "info" if stream == "stdout" else "error"
            return [Fact(f"log:{level}", {"level": level, "message": line})]

    def ended(self, end: AgentEnd) -> None:
        """See :class:`IAgentListener`."""
        self.record.agent = None
        ensureDeferred(self._end(end)).addErrback(
            lambda failure: _log.failure(
                "The end of session {session} could not be told.",
                failure,
                session=self.record.id,
            )
        )

    async def _end(self, end: AgentEnd) -> None:
        await self.settle()
        said = self.ending()
        await commit_end(
            self.reactor,
            self.book,
            self.record,
            lambda state: after_end(state, end, said),
            self.after,
        )
