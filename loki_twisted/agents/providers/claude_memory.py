"""
What a driver of Claude Code remembers, and a change of it while a line is read.

All of it is one frozen value, bounded so that it is never more than 256 KiB of JSON: what Claude
Code says is kept only where something is still to be done with it, and only as far as that needs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec

from loki_twisted.agents.outputs import Output, Verdict
from loki_twisted.agents.providers.plans import Plan
from loki_twisted.agents.providers.telling import MAIN
from loki_twisted.agents.providers.unknown import Unknown
from loki_twisted.model.inputs import Answer

"""The name of the provider and of its program, the type of the agent, the source of log lines."""

MOST_KNOWN: Final = 64
"""Requests, calls, sub-agents and background tasks, of each, that are remembered at a time."""

MOST_SENT: Final = 64
"""Messages that may be under way at a time."""

MOST_KEPT: Final = 40 * 1024
"""Characters of open requests that are kept to answer them with, all together."""


class Standing(StrEnum):
    """Where it stands between us and its turns."""

    STARTING = "starting"
    """It was told something, and has not begun with it."""
    WORKING = "working"
    IDLE = "idle"
    HELD = "held"
    """It was interrupted, and waits to be told more."""
    LIMITED = "limited"
    """Its provider lets it do no more until a time; then it is told to go on."""


class Purpose(StrEnum):
    """What an open request is for."""

    PERMISSION = "permission"
    PLAN = "plan"
    QUESTIONS = "questions"
    FORM = "form"


class OpenRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    A request that waits for people.

    :ivar parts: How many things are asked; each has a key of its own.
    :ivar input: What its answer is made with, as JSON; empty where that is not needed.
    :ivar updates: The rules that "for this session" stands for, as JSON; empty if there are none.
    :ivar answers: Those that came, by the number of the part.
    """

    id: str
    purpose: Purpose
    parts: int = 1
    input: str = ""
    updates: str = ""
    answers: tuple[tuple[int, Answer], ...] = ()

    def key(self, part: int) -> str:
        """The driver's name of a part."""
        return f"{self.id}#{part}"

    @property
    def open_keys(self) -> list[str]:
        """The names of the parts that have no answer."""
        known = {part for part, _ in self.answers}
        return [self.key(part) for part in range(self.parts) if part not in known]


class Call(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    A use of a tool that has no result yet.

    :ivar agent: Who uses it.
    :ivar entry: What it does to an entry of a plan, if it does: its number, status and title, each
        of them where that is said.
    """

    id: str
    tool: str
    agent: str = MAIN
    entry: tuple[str, str, str] | None = None


class Helper(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    A sub-agent that is at work.

    :ivar call: The use of a tool that spawned it; its id.
    :ivar task: The beginning of what it is to do.
    """

    call: str
    kind: str
    in_background: bool = False
    task: str = ""


class BackgroundTask(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    Something that goes on beside the turns.

    :ivar call: The use of a tool that began it, where that is known.
    """

    id: str
    call: str = ""


class Limit(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    A limit that its provider has set.

    :ivar until_ms: Since the Unix epoch, where that is known.
    """

    words: str
    until_ms: int | None = None


class Memory(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """
    All of it.

    :ivar asked: How many requests we have made.
    :ivar interrupts: Whether the turn was to be broken off.
    :ivar input_ended: Whether nothing more is written.
    :ivar sent: Ids of messages that it was given and did not confirm.
    :ivar conversation: Its name of the conversation, once seen.
    :ivar is_told: Whether it was told that the agent runs.
    :ivar verdict: How the last turn ended.
    :ivar error: What it says went wrong in this turn, one of its words for it.
    :ivar replies: Ids of the last answers of its model; one answer comes in several lines.
    :ivar calls_made: Answers of its model since the last turn's end.
    :ivar model: Which of its models gave the last one.
    :ivar todos: The plan that is said as a whole each time.
    :ivar plan: The plan that is said entry by entry.
    :ivar limit: The limit that it has run into.
    :ivar waited_until: The end of the last limit that was waited for.
    :ivar is_retrying: Whether it tries something again.
    :ivar unknown: Lines that were not understood, since that was told, by kind.
    """

    standing: Standing = Standing.STARTING
    asked: int = 0
    interrupts: bool = False
    input_ended: bool = False
    sent: tuple[str, ...] = ()
    conversation: str = ""
    is_told: bool = False
    verdict: Verdict | None = None
    error: str = ""
    replies: tuple[str, ...] = ()
    calls_made: int = 0
    model: str = ""
    requests: tuple[OpenRequest, ...] = ()
    calls: tuple[Call, ...] = ()
    helpers: tuple[Helper, ...] = ()
    tasks: tuple[BackgroundTask, ...] = ()
    todos: Plan = ()
    plan: Plan = ()
    limit: Limit | None = None
    waited_until: int | None = None
    is_retrying: bool = False
    unknown: Unknown = {}

    def has_room(self, more: str) -> bool:
        """Whether so much more of an open request can be kept."""
        kept = sum(len(each.input) + len(each.updates) for each in self.requests)
        return kept + len(more) <= MOST_KEPT

    def request(self, request_id: str) -> OpenRequest | None:
        """An open request, or None."""
        return next((each for each in self.requests if each.id == request_id), None)

    def call(self, call_id: str) -> Call | None:
        """A use of a tool without a result, or None."""
        return next((each for each in self.calls if each.id == call_id), None)

    def helper(self, call_id: str) -> Helper | None:
        """A sub-agent at work, or None."""
        return next((each for each in self.helpers if each.call == call_id), None)


class Draft:
    """
    What comes of one line or wish, while it is being made.

    :param is_dry: Whether it is only to plan.
    :param stays_open: Whether it is to wait for messages when it has done.
    """

    def __init__(self, memory: Memory, *, is_dry: bool, stays_open: bool) -> None:
        self.memory = memory
        self.is_dry = is_dry
        self.stays_open = stays_open
        self.outputs: list[Output] = []

    def say(self, *outputs: Output) -> None:
        """Put something out."""
        self.outputs += outputs

    def change(self, **changes: Any) -> None:
        """Change what is remembered."""
        self.memory = msgspec.structs.replace(self.memory, **changes)
