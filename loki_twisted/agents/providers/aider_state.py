"""What a driver of ``aider`` has to remember."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from loki_twisted.agents.outputs import Output
from loki_twisted.agents.providers import telling
from loki_twisted.agents.providers.joining import NONE_HELD, Held
from loki_twisted.agents.providers.programs import AIDER
from loki_twisted.agents.providers.telling import MAIN

"""The name of the provider, of its program, and of the sort of agent."""

MOST_PROBLEM: Final = 2048
"""Bytes of what is remembered of something that went wrong."""


class AiderState(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """
    Where a session with ``aider`` stands.

    :ivar key: That of the lines of the bridge; empty before its first.
    :ivar held: What the model says and was not told yet.
    :ivar is_busy: Whether it has a message that it has not done with.
    :ivar is_over: Whether it was told that there will be no more messages.
    :ivar sent: How often the model was asked, in this turn.
    :ivar answered: How often it has answered.
    :ivar total: What the process of this turn has cost, in US dollars.
    :ivar exception: What was reported to have gone wrong, in this turn.
    :ivar problem: The last line in this turn that tells of an error.
    :ivar given_up: The line in this turn that tells that it could not do it.
    :ivar is_done: Whether its process has reported that it has done with the message.
    :ivar verdict: How the last turn ended; empty before the first end.
    """

    key: str = ""
    held: Held = NONE_HELD
    is_busy: bool = False
    is_over: bool = False
    sent: int = 0
    answered: int = 0
    total: float = 0.0
    exception: str = ""
    problem: str = ""
    given_up: str = ""
    is_done: bool = False
    verdict: str = ""

    def but(self, **changes: Any) -> AiderState:
        """Give the same with changes."""
        return msgspec.structs.replace(self, **changes)


Step = tuple[AiderState, list[Output]]
"""What a line comes to: the state after it, and what is told."""


def flushed(state: AiderState) -> Step:
    """Tell what the model has said so far."""
    words = state.held.text.strip("\n")
    if state.held == NONE_HELD:
        return state, []
    told: list[Output] = [telling.said(MAIN, AIDER, words)] if words.strip() else []
    return state.but(held=NONE_HELD), told
