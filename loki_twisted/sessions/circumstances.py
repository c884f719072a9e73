"""What the talk with an agent takes place in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
from twisted.internet.interfaces import IReactorTime

from loki_twisted.agents.driving import IDriver
from loki_twisted.model.budget import Budget
from loki_twisted.model.redaction import Redactor
from loki_twisted.sessions.allowance import UNLIMITED
from loki_twisted.sessions.book import SessionBook
from loki_twisted.sessions.inbox import InputPolicy
from loki_twisted.sessions.moments import Patience
from loki_twisted.sessions.record import Record
from loki_twisted.state.interface import RunEnding


@attrs.frozen(slots=True, kw_only=True)
class Circumstances:
    """
    What a conductor needs beside the session.

    :ivar make_driver: Makes a driver that has a memory.
    :ivar mint: Makes a new id of a kind: ``input`` or ``message``.
    :ivar now_ms: The wall clock, milliseconds since the Unix epoch.
    :ivar settle: Called when the agent has ended, before that is told: fires when what it
        left in its state directory has been told.
    :ivar ending: Called then: what it wrote of its own end.
    :ivar after: Called once with the record when the end is on disk.
    :ivar stays: Whether the session is to stay when its agent has done its work.
    :ivar stop: Called with the record and a reason, in words, when it has spent what it may.
    """

    reactor: IReactorTime
    book: SessionBook
    redactor: Redactor
    make_driver: Callable[[str], IDriver]
    mint: Callable[[str], str]
    now_ms: Callable[[], int]
    settle: Callable[[], Awaitable[None]]
    ending: Callable[[], RunEnding | None]
    after: Callable[[Record], None]
    stop: Callable[[Record, str], None]
    policy: InputPolicy = InputPolicy()
    budget: Budget = UNLIMITED
    stays: bool = False
    patience: Patience = Patience()
