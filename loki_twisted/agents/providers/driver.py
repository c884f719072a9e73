"""What most drivers have in common."""

from __future__ import annotations

from zope.interface import implementer

from loki_twisted.agents.driving import IDriver
from loki_twisted.agents.lines import LINE_LIMIT
from loki_twisted.agents.outputs import Outputs
from loki_twisted.model.inputs import Answer
from loki_twisted.model.messages import Message


@implementer(IDriver)
class Driver:
    """
    A driver of an agent that only prints: it is told nothing, asks nothing, remembers nothing.

    See :class:`IDriver` for each of these; a driver overrides what its agent can do.
    """

    line_limit = LINE_LIMIT
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
