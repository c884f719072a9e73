"""The orders that reach an agent by its conductor: answers, messages, interruptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from loki_twisted.log.interface import IRecords
from loki_twisted.model.errors import Conflict
from loki_twisted.model.idempotency import IdempotencyKey
from loki_twisted.model.inputs import Answer, Input
from loki_twisted.model.messages import Delivery, Message
from loki_twisted.model.sessions import Session, SessionStatus
from loki_twisted.model.timestamps import iso_from_ms
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.conductor import Conductor
from loki_twisted.sessions.inbox import check_repeated, no_such_input
from loki_twisted.sessions.interface import GivenInput
from loki_twisted.sessions.record import Record
from loki_twisted.sessions.rows import NO_ROWS, with_key
from loki_twisted.sessions.steering import Steerer

MOST_WAITING: Final = 200
"""So many messages may wait for an agent."""

_HAS_AGENT: Final = frozenset({SessionStatus.RUNNING, SessionStatus.PAUSED})


@attrs.frozen(slots=True, kw_only=True)
class Talker:
    """
    Says things to agents.

    :ivar mint: Makes a new id of a kind: ``message``.
    :ivar now_ms: The wall clock, milliseconds since the Unix epoch.
    """

    book: SessionBook
    records: IRecords
    steerer: Steerer
    mint: Callable[[str], str]
    now_ms: Callable[[], int]

    async def give_input(
        self,
        session_id: str,
        text: str,
        context: str | None,
        delivery: Delivery,
        by: str,
        once: IdempotencyKey | None,
    ) -> GivenInput:
        """See :meth:`ISessions.give_input`."""
        record = self.book.get(session_id)
        if self.steerer.steers(record):
            rows = with_key(NO_ROWS, once, session_id, "", self.now_ms())
            return GivenInput(await self.steerer.give_input(record, text, context, rows))
        conductor = _conductor_of(record)
        if len(record.state.inputs) == 1:
            [asked] = record.state.inputs.values()
            answer = answer_in_words(asked, text)
            settled = await conductor.answer(asked.id, answer, by, once)
            return GivenInput(record.state.session, answered=settled)
        _check_messages(record)
        message = Message(
            id=self.mint("message"),
            session_id=session_id,
            text=text if context is None else f"{text}\n\n{context}",
            created_at=iso_from_ms(self.now_ms()),
            delivery=delivery,
            sent_by=by,
        )
        told = await conductor.say(message, once)
        return GivenInput(record.state.session, message=told)

    async def answer(
        self, session_id: str, input_id: str, answer: Answer, by: str, once: IdempotencyKey | None
    ) -> Input:
        """See :meth:`ISessions.answer`."""
        record = self.book.get(session_id)
        conductor = record.conductor
        if conductor is not None and conductor.knows(input_id):
            return await conductor.answer(input_id, answer, by, once)
        settled = await self.records.input(session_id, input_id)
        if settled is None:
            raise no_such_input(session_id, input_id)
        check_repeated(settled, answer)
        return settled

    async def interrupt(self, session_id: str) -> Session:
        """See :meth:`ISessions.interrupt`."""
        record = self.book.get(session_id)
        if self.steerer.steers(record):
            msg = "A run of Loki Mode cannot be interrupted: it can be paused, or stopped."
            raise Conflict(msg, {"status": str(record.status)})
        return await _conductor_of(record).interrupt()


def answer_in_words(asked: Input, text: str) -> Answer:
    """
    Make an answer of a text: an option is chosen by its value or its label, in any case.

    A text that is none of them is taken as it is.
    """
    words = text.strip()
    for option in asked.options:
        if words.casefold() in (option.value.casefold(), option.label.casefold()):
            return Answer(values=(option.value,))
    return Answer(values=(text,))


def _conductor_of(record: Record) -> Conductor:
    """
    Who talks with the agent of a session.

    :raises Conflict: if it has no agent to talk with.
    """
    if record.status not in _HAS_AGENT or record.agent is None or record.conductor is None:
        msg = f"A session that is {record.status} takes no input."
        raise Conflict(msg, {"status": str(record.status)})
    return record.conductor


def _check_messages(record: Record) -> None:
    """
    Make sure that an agent takes messages.

    :raises Conflict: if it takes none, or has more than enough.
    """
    session = record.state.session
    if len(record.state.messages) >= MOST_WAITING:
        msg = f"{MOST_WAITING} messages wait for the agent, which is as many as may."
        raise Conflict(msg, {"status": str(record.status)})
    if session.accepts_input and not record.state.talk.input_ends:
        return
    msg = f"The agent of provider {session.provider!r} takes no input."
    if session.accepts_input:
        msg = "The agent has done its work, and takes no more."
    raise Conflict(msg, {"status": str(record.status)})
