"""What passes between the reactor's thread and the writer's: entries and orders in, reports out."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import attrs
from twisted.internet.defer import Deferred

from loki_twisted.log.changes import Changes
from loki_twisted.log.interface import Bounds
from loki_twisted.log.opening import Opened
from loki_twisted.log.rows import NewBlock
from loki_twisted.model.blocks import Block
from loki_twisted.model.errors import StorageFailed


@attrs.frozen(slots=True, eq=False)
class Entry:
    """
    A batch, encoded and numbered, on its way into the log.

    :ivar size: About how many bytes it is.
    :ivar waiter: Fires when it is on disk and told, or could not be written.
    """

    blocks: Sequence[NewBlock]
    changes: Changes
    size: int
    waiter: Deferred[Bounds]


class Order(Enum):
    """What the writer can be told beside entries."""

    PROBE = "probe"
    KNOCK = "knock"
    """See whether the disk takes anything still."""
    LOOK = "look"
    """Time has passed: see what is too old."""
    STOP = "stop"


@attrs.frozen(slots=True)
class NotOpened:
    """The log could not be opened; the writer has ended."""

    error: Exception


@attrs.frozen(slots=True)
class Committed:
    """
    Entries are on disk, as these blocks.

    :ivar bounds: What the log holds now.
    :ivar seconds: How long it took.
    """

    entries: Sequence[Entry]
    blocks: Sequence[Block]
    bounds: Bounds
    seconds: float = attrs.field(default=0.0, eq=False)


@attrs.frozen(slots=True)
class Shortened:
    """
    Events were dropped.

    :ivar bounds: What the log holds now.
    """

    bounds: Bounds


@attrs.frozen(slots=True)
class Unshortened:
    """Nothing is dropped any more, until the log is opened again. It can be written to."""

    problem: Exception

    @property
    def notice(self) -> str:
        """What the operator must know of it, in a sentence."""
        return (
            f"The log keeps everything until the server is started again: what is too much could "
            f"not be dropped ({self.problem})."
        )


@attrs.frozen(slots=True)
class Failed:
    """
    Entries are not in the log, and nothing can be written now.

    :ivar is_passing: Whether a probe may find that it can be written again.
    """

    entries: Sequence[Entry]
    error: StorageFailed
    is_passing: bool


@attrs.frozen(slots=True)
class Heard:
    """The disk has answered."""


@attrs.frozen(slots=True)
class Recovered:
    """
    The log can be written again.

    :ivar bounds: What it holds.
    """

    bounds: Bounds


@attrs.frozen(slots=True)
class Closed:
    """
    The writer has ended.

    :ivar problem: Why the log was not tidied up, or None. What was committed is there in any case.
    """

    problem: Exception | None


Report = (
    Opened | NotOpened | Committed | Shortened | Unshortened | Failed | Heard | Recovered | Closed
)
