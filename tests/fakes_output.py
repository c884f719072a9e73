"""What an agent prints, as a test has it."""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred
from zope.interface import implementer

from loki_twisted.sessions.interface import IOutput


@implementer(IOutput)
@attrs.define(eq=False)
class FakeOutput:
    """
    A stream of a session that a test writes to and ends.

    :ivar closed: How often it was closed.
    :ivar reads: The sizes of what was read.
    :ivar failure: What a read fails with.
    """

    data: bytes = b""
    is_over: bool = False
    closed: int = 0
    failure: Exception | None = None
    reads: list[int] = attrs.field(factory=list)
    waiting: list[Deferred[None]] = attrs.field(factory=list)

    def write(self, data: bytes) -> None:
        """Print something."""
        self.data += data
        self._ring()

    def end(self) -> None:
        """Print nothing more."""
        self.is_over = True
        self._ring()

    def empty(self) -> None:
        """Take all back."""
        self.data = b""
        self._ring()

    def _ring(self) -> None:
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each.callback(None)

    def size(self) -> int:
        """How much there is."""
        return len(self.data)

    def read(self, offset: int, count: int) -> bytes:
        """Some of it."""
        if self.failure is not None:
            raise self.failure
        data = self.data[offset : offset + count]
        self.reads.append(len(data))
        return data

    def more(self) -> Deferred[None]:
        """When there is more."""
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def close(self) -> None:
        """Nobody reads it any more; another request may open it again."""
        self.closed += 1
        self._ring()
