"""
What a driver has to say: of its agent, and to it.

A driver is given what an agent printed and what people want of it, and returns *outputs*. Most of
them are facts (:class:`~loki_twisted.model.events.Fact`), which become events as they are. The
others are here; the session service knows what each changes, and what event it is.

Texts are those of the agent. Secrets are taken out by the session service, lengths are
bounded by the drivers (``agents/providers/cleaning.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import attrs

from loki_twisted.model.events import Fact
from loki_twisted.model.inputs import InputKind, Option
from loki_twisted.model.spending import CostOrigin, Spending


@attrs.frozen(slots=True, kw_only=True)
class Asked:
    """
    The agent asks people for something.

    :ivar key: The driver's own name for it; asked again under the same name, it is the same
        one. :meth:`IDriver.answer` is called with it.
    :ivar timeout_ms: How long the agent itself waits, if it does not wait for ever.
    :ivar agent_id: Of the sub-agent that asks; None for the agent itself.

    For the others see :class:`~loki_twisted.model.inputs.Input`.
    """

    key: str
    kind: InputKind
    prompt: str
    details: Mapping[str, Any] = attrs.field(factory=dict)
    options: Sequence[Option] = ()
    multiple: bool = False
    takes_text: bool = False
    default: str | None = None
    timeout_ms: int | None = None
    agent_id: str | None = None


@attrs.frozen(slots=True)
class Withdrawn:
    """
    The agent no longer wants to know.

    :ivar key: That of :class:`Asked`; None for all that is open.
    """

    key: str | None
    reason: str


@attrs.frozen(slots=True)
class Write:
    """Bytes for the agent's standard input, as text. They are written once, whatever crashes."""

    text: str


@attrs.frozen(slots=True)
class EndInput:
    """The agent's standard input ends here, which tells it to end. Nothing is written after it."""


@attrs.frozen(slots=True)
class Conversation:
    """The provider's own name for the conversation, by which it can be continued later."""

    id: str


@attrs.frozen(slots=True)
class Taken:
    """The agent has a message, by the id of the message."""

    message_id: str


@attrs.frozen(slots=True)
class Refused:
    """The agent will never have a message, by its id, and why."""

    message_id: str
    reason: str


@attrs.frozen(slots=True)
class TurnBegan:
    """The agent is at work on something that it was told."""


class Verdict(Enum):
    """How a turn ended, as the agent itself said it."""

    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@attrs.frozen(slots=True)
class TurnEnded:
    """
    The agent has done with what it was told.

    That of the last turn decides how the session ended, not the exit code.

    :ivar reason: Why, in words, unless it is done.
    """

    verdict: Verdict
    reason: str | None = None


@attrs.frozen(slots=True)
class Spent:
    """
    The agent says what it has spent.

    :ivar amount: By itself (:attr:`counter` is None), or a total so far.
    :ivar counter: The name of the counter whose total it is. What is new in it is booked; a total
        that is lower than the last one was set back.
    :ivar model: The model that it was spent on, where that is said.
    """

    amount: Spending
    origin: CostOrigin = CostOrigin.UNKNOWN
    counter: str | None = None
    model: str | None = None


class Trouble(Enum):
    """Why an agent that runs does not get on."""

    RETRYING = "retrying"
    """It tries something again by itself."""
    RATE_LIMITED = "rate_limited"
    """Its provider lets it do no more until a time."""


@attrs.frozen(slots=True)
class Hindered:
    """
    The agent does not get on for now. The next line that shows it at work takes that back, or
    :class:`Freed`.

    :ivar until_ms: When it will, since the Unix epoch, where that is known. Then
        :meth:`IDriver.wake` is called.
    """

    trouble: Trouble
    words: str
    until_ms: int | None = None


@attrs.frozen(slots=True)
class Freed:
    """The agent gets on again."""


Output = (
    Fact
    | Asked
    | Withdrawn
    | Write
    | EndInput
    | Conversation
    | Taken
    | Refused
    | TurnBegan
    | TurnEnded
    | Spent
    | Hindered
    | Freed
)
"""Anything that a driver says."""

Outputs = Sequence[Output]
