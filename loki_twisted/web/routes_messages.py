"""Routes of what people tell agents."""

from __future__ import annotations

from typing import Final

from loki_twisted.model.errors import SessionNotFound
from loki_twisted.model.idempotency import CompletedRequest, IdempotencyKey
from loki_twisted.model.messages import MessageStatus
from loki_twisted.model.wire import GiveInput, InputGiven, MessageList
from loki_twisted.sessions.interface import GivenInput, ISessions
from loki_twisted.web.operations import operation
from loki_twisted.web.pages import OFFSET_PAGE, pagination_of
from loki_twisted.web.repetitions import IDEMPOTENCY_KEY, Repetitions
from loki_twisted.web.session_orders import STEERING, known
from loki_twisted.web.visits import Visit

_INPUT_WAITS: Final = "The input waits for Loki Mode, which reads it before its next iteration."
_WORDS_OF_MESSAGE: Final = {
    MessageStatus.DELIVERED: "The input was handed over.",
    MessageStatus.QUEUED: "The input waits until the agent takes it.",
    MessageStatus.DROPPED: "The agent will not take it.",
}


class MessageRoutes:
    """
    The routes of messages.

    :param sessions: Does what is asked for.
    :param repetitions: Sees to it that what has a key is done once.
    """

    def __init__(self, sessions: ISessions, repetitions: Repetitions) -> None:
        self._sessions = sessions
        self._repetitions = repetitions

    @operation(
        "POST",
        "/api/sessions/{sessionId}/input",
        tag="sessions",
        body=GiveInput,
        examples={
            "a text": {"input": "dawn"},
            "at once": {"input": "Leave the tests alone.", "delivery": "now"},
        },
        answer=InputGiven,
        parameters=(IDEMPOTENCY_KEY,),
        asks_who=True,
        errors=STEERING,
    )
    async def give_input(
        self, session_id: str, body: GiveInput, key: str | None, visit: Visit
    ) -> InputGiven:
        """
        Send text to the agent of a session.

        If the agent has asked exactly one thing it is the answer to that, else it is the next
        message. A run of Loki Mode reads it before its next iteration, one at a time; an event of
        its log tells whether it took or rejected it.
        """

        async def act(once: IdempotencyKey | None) -> InputGiven:
            given = self._sessions.give_input(
                known(session_id),
                body.input,
                body.context,
                delivery=body.delivery,
                by=visit.caller.name,
                once=once,
            )
            return _given(await given)

        async def again(done: CompletedRequest) -> InputGiven:
            is_message = done.target.startswith("message_")
            return InputGiven(
                session_id=done.session_id,
                message="It was given before.",
                message_id=done.target if is_message else None,
                input_id=None if is_message or not done.target else done.target,
            )

        asked = (session_id, body)
        return await self._repetitions.once(key, "giveInput", asked, act, again)

    @operation(
        "GET",
        "/api/sessions/{sessionId}/messages",
        tag="inputs",
        answer=MessageList,
        parameters=OFFSET_PAGE,
        errors=(SessionNotFound,),
    )
    async def list_messages(self, session_id: str, limit: int, offset: int) -> MessageList:
        """List the messages to the agent of a session and what became of them, newest first."""
        page = await self._sessions.messages(known(session_id), limit, offset)
        pagination = pagination_of(page.total, limit, offset)
        return MessageList(messages=list(page.messages), pagination=pagination)


def _given(given: GivenInput) -> InputGiven:
    session = given.session
    if given.answered is not None:
        words = "The question is answered."
        return InputGiven(session_id=session.id, message=words, input_id=given.answered.id)
    if given.message is None:
        return InputGiven(session_id=session.id, message=_INPUT_WAITS)
    return InputGiven(
        session_id=session.id,
        message=_WORDS_OF_MESSAGE[given.message.status],
        message_id=given.message.id,
        delivery=given.message.delivery,
        status=given.message.status,
    )
