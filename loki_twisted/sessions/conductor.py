"""
The talk with the agent of a session: what it says, what it is told, and when.

Everything goes one way: an occasion (lines, an answer, a message, a moment) is given to the
driver, what that says becomes a change (``sessions/conduct.py``), that is committed as a whole,
and only then the agent is written to. Of a commit that fails nothing is left but what is on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import attrs
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.interface import AgentEnd, IAgentListener
from loki_twisted.agents.outputs import Freed, Output
from loki_twisted.model.budget import Stage
from loki_twisted.model.errors import Conflict
from loki_twisted.model.events import Fact
from loki_twisted.model.idempotency import IdempotencyKey
from loki_twisted.model.inputs import Answer, Input
from loki_twisted.model.messages import Message
from loki_twisted.model.sessions import Session
from loki_twisted.sessions.agenda import Agenda
from loki_twisted.sessions.changes import Change
from loki_twisted.sessions.circumstances import Circumstances
from loki_twisted.sessions.conditions import with_condition
from loki_twisted.sessions.conduct import Conduct
from loki_twisted.sessions.dictation import Dictation
from loki_twisted.sessions.ending import commit_end, last_words
from loki_twisted.sessions.hearing import LINES_LOST, heard, last_errors
from loki_twisted.sessions.inbox import check_answer
from loki_twisted.sessions.masking import masked
from loki_twisted.sessions.moments import Moment
from loki_twisted.sessions.record import Record
from loki_twisted.sessions.rows import with_key
from loki_twisted.sessions.settling import Settling, outcome_of_answer
from loki_twisted.sessions.state import SessionState, after_end
from loki_twisted.sessions.timer import RETRY_SECONDS

_log = Logger()


@implementer(IAgentListener)
class Conductor:
    """Conducts the talk with one agent."""

    def __init__(self, record: Record, circumstances: Circumstances) -> None:
        self.record = record
        self._with = circumstances
        self._driver: IDriver | None = None
        self._dictation = Dictation(record, circumstances.reactor, self._due)
        self._settling = Settling()
        self._agenda = Agenda(record, circumstances, self._come_back)

    @property
    def driver(self) -> IDriver:
        """The driver, with the memory of the newest state."""
        if self._driver is None:
            self._driver = self._with.make_driver(self.record.state.talk.memory)
        return self._driver

    def begin(
        self, state: SessionState, facts: Iterable[Fact], cursors: Mapping[str, str]
    ) -> Deferred[Session]:
        """
        Tell the agent what it is to do, unless that was done.

        :param state: The state of the session that runs now, with its event in the facts.
        """

        def act(conduct: Conduct) -> None:
            if not state.talk.has_begun:
                conduct.remember(has_begun=True)
                conduct.take(self._masked(self.driver.begin()))

        self._agenda.heard()  # What it was silent before it ran is no silence.
        return self._change(act, state=state, facts=facts, cursors=cursors)

    def go_on(self) -> None:
        """Go on with an agent: write what is still to be written, and see what is due."""
        self._agenda.heard()
        self._dictation.write()
        self._agenda.arrange()
        standing = self.record.state.talk.standing
        if Stage.OVER in (standing.cost, standing.tokens):  # the server before did not stop it
            self._with.stop(self.record, "It has spent what it may.")

    def stirred(self) -> None:
        """
        Take note of a sign of its agent that is not in what it prints.

        That is what the files of its run say, and the end of a pause: it has its reason again.
        """
        state = self.record.state
        if self._agenda.is_closed:
            return
        self._agenda.stirred()
        _, untold = with_condition(state, stays=self._with.stays)
        if (state.talk.is_stalled or untold) and self.record.agent is not None:
            self._due(lambda to: to.remember(is_stalled=False))
        elif not self._agenda.is_arranged:
            self._agenda.arrange()

    def lines_received(
        self, stream: str, lines: Sequence[str], cursors: Mapping[str, str]
    ) -> Deferred[Any]:
        """See :class:`IAgentListener`."""
        self._agenda.heard()
        try:
            return self._hear(stream, lines, cursors)
        except Exception:  # noqa: BLE001 (else they come again and again, and the end never)
            _log.failure("{id}: lines were not understood", id=self.record.id)
            self._driver = None
            return self._change(lambda conduct: conduct.tell([LINES_LOST]), cursors=cursors)

    def _hear(
        self, stream: str, lines: Sequence[str], cursors: Mapping[str, str]
    ) -> Deferred[Session]:
        talk = self.record.state.talk
        outputs = heard(self.driver, stream, lines, talk, self._with.redactor)

        def act(conduct: Conduct) -> None:
            conduct.take(outputs)
            conduct.remember(is_stalled=False)
            if stream == "stderr":
                conduct.remember(errors=last_errors(talk.errors, outputs))

        return self._change(act, cursors=cursors)

    async def answer(
        self, input_id: str, answer: Answer, by: str, once: IdempotencyKey | None = None
    ) -> Input:
        """
        Answer an input.

        :returns: The input as it is then.
        :raises InvalidRequest: for an answer that is none.
        :raises Conflict: if another answer, or that it was withdrawn, is on its way to the disk.
        :raises NotFound: if none of that id is open, or on its way.
        :raises StorageFailed: if it could not be stored; the input stays open then.
        """
        asked = self.record.state.inputs.get(input_id)
        if asked is None:
            settled = self._settling.repeated(self.record.id, input_id, answer)
            await self._change(lambda _: None)  # It is on disk when what comes behind it is.
            return settled
        check_answer(asked, answer)
        box: list[Change] = []
        act = partial(Conduct.answer, asked=asked, answer=answer, by=by)
        await self._change(act, once=once, target=input_id, told=box.append)
        return outcome_of_answer(box[0], input_id, answer)

    def knows(self, input_id: str) -> bool:
        """Whether an input is open, or what became of it is on its way to the disk."""
        return input_id in self.record.state.inputs or input_id in self._settling

    def say(self, message: Message, once: IdempotencyKey | None = None) -> Deferred[Message]:
        """
        Give the agent a message, when it takes it.

        :returns: The message as it is then: queued, delivered or dropped.
        """
        box: list[Message] = [message]

        def told(change: Change) -> None:
            box.extend(each for each in change.rows.messages if each.id == message.id)

        done = self._change(
            lambda conduct: conduct.queue(message), once=once, target=message.id, told=told
        )
        return done.addCallback(lambda _: box[-1])

    def interrupt(self) -> Deferred[Session]:
        """
        Let the agent leave off what it is doing.

        :raises Conflict: if it cannot.
        """
        outputs = self.driver.interrupt()
        if not outputs:
            msg = "The agent cannot be interrupted: it can only be stopped."
            raise Conflict(msg, {"status": str(self.record.status)})
        return self._change(lambda conduct: conduct.take(self._masked(outputs)))

    def ended(self, end: AgentEnd) -> None:
        """See :class:`IAgentListener`."""
        self.record.agent = None
        self.close()
        ensureDeferred(self._end(end)).addErrback(
            lambda failure: _log.failure("{id}: its end was not told", failure, id=self.record.id)
        )

    def close(self) -> None:
        """Wait for nothing any more."""
        self._agenda.close()

    async def _end(self, end: AgentEnd) -> None:
        said = await last_words(self.record.id, self._with.settle, self._with.ending)

        def decide(state: SessionState) -> Change:
            self._driver = None  # After a commit that failed it would say its last words twice.
            conduct = self._conduct(state)
            conduct.take(self._masked(self.driver.ended()))
            conduct.end("The agent has ended.")
            change = conduct.finish()
            self._settling.put(change)
            last = after_end(change.state, end, said, says_done=self.driver.says_done)
            return attrs.evolve(change, state=last)

        await commit_end(self._with.reactor, self._with.book, self.record, decide, self._with.after)

    def _conduct(self, state: SessionState) -> Conduct:
        conduct = Conduct(
            state,
            self._with.now_ms(),
            lambda: self._with.mint("input"),
            self._with.policy,
            self.driver,
            self._masked,
            self._with.budget,
            stays=self._with.stays,
        )
        conduct.remember(outbox=self._dictation.rest_of(state.talk.outbox))
        return conduct

    def _change(
        self,
        act: Callable[[Conduct], None],
        *,
        state: SessionState | None = None,
        facts: Iterable[Fact] = (),
        cursors: Mapping[str, str] | None = None,
        once: IdempotencyKey | None = None,
        target: str = "",
        told: Callable[[Change], None] = lambda _: None,
    ) -> Deferred[Session]:
        conduct = self._conduct(self.record.state if state is None else state)
        conduct.tell(facts)
        act(conduct)
        conduct.deliver()
        change = conduct.finish()
        told(change)
        rows = with_key(change.rows, once, self.record.id, target, self._with.now_ms())
        done = self._with.book.commit(self.record, change.state, change.facts, cursors, rows)
        self._settling.put_until(done, change)
        done.addCallbacks(self._stored, self._not_stored)
        if change.over is not None:
            # Whatever becomes of the record: no more is to be spent.
            self._with.stop(self.record, change.over)
        return done

    def _stored(self, session: Session) -> Session:
        self._dictation.write()
        self._agenda.arrange()
        return session

    def _not_stored(self, failure: Failure) -> Failure:
        self._driver = None
        return failure

    def _come_back(self, moments: frozenset[Moment]) -> None:
        if Moment.FINISH in moments and self.record.agent is not None:
            _log.info("{id} has done its work and does not end: it is ended", id=self.record.id)
            self.record.agent.stop()
        held_back = self.driver.quiet() if Moment.QUIET in moments else ()
        if not held_back and moments <= {Moment.QUIET, Moment.FINISH}:
            self._agenda.arrange()
            return

        def act(conduct: Conduct) -> None:
            conduct.take(self._masked(held_back))
            if Moment.EXPIRY in moments:
                conduct.expire()
            if Moment.WAKE in moments:
                conduct.take(self._masked([Freed(), *self.driver.wake()]))
            if Moment.STALL in moments:
                conduct.remember(is_stalled=True)

        self._due(act)

    def _due(self, act: Callable[[Conduct], None] = lambda _: None) -> None:
        maybeDeferred(self._change, act).addErrback(self._missed)

    def _missed(self, failure: Failure) -> None:
        """What was due is so still, and is done when the log can be written again."""
        _log.warn("{id}: {error}", id=self.record.id, error=failure.getErrorMessage())
        self._agenda.retry(RETRY_SECONDS)

    def _masked(self, outputs: Iterable[Output]) -> list[Output]:
        return [masked(each, self._with.redactor) for each in outputs]
