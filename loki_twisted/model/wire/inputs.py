"""What is answered about the inputs of agents, and about messages to them."""

from __future__ import annotations

from loki_twisted.model.inputs import Input
from loki_twisted.model.messages import Delivery, Message, MessageStatus
from loki_twisted.model.wire.shapes import Pagination, Shape


class InputGiven(Shape, frozen=True, kw_only=True):
    """
    What became of a text for an agent.

    ``inputId`` is the input that it answered, or ``messageId`` the message that it is, with where
    that stands; both are null for a run of Loki Mode, which reads it from a file.
    """

    session_id: str
    message: str
    input_id: str | None = None
    message_id: str | None = None
    delivery: Delivery | None = None
    status: MessageStatus | None = None


class InputDetail(Shape, frozen=True, kw_only=True):
    """One input."""

    input: Input


class OpenInputs(Shape, frozen=True, kw_only=True):
    """The inputs of all sessions that are open, oldest first, and how many."""

    inputs: list[Input]
    count: int


class InputList(Shape, frozen=True, kw_only=True):
    """A page of the inputs of a session, newest first."""

    inputs: list[Input]
    pagination: Pagination


class MessageList(Shape, frozen=True, kw_only=True):
    """A page of the messages to the agent of a session, newest first."""

    messages: list[Message]
    pagination: Pagination
