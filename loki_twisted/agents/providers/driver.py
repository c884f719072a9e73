"""What most drivers have in common."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec
from zope.interface import implementer

from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.lines import LINE_LIMIT
from loki_twisted.agents.outputs import Outputs
from loki_twisted.agents.richness import VALUE_LIMIT
from loki_twisted.model.inputs import Answer
from loki_twisted.model.messages import Message

_State = TypeVar("_State", bound=msgspec.Struct)


@implementer(IDriver)
class Driver:
    """
    A driver of an agent that only prints: it is told nothing, asks nothing, remembers nothing.

    See :class:`IDriver` for each of these; a driver overrides what its agent can do.
    """

    line_limit = LINE_LIMIT
    value_limit = VALUE_LIMIT
    is_ready = False
    takes_now = False
    says_done = False

    def begin(self) -> Outputs:
        """See :class:`IDriver`."""
        return ()

    def line(self, stream: str, text: str) -> Outputs:
        """See :class:`IDriver`."""
        raise NotImplementedError

    def quiet(self) -> Outputs:
        """See :class:`IDriver`."""
        return ()

    def say(self, message: Message) -> Outputs:
        """See :class:`IDriver`."""
        return ()

    def answer(self, key: str, answer: Answer) -> Outputs:
        """See :class:`IDriver`."""
        return ()

    def interrupt(self) -> Outputs:
        """See :class:`IDriver`."""
        return ()

    def wake(self) -> Outputs:
        """See :class:`IDriver`."""
        return ()

    def ended(self) -> Outputs:
        """See :class:`IDriver`."""
        return ()

    def memory(self) -> str:
        """See :class:`IDriver`."""
        return ""


class RememberingDriver(Driver, Generic[_State]):
    """
    A driver that remembers a state: a frozen struct, of which is written what has changed.

    :param initial: That of a driver which begins.
    :param memory: Of the driver before; empty for none.
    """

    def __init__(self, initial: _State, memory: str) -> None:
        self._written: tuple[_State, str] | None = None
        self._become(msgspec.json.decode(memory, type=type(initial)) if memory else initial)

    def memory(self) -> str:
        """See :class:`IDriver`. Written down only when it is asked for: lines come faster."""
        if self._written is None or self._written[0] is not self._state:
            text = msgspec.json.encode(self._state).decode()
            self._written = self._state, "" if text == "{}" else text
        return self._written[1]

    def _become(self, state: _State) -> None:
        """Be in a state. Who takes messages in some of them says here in which."""
        self._state = state
