"""What the drivers of opencode remember, and how they read what may be anything."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from loki_twisted.agents.outputs import Output
from loki_twisted.agents.providers.cleaning import clean, cut
from loki_twisted.agents.providers.objects import MAX_NUMBER
from loki_twisted.agents.providers.plans import Plan
from loki_twisted.agents.providers.programs import OPENCODE
from loki_twisted.agents.providers.telling import MAIN
from loki_twisted.agents.providers.tidying import maybe_tidy
from loki_twisted.agents.providers.unknown import Unknown

USER: Final = "user"
"""Stands for the model of a message that is not the agent's."""

_MOST_NAME: Final = 80
_MOST: Final[Mapping[str, int]] = {
    "messages": 64,
    "ended": 128,
    "parts": 400,
    "children": 100,
    "calls": 100,
}
"""How many of each are remembered; the oldest go first."""


class Phase(StrEnum):
    """Where the session stands."""

    STARTING = "starting"
    """It is not open yet."""
    IDLE = "idle"
    ASKED = "asked"
    """It was given something, and does not show yet that it is at work on it."""
    BUSY = "busy"


class Held(msgspec.Struct, frozen=True):
    """
    A text that is still being written.

    :ivar kind: ``text`` or ``reasoning``.
    :ivar said: How many characters of it were told.
    :ivar text: What comes behind that.
    """

    session: str
    kind: str
    said: int = 0
    text: str = ""


class Call(msgspec.Struct, frozen=True):
    """A use of a tool whose result has not come; ``id`` is the name by which it was told."""

    session: str
    tool: str
    id: str


class Ask(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    Something that is open.

    :ivar word: ``permission`` or ``question``.
    :ivar answer: Of a question that was asked together with others which are open.
    """

    word: str
    session: str
    request: str
    answer: tuple[str, ...] | None = None


class Child(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    A session of a sub-agent.

    :ivar is_on: Whether it is at work.
    :ivar error: What went wrong in it.
    """

    kind: str
    is_on: bool = True
    error: str | None = None


class Problem(msgspec.Struct, frozen=True):
    """What went wrong in a turn."""

    words: str
    is_abort: bool = False


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    What the driver remembers.

    :ivar session: The id of our session; empty before it is known.
    :ivar waiting: Ids of messages that opencode has not confirmed.
    :ivar unseen: How many prompts are on their way, so that their messages are not there yet.
    :ivar messages: By id, the model that wrote it, or :data:`USER`.
    :ivar ended: Ids of messages of which all was told.
    :ivar parts: Ids of parts that were told.
    :ivar step: Why the last step ended.
    :ivar refused: Whether a permission was refused in this turn.
    :ivar failed: Whether the last turn ended badly.
    :ivar last: Why, in words.
    :ivar unknown: How many lines there were of each kind that is not known.
    """

    phase: Phase = Phase.STARTING
    session: str = ""
    waiting: tuple[str, ...] = ()
    unseen: int = 0
    messages: dict[str, str] = {}
    ended: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    held: dict[str, Held] = {}
    calls: dict[str, Call] = {}
    asks: dict[str, Ask] = {}
    plan: Plan = ()
    children: dict[str, Child] = {}
    problem: Problem | None = None
    step: str = ""
    refused: bool = False
    failed: bool = False
    last: str = ""
    is_hindered: bool = False
    unknown: Unknown = {}


Told = tuple[State, Sequence[Output]]
"""What a reader makes of something: the next state, and what there is to say."""

Fields = Mapping[str, Any]

replaced: Final = msgspec.structs.replace


def agent_of(state: State, session: str) -> tuple[str, str]:
    """The id and the kind of the agent whose session it is."""
    if session == state.session:
        return MAIN, OPENCODE
    child = state.children.get(session)
    return session, "agent" if child is None else child.kind


def with_entry(state: State, field: str, name: str, value: Any) -> State:
    """Put something into one of the mappings; the oldest go if there are too many."""
    entries = {**getattr(state, field), name: value}
    while len(entries) > _MOST.get(field, len(entries)):
        del entries[next(iter(entries))]
    return replaced(state, **{field: entries})


def without_entries(state: State, field: str, names: Iterable[str]) -> State:
    """Take some out of one of the mappings."""
    gone = frozenset(names)
    entries = {name: each for name, each in getattr(state, field).items() if name not in gone}
    return replaced(state, **{field: entries})


def with_name(state: State, field: str, name: str) -> State:
    """Put a name into one of the lists of names."""
    names = (*getattr(state, field), name)
    return replaced(state, **{field: names[-_MOST[field] :]})


def maybe_json(text: str) -> Any:
    """Read a line as JSON; None if it is none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:
        return json.loads(text)  # It takes half characters, which JavaScript writes.
    except (ValueError, RecursionError):
        return None


def fields(value: Any, *names: str) -> Fields:
    """The object at a path of names; an empty one if there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def items(value: Any) -> Sequence[Any]:
    """A list; an empty one if it is none."""
    return value if isinstance(value, list) else ()


def name_of(value: Any) -> str:
    """A name: short, and fit to be remembered; empty if it is none."""
    return cut(clean(value), _MOST_NAME) if isinstance(value, str) else ""


def words_of(value: Any) -> str:
    """A text; empty if it is none."""
    return value if isinstance(value, str) else ""


def number_of(value: Any) -> float:
    """A number that is not negative; 0 if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return value if 0 <= value < MAX_NUMBER and math.isfinite(value) else 0


def tidy(value: Any) -> Any:
    """Any JSON value, fit to be told."""
    if value is None or isinstance(value, str):
        return value
    found = maybe_tidy(value)
    return "[too deeply nested to be told]" if found is None else found
