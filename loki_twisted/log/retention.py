"""
Retention: what may be dropped of the log, and in which order.

- Whole blocks go, the oldest first, while there are more events than may be, or more bytes, or
  events that are too old. The newest block always stays.
- What a session has said last stays as long as the session runs, whatever the limits. So behind
  the first block that was dropped there may be others that stay: before ``complete_from``
  the log has holes. They go when their session has ended, or has said enough since.

Nothing here touches a database; ``log/cutting.py`` does what is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs
import msgspec

_SURPLUS_SHARE: Final = 100
_LEAST_SECONDS: Final = 1.0
_MOST_SECONDS: Final = 60.0
_LOOKS_PER_AGE: Final = 100


@attrs.frozen(slots=True, kw_only=True)
class Retention:
    """
    How much of the log is kept. None is no limit.

    When a limit of events or bytes is exceeded, up to a hundredth of it goes beyond what must. So
    that is done now and then, and not with each commit.

    :ivar events: How many events.
    :ivar age_ms: How long, in milliseconds.
    :ivar size: How many bytes the database may have: pages in use, not those that are free.
    :ivar running_events: How many of its last events a running session keeps in any case.
    """

    events: int | None = None
    age_ms: int | None = None
    size: int | None = None
    running_events: int = 1_000


KEEP_ALL: Final = Retention()
"""Nothing is ever dropped."""


def seconds_between_looks(retention: Retention) -> float:
    """How often to see what has become too old: so that none stays by much more than it may."""
    if retention.age_ms is None:
        return _MOST_SECONDS
    return min(_MOST_SECONDS, max(_LEAST_SECONDS, retention.age_ms / 1000 / _LOOKS_PER_AGE))


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """
    A block in the log, as far as it matters here.

    :ivar at_ms: The time of its events, since the Unix epoch.
    :ivar size: About how many bytes it takes.
    :ivar is_running: Whether its session has not ended.
    """

    first_seq: int
    last_seq: int
    at_ms: int
    session_id: str
    size: int
    is_running: bool

    def __len__(self) -> int:
        return self.last_seq - self.first_seq + 1


@attrs.frozen(slots=True)
class Excess:
    """
    What is too much.

    :ivar events: So many events; 0 or less for none.
    :ivar size: So many bytes; 0 or less for none.
    :ivar before_ms: What is older than this, since the Unix epoch.
    :ivar beyond_ms: And what is of later than this: a clock was wrong then, and what lies
        behind it would not go before that time has come.
    """

    events: float = 0
    size: float = 0
    before_ms: float = 0
    beyond_ms: float = float("inf")

    def __bool__(self) -> bool:
        """Whether that can be anything, as far as one knows without a look at the blocks."""
        return self.events > 0 or self.size > 0 or self.before_ms > 0

    def has(self, block: Stored) -> bool:
        """Whether a block is too much, if it is the oldest."""
        return self.events > 0 or self.size > 0 or self.is_outdated(block)

    def is_outdated(self, block: Stored) -> bool:
        """Whether a block is too much for its time."""
        return not self.before_ms <= block.at_ms <= self.beyond_ms

    def without(self, block: Stored) -> Excess:
        """What is too much when a block is gone."""
        events, size = self.events - len(block), self.size - block.size
        return attrs.evolve(self, events=events, size=size)


ALL: Final = Excess(events=float("inf"))
"""Whatever there is, is too much."""


def excess_of(have: int, limit: int | None) -> int:
    """
    Say how much shall go.

    :param have: How much there is.
    :param limit: How much there may be.
    :returns: 0 if there is not too much.
    """
    if limit is None or have <= limit:
        return 0
    return have - limit + limit // _SURPLUS_SHARE


@attrs.frozen(slots=True)
class Choice:
    """
    What goes of some blocks.

    :ivar dropped: Those that go, ascending.
    :ivar passed: How many were decided on, from the first on.
    :ivar next_seq: The number that follows the last of them; None if none was decided on.
    :ivar undecided: The first that was not decided on; None if there were no more.
    """

    dropped: Sequence[Stored]
    passed: int
    next_seq: int | None
    undecided: Stored | None


def choose(
    blocks: Iterable[Stored],
    excess: Excess,
    max_bytes: int,
    is_spared: Callable[[Stored], bool | None],
) -> Choice:
    """
    Decide which blocks go.

    :param blocks: The oldest that are there, ascending. No more are taken from it than one that is
        not decided on.
    :param max_bytes: Stop after the block with which the bytes of what goes exceed this.
    :param is_spared: Whether a block stays for its session's sake; None if that is not known
        now, and the next time is soon enough.
    """
    dropped: list[Stored] = []
    next_seq = None
    passed = size = 0
    for block in blocks:
        spared = is_spared(block) if size <= max_bytes and excess.has(block) else None
        if spared is None:
            return Choice(dropped, passed, next_seq, block)
        if not spared:
            dropped.append(block)
            size += block.size
            excess = excess.without(block)
        passed += 1
        next_seq = block.last_seq + 1
    return Choice(dropped, passed, next_seq, None)


@attrs.frozen(slots=True)
class Held:
    """
    What a log holds that blocks were dropped from. It is stored in this order of its fields.

    :ivar complete_from: From this number on nothing is missing.
    :ivar kept: How many events there are before that number.
    :ivar dropped_ms: The time of the event before that number, since the Unix epoch; 0 if there
        never was one. So its id can be told from one of another log when it is gone.
    """

    complete_from: int
    kept: int = 0
    dropped_ms: int = 0

    def without(self, dropped: Iterable[Stored]) -> Held:
        """What it holds when some more blocks are gone, that are given ascending."""
        complete_from, kept, dropped_ms = self.complete_from, self.kept, self.dropped_ms
        for block in dropped:
            if block.first_seq < complete_from:
                kept -= len(block)
            else:
                kept += block.first_seq - complete_from
                complete_from, dropped_ms = block.last_seq + 1, block.at_ms
        return Held(complete_from, kept, dropped_ms)


class Floors:
    """
    From where on running sessions keep what they have said.

    A floor is looked up when it is needed, and again when its session has said so much since
    that looking is worth while. So a session may keep an eighth more than it must.

    :param running_events: How many events a running session keeps.
    :param look_up: Finds the number from which on a session has at least so many events; 0 if it
        has fewer.
    """

    def __init__(self, running_events: int, look_up: Callable[[str, int], int]) -> None:
        self._keeps = running_events
        self._worth = max(1, running_events // 8)
        self._look_up = look_up
        self._floors: dict[str, int] = {}
        self._said_since: dict[str, int] = {}
        self._lookups = 0

    def allow(self, lookups: int) -> None:
        """Look up no more than so many floors until this is called again."""
        self._lookups = lookups

    def said(self, session_id: str, events: int) -> None:
        """Take note that a session has said something."""
        if session_id in self._said_since:
            self._said_since[session_id] += events

    def ended(self, session_id: str) -> None:
        """Forget a session."""
        self._floors.pop(session_id, None)
        self._said_since.pop(session_id, None)

    def spares(self, block: Stored) -> bool | None:
        """Whether a block stays for its session's sake; None if no more may be looked up now."""
        if not block.is_running or not block.session_id:
            return False
        floor = self._floors.get(block.session_id)
        if floor is not None:
            if block.last_seq < floor:
                return False
            if self._said_since[block.session_id] < self._worth:
                return True
        if not self._lookups:
            return None
        self._lookups -= 1
        floor = self._look_up(block.session_id, self._keeps)
        self._floors[block.session_id] = floor
        self._said_since[block.session_id] = 0
        return block.last_seq >= floor
