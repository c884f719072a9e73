"""The methods of the client that are about what agents ask and are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred

from loki_twisted.client.questions import Questions
from loki_twisted.model import wire
from loki_twisted.model.messages import Delivery

_SESSIONS: Final = ("api", "sessions")


class InputCalls:
    """Those methods; a part of :class:`~loki_twisted.client.api.LokiClient`."""

    _questions: Questions

    def give_input(
        self,
        session_id: str,
        text: str,
        context: str | None = None,
        *,
        delivery: Delivery = Delivery.NEXT,
        key: str | None = None,
    ) -> Deferred[wire.InputGiven]:
        """
        Send text to a session's agent: the answer, if it has asked one thing; else a message.

        :param key: A name for this request; sent again under it, it is carried out once.
        """
        body = wire.GiveInput(input=text, context=context, delivery=delivery)
        path = (*_SESSIONS, session_id, "input")
        return self._questions.ask("POST", path, wire.InputGiven, body=body, key=key)

    def open_inputs(self) -> Deferred[wire.OpenInputs]:
        """What the agents of all sessions ask and nobody has answered, oldest first."""
        return self._questions.get(("api", "inputs"), wire.OpenInputs)

    def list_inputs(
        self, session_id: str, *, limit: int | None = None, offset: int | None = None
    ) -> Deferred[wire.InputList]:
        """What the agent of a session has asked, newest first."""
        query = (("limit", limit), ("offset", offset))
        return self._questions.get((*_SESSIONS, session_id, "inputs"), wire.InputList, query)

    def get_input(self, session_id: str, input_id: str) -> Deferred[wire.InputDetail]:
        """One input."""
        path = (*_SESSIONS, session_id, "inputs", input_id)
        return self._questions.get(path, wire.InputDetail)

    def answer_input(
        self,
        session_id: str,
        input_id: str,
        answer: str | Sequence[str],
        message: str | None = None,
        *,
        key: str | None = None,
    ) -> Deferred[wire.InputDetail]:
        """
        Answer what an agent asks.

        :param answer: The value of an option, or several, or a text.
        :param message: What it is told beside that.
        :param key: A name for this request; sent again under it, it is carried out once.
        """
        values = answer if isinstance(answer, str) else list(answer)
        body = wire.AnswerInput(answer=values, message=message)
        path = (*_SESSIONS, session_id, "inputs", input_id)
        return self._questions.ask("POST", path, wire.InputDetail, body=body, key=key)

    def list_messages(
        self, session_id: str, *, limit: int | None = None, offset: int | None = None
    ) -> Deferred[wire.MessageList]:
        """The messages to the agent of a session and what became of them, newest first."""
        query = (("limit", limit), ("offset", offset))
        return self._questions.get((*_SESSIONS, session_id, "messages"), wire.MessageList, query)
