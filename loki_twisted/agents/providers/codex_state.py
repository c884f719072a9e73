"""What a driver of ``codex app-server`` remembers. What each stage leads to: ``codex_talk.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from loki_twisted.agents.outputs import Output, Verdict
from loki_twisted.agents.providers.codex_asking import Waiting
from loki_twisted.agents.providers.codex_work import Seen, Work
from loki_twisted.agents.providers.jsonrpc import Call, Calls


class Stage(StrEnum):
    """Where a conversation stands."""

    NEW = "new"
    GREETING = "greeting"
    OPENING = "opening"
    STARTING = "starting"
    WORKING = "working"
    LIMITED = "limited"
    IDLE = "idle"
    LEAVING = "leaving"


class State(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """
    All that a driver of ``codex app-server`` remembers.

    :ivar calls: Our requests.
    :ivar waiting: Its requests, by name.
    :ivar later: Turns that are to begin when there is none.
    :ivar model: The model, if it was said.
    :ivar turn: Id of the turn that is on.
    :ivar ended: Id of the last turn that has ended.
    :ivar verdict: How that ended.
    :ivar stays: Whether it is to wait for a message though its work was left off.
    :ivar error: The words of the last error that it did not get over, and its kind.
    :ivar is_hindered: Whether it was told that it does not get on.
    :ivar limit_until: When the limits of the account begin anew, since the Unix epoch, if they are
        used up.
    :ivar waited_until: For which of these times it waited last.
    """

    stage: Stage = Stage.NEW
    calls: Calls = Calls()
    work: Work = Work()
    waiting: Mapping[str, Waiting] = {}
    later: tuple[Call, ...] = ()
    model: str = ""
    turn: str = ""
    ended: str = ""
    verdict: Verdict | None = None
    stays: bool = False
    error: tuple[str, str] = ("", "")
    is_hindered: bool = False
    limit_until: int = 0
    waited_until: int = 0


Step = tuple[State, Sequence[Output]]
"""What is so now, and what there is to say."""


def with_seen(state: State, seen: Seen) -> Step:
    """Remember something that was seen of its work."""
    return replace(state, work=seen[0]), seen[1]
