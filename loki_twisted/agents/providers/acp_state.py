"""What the driver of an agent of the Agent Client Protocol remembers. All of it is bounded."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from loki_twisted.agents.outputs import Verdict
from loki_twisted.agents.providers.joining import NONE_HELD, Held
from loki_twisted.agents.providers.plans import Plan

MOST_CALLS: Final = 32
"""Calls of tools that are remembered at once; the oldest are forgotten first."""

MOST_ENDED: Final = 16
"""Calls of tools that have ended and are still remembered."""

MOST_ASKED: Final = 32
"""Questions that are open at once; what is asked beyond them is refused."""


class Stage(StrEnum):
    """
    Where the talk with the agent stands.

    From top to bottom, by one of the two ways to open a session; between those behind them as turns
    begin and end; and from any of them to the last.
    """

    NEW = "new"
    GREETING = "greeting"
    """``initialize`` is sent."""
    OPENING = "opening"
    """``session/new`` or ``session/resume`` is sent."""
    LOADING = "loading"
    """``session/load`` is sent: what comes is what was said before."""
    CHOOSING = "choosing"
    """``session/set_mode`` is sent."""
    SETTLING = "settling"
    """It was loaded. Some agents say only then what was said before: that ends when it is quiet."""
    HALTED = "halted"
    """It stays until it is told something."""
    IDLE = "idle"
    """It has done what it was told. Its input ends, unless there is more."""
    WORKING = "working"
    """``session/prompt`` is sent."""
    CANCELLING = "cancelling"
    """So is ``session/cancel``."""
    LEAVING = "leaving"
    """Its input has ended, because there is nothing that it could be told."""
    CLOSED = "closed"


REPLAYING: Final = frozenset({Stage.LOADING, Stage.SETTLING})
"""Where what is reported was said before."""

AT_WORK: Final = frozenset({Stage.WORKING, Stage.CANCELLING})
"""Where a turn is on."""

READY: Final = frozenset({Stage.HALTED, Stage.IDLE})
"""Where it takes a message."""


class Call(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    A tool that is being used.

    :ivar tool: Its name: a word for what it does, or the title of the call.
    :ivar title: What it does, in words.
    :ivar is_told: Whether people know of it.
    :ivar result: The beginning of what it has given so far.
    """

    tool: str = "tool"
    title: str = ""
    is_told: bool = False
    result: str = ""


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    A field of a form.

    :ivar type: ``string``, ``number``, ``integer``, ``boolean`` or ``array`` (of texts).
    """

    name: str
    type: str


class Question(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    A request of the agent that is open.

    :ivar form: Its fields, each asked by itself; None for a permission.
    :ivar given: What was answered, by the number of the field.
    """

    form: tuple[Field, ...] | None = None
    given: Mapping[str, Any] = {}


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    All that is remembered.

    :ivar sent: The number of the last request of ours.
    :ivar awaited: That of the one whose answer we wait for.
    :ivar conversation: The agent's id of the session.
    :ivar model: That it works with, where it said so.
    :ivar logins: The ways to log in that it has, in words.
    :ivar message: The id of the message whose text is held back.
    :ivar last_piece: The beginning of the last piece of text, if nothing came behind it.
    :ivar calls: By the id of the call, oldest first.
    :ivar ended_calls: Ids of calls that have ended, oldest first.
    :ivar asked: By the id of the request, as JSON text.
    :ivar currency: In which it says what it costs; empty before.
    :ivar verdict: That of the last turn.
    :ivar unknown: Messages that are counted because nothing else can be done with them.
    """

    stage: Stage = Stage.NEW
    sent: int = 0
    awaited: int | None = None
    conversation: str | None = None
    model: str | None = None
    logins: str = ""
    held: Held = NONE_HELD
    message: str = ""
    last_piece: str = ""
    calls: Mapping[str, Call] = {}
    ended_calls: tuple[str, ...] = ()
    plan: Plan = ()
    asked: Mapping[str, Question] = {}
    currency: str = ""
    verdict: Verdict | None = None
    unknown: int = 0


def with_changes(state: State, **changes: Any) -> State:
    """Give the state with some fields changed."""
    return msgspec.structs.replace(state, **changes)


def with_call(state: State, call_id: str, call: Call) -> State:
    """Remember a call, instead of the oldest if there are too many."""
    calls = {**state.calls, call_id: call}
    if len(calls) > MOST_CALLS:
        del calls[next(iter(calls))]
    return with_changes(state, calls=calls)


def without_call(state: State, call_id: str) -> State:
    """Remember that a call has ended."""
    calls = {name: each for name, each in state.calls.items() if name != call_id}
    ended = (*state.ended_calls, call_id)[-MOST_ENDED:]
    return with_changes(state, calls=calls, ended_calls=ended)


def with_question(state: State, request_id: str, question: Question) -> State:
    """Remember a request that is open."""
    return with_changes(state, asked={**state.asked, request_id: question})


def without_question(state: State, request_id: str) -> State:
    """Forget a request that is settled."""
    asked = {name: each for name, each in state.asked.items() if name != request_id}
    return with_changes(state, asked=asked)


NO_STATE: Final = State()
"""Nothing to remember yet."""
